"""The hosts of a service: looked at, chosen, and what is to do on each so that they serve.

Only looks. Every host that may be taken is asked over SSH and checked; who fails a check, does not
answer, or serves something else is left out with the reason. What is to do is decided from what the
hosts are now, so a run that was cut off is gone on with by looking again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bare_metal import health
from bare_metal.hosts.connection import (
    Connector,
    HostGoneError,
    Unreachable,
    chosen,
    connector,
)
from bare_metal.hosts.facts import HostFacts, Readings, Unknown, gather
from bare_metal.hosts.operations import (
    AT_ONCE,
    TOKEN,
    AgentUnwanted,
    AgentWanted,
    Desired,
    HostPlan,
    Role,
    maintained,
    payload_of,
    plan,
    serves,
)
from bare_metal.inventory import Cluster, Placed, System, read_cluster
from bare_metal.placing import Choice, choose, hosts_needed, machine_of, settings_of
from llmops.errors import RefusedError, TargetError
from llmops.events import ObjectChange
from llmops.planning import MachineFacts
from llmops.spec import BareMetalTarget, Deployment
from serving.agent import as_one

Connect = Callable[[Cluster, Path], Connector]

TOKEN_BYTES = 32
READ_SECONDS = 30.0
MOST_NAMED = 5
"""Hosts that a message names."""


@dataclass(frozen=True, slots=True)
class Look:
    """The hosts of a service as they are, and what is to do on each."""

    cluster: Cluster
    choice: Choice
    readings: Readings
    wants: Mapping[str, Desired]
    plans: Mapping[str, HostPlan]
    """By host: the chosen ones, the head first, then those that leave."""
    head: str = ""
    """The host that is the head now, of those that answer; empty where none of them is."""
    former: tuple[str, ...] = ()
    """Hosts set up as heads that are to be none any more: the head of now where it moves, and any
    that was lost and is back. Only one Ray works for a store: they end first."""

    @property
    def moves(self) -> bool:
        """Whether another host becomes the head than the one that is it now."""
        return self.choice.head.name != self.head

    @property
    def changes(self) -> tuple[ObjectChange, ...]:
        """What would change, host by host and in its order."""
        return tuple(
            ObjectChange(f"Host/{name}: {one.why}", "update")
            for name, planned in self.plans.items()
            for one in planned.changes
        )

    @property
    def leaving(self) -> tuple[str, ...]:
        """Hosts that serve now, and are not to any more."""
        taken = {host.name for host in self.choice.hosts}
        return tuple(name for name in self.plans if name not in taken)

    def machine(self, deployment: Deployment) -> MachineFacts:
        """All hosts as the one machine that a plan is made for."""
        found = [self.readings[host.name] for host in self.choice.hosts]
        machines = [machine_of(one) for one in found if isinstance(one, HostFacts)]
        return as_one(machines[0], machines[1:], deployment)


@dataclass(frozen=True, slots=True)
class Ending:
    """Hosts that serve for a store, and what is to do so that none does."""

    cluster: Cluster
    hosts: tuple[Placed, ...]
    wants: Mapping[str, Desired]
    plans: Mapping[str, HostPlan]
    silent: Mapping[str, str]
    """Why other hosts could not be asked, by name: they may serve, too."""


class Site:
    """The hosts of a cluster's file.

    Args:
        file: The file.
        store: Address of the store that their agents work for.
        connect: How hosts are reached; over SSH by default.
    """

    def __init__(self, file: Path, store: str, connect: Connect = connector) -> None:
        self.file, self.store = file, store
        self._connect = connect

    def cluster(self) -> Cluster:
        """The cluster, as its file says.

        Raises:
            InputError, SpecError: When the file cannot be read, or is wrong.
        """
        return read_cluster([self.file]).value

    def way(self, cluster: Cluster) -> Connector:
        """How its hosts are reached."""
        return self._connect(cluster, self.file.parent)

    def look(
        self, deployment: Deployment, target: BareMetalTarget, *, shared: bool, ray: str = ""
    ) -> Look:
        """Look at every host that may be taken, and at those that serve besides; and choose.

        Args:
            deployment: What is asked for.
            target: Its target.
            shared: Whether other services of the store are on these hosts: then none leaves.
            ray: Address of the host whose Ray the others join, as the store says; of hosts that
                are set up as heads, it is the head, and others were lost once. Empty for none.

        Raises:
            RefusedError: When too few may be taken, or something on one of them is in the way.
        """
        cluster = self.cluster()
        every = chosen(cluster, ())
        asked = chosen(cluster, target.hosts)
        readings = gather([host for host in every if host.address], self.way(cluster))
        heads, workers = _serving(readings, self.store)
        by_name = {host.name: host for host in every}
        heads = sorted(heads, key=lambda name: by_name[name].address != ray)
        serving = (*heads[:1], *workers, *heads[1:])
        unfit = self._unfit(cluster, readings, target, [one for one in asked if one.address])
        count = hosts_needed(deployment, target, cluster)
        if shared:
            now = serving[: 1 + len(workers)]
            _keeps_all(now, {host.name for host in asked})
            count = max(count, len([name for name in now if name not in unfit]))
        choice = choose(cluster, target, count, unfit, serving)
        token = self._token_of(cluster, [by_name[name] for name in serving])
        wants = self._wants(cluster, choice, serving, every, token)
        plans = {
            name: plan(found, want)
            for name, want in wants.items()
            if isinstance(found := readings[name], HostFacts)
        }
        _refuse(plans)
        former = tuple(name for name in heads if name != choice.head.name)
        head = heads[0] if heads and ray in ("", by_name[heads[0]].address) else ""
        return Look(cluster, choice, readings, wants, plans, head, former)

    def _unfit(
        self,
        cluster: Cluster,
        readings: Readings,
        target: BareMetalTarget,
        hosts: Sequence[Placed],
    ) -> dict[str, str]:
        """Why hosts may not be taken."""
        own = health.read_thresholds(Path(target.health)) if target.health else None
        asked = {host.name: readings[host.name] for host in hosts}
        found = health.verdicts(cluster, asked, checks=health.checks_of(cluster, own), hosts=hosts)
        unfit = {one.host.name: one.why for one in found.left_out}
        for name, facts in asked.items():
            if (why := _maintained(facts)) is not None:
                unfit[name] = f"it is in maintenance: {why}"
            other = _role(facts)
            if other is not None and other[1] != self.store:
                unfit.setdefault(name, f"it serves for {other[1]}")
        return unfit

    def _token_of(self, cluster: Cluster, serving: Sequence[Placed]) -> str:
        """Ray's token: that of the hosts that serve, whichever still has it; else a new one.

        Raises:
            RefusedError: When hosts serve, and none gives it.
        """
        if not serving:
            return secrets.token_hex(TOKEN_BYTES)
        for host in serving:
            token = asyncio.run(_read_token(self.way(cluster), host))
            if token:
                return token
        raise RefusedError(
            f"{TOKEN} cannot be read on {', '.join(host.name for host in serving[:MOST_NAMED])}",
            hint="reading it needs access.sudo, or user: root; where it is lost, llmops destroy"
            " and deploy again make another one",
        )

    def _wants(
        self,
        cluster: Cluster,
        choice: Choice,
        serving: tuple[str, ...],
        hosts: tuple[Placed, ...],
        token: str,
    ) -> dict[str, Desired]:
        payload = payload_of(cluster, self.file.parent)
        settings = settings_of(cluster)
        wants = {}
        for host in choice.hosts:
            role: Role = "head" if host is choice.head else "worker"
            agent = AgentWanted(role, self.store, token, settings)
            wants[host.name] = replace(_bare(cluster, host), program=payload, agent=agent)
        for host in hosts:
            if host.name in serving and host.name not in wants:
                wants[host.name] = replace(_bare(cluster, host), agent=AgentUnwanted(self.store))
        return wants

    def ending(self) -> Ending:
        """What is to do so that no host of the cluster serves for the store any more.

        Raises:
            RefusedError: When something on one of them is in the way.
        """
        cluster = self.cluster()
        hosts = chosen(cluster, ())
        readings = gather([host for host in hosts if host.address], self.way(cluster))
        serving = [name for some in _serving(readings, self.store) for name in some]
        there = [host for host in hosts if host.name in serving]
        # At once: what they serve ends, and nowhere is there to be anything in its place.
        agent = AgentUnwanted(self.store, within=AT_ONCE)
        wants = {host.name: replace(_bare(cluster, host), agent=agent) for host in there}
        plans = {
            name: plan(found, want)
            for name, want in wants.items()
            if isinstance(found := readings[name], HostFacts)
        }
        _refuse(plans)
        silent = {name: why for name, found in readings.items() if (why := _silent(found))}
        return Ending(cluster, tuple(there), wants, plans, silent)

    def unchanged(
        self,
        hosts: Sequence[Placed],
        plans: Mapping[str, HostPlan],
        wants: Mapping[str, Desired],
        way: Connector,
    ) -> list[Placed]:
        """Those of some hosts that something is left to do on, now that nobody else changes them.

        Raises:
            TargetError: When something else is to do on one than was shown: somebody has changed
                it since.
        """
        left = []
        for host, found in zip(hosts, gather(hosts, way).values(), strict=True):
            if isinstance(found, HostFacts):
                again = plan(found, wants[host.name])
                changes = _done(again)
                if again.refusals or (changes and changes != _done(plans[host.name])):
                    raise TargetError(
                        f"{host.name} has changed since it was looked at: nothing was done there",
                        hint="run it again: it looks at the hosts anew",
                    )
                if not changes:
                    continue
            left.append(host)
        return left


def _done(planned: HostPlan) -> list[tuple[tuple[str, ...], bytes | None]]:
    """What a plan does, whatever it says of it."""
    return [(one.argv, one.stdin) for one in planned.changes]


def _bare(cluster: Cluster, host: Placed) -> Desired:
    """Nothing wanted of a host: what the cluster's file prepares hosts with is another verb's."""
    return Desired(host.name, host.address, cluster.access.port, System())


def _role(facts: HostFacts | Unreachable) -> tuple[str, str] | None:
    if isinstance(facts, Unreachable) or isinstance(facts.ours, Unknown):
        return None
    return serves(facts)


def _silent(facts: HostFacts | Unreachable) -> str:
    """Why it is not known whether a host serves; empty where it is."""
    if isinstance(facts, Unreachable):
        return facts.reason
    return facts.ours.reason if isinstance(facts.ours, Unknown) else ""


def _maintained(facts: HostFacts | Unreachable) -> str | None:
    if isinstance(facts, Unreachable) or isinstance(facts.ours, Unknown):
        return None
    return maintained(facts)


def _serving(readings: Readings, store: str) -> tuple[list[str], list[str]]:
    """Hosts that are set up to serve for a store: heads, and workers."""
    found = {name: role for name, facts in readings.items() if (role := _role(facts))}
    ours = [(name, role[0]) for name, role in found.items() if role[1] == store]
    heads = [name for name, role in ours if role == "head"]
    return heads, [name for name, role in ours if role != "head"]


def _keeps_all(serving: Sequence[str], asked: set[str]) -> None:
    """Whether the hosts of the store's other services may be taken as well.

    Raises:
        RefusedError: When one may not: it would end what they serve.
    """
    left = [name for name in serving if name not in asked]
    if left:
        raise RefusedError(
            f"{', '.join(left[:MOST_NAMED])} serve other services of the store",
            path="target.hosts",
            hint="name them there too, or give this service a store of its own",
        )


async def _read_token(way: Connector, host: Placed) -> str:
    """Ray's token from a host's own file; empty where it cannot be had."""
    try:
        async with way.reading(host) as session:
            ran = await session.run(("cat", TOKEN), seconds=READ_SECONDS)
    except HostGoneError:
        return ""
    return ran.out.strip() if ran.code == 0 else ""


def _refuse(plans: Mapping[str, HostPlan]) -> None:
    """What is in the way on the hosts, all of it at once.

    Raises:
        RefusedError: When anything is.
    """
    found = [(name, one) for name, planned in plans.items() for one in planned.refusals]
    if found:
        said = "; ".join(f"{name}: {one.why}" for name, one in found[:MOST_NAMED])
        more = len(found) - MOST_NAMED
        raise RefusedError(said + (f"; and {more} more" if more > 0 else ""), hint=found[0][1].hint)


__all__ = ["Connect", "Ending", "Look", "Site"]
