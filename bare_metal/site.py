"""The hosts of a service: looked at, chosen, and what is to do on each so that they serve.

Only looks. Every host that may be taken is asked over SSH and checked; who fails a check, does not
answer, or serves something else is left out with the reason. What is to do is decided from what the
hosts are now, so a run that was cut off is gone on with by looking again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
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

    def look(self, deployment: Deployment, target: BareMetalTarget, *, shared: bool) -> Look:
        """Look at every host that may be taken, and choose.

        Args:
            deployment: What is asked for.
            target: Its target.
            shared: Whether other services of the store are on these hosts: then none leaves.

        Raises:
            RefusedError: When too few may be taken, or something on one of them is in the way.
        """
        cluster = self.cluster()
        hosts = chosen(cluster, target.hosts)
        readings = gather(hosts, self.way(cluster))
        serving = _serving(readings, self.store)
        unfit = self._unfit(cluster, readings, target)
        count = hosts_needed(deployment, target, cluster)
        if shared:
            count = max(count, len([name for name in serving if name not in unfit]))
        choice = choose(cluster, target, count, unfit, serving)
        token = self._token_of(cluster, choice.head, in_use=choice.head.name in serving)
        wants = self._wants(cluster, choice, serving, hosts, token)
        plans = {
            name: plan(found, want)
            for name, want in wants.items()
            if isinstance(found := readings[name], HostFacts)
        }
        _refuse(plans)
        return Look(cluster, choice, readings, wants, plans)

    def _unfit(
        self, cluster: Cluster, readings: Readings, target: BareMetalTarget
    ) -> dict[str, str]:
        """Why hosts may not be taken."""
        own = health.read_thresholds(Path(target.health)) if target.health else None
        hosts = chosen(cluster, tuple(readings))
        found = health.verdicts(
            cluster, readings, checks=health.checks_of(cluster, own), hosts=hosts
        )
        unfit = {one.host.name: one.why for one in found.left_out}
        for name, facts in readings.items():
            if (why := _maintained(facts)) is not None:
                unfit[name] = f"it is in maintenance: {why}"
            other = _role(facts)
            if other is not None and other[1] != self.store:
                unfit.setdefault(name, f"it serves for {other[1]}")
        return unfit

    def _token_of(self, cluster: Cluster, head: Placed, *, in_use: bool) -> str:
        """Ray's token: the head's own where it serves, else a new one."""
        if in_use:
            return asyncio.run(_read_token(self.way(cluster), head))
        return secrets.token_hex(TOKEN_BYTES)

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
                wants[host.name] = self._without(cluster, host)
        return wants

    def _without(self, cluster: Cluster, host: Placed) -> Desired:
        return replace(_bare(cluster, host), agent=AgentUnwanted(self.store))

    def ending(self) -> Ending:
        """What is to do so that no host of the cluster serves for the store any more."""
        cluster = self.cluster()
        hosts = chosen(cluster, ())
        readings = gather([host for host in hosts if host.address], self.way(cluster))
        serving = _serving(readings, self.store)
        there = [host for host in hosts if host.name in serving]
        # Workers go first: the head's agent tells them where their Ray is.
        there.sort(key=lambda host: -serving.index(host.name))
        wants = {host.name: self._without(cluster, host) for host in there}
        plans = {
            name: plan(found, want)
            for name, want in wants.items()
            if isinstance(found := readings[name], HostFacts)
        }
        silent = {
            name: found.reason for name, found in readings.items() if isinstance(found, Unreachable)
        }
        return Ending(cluster, tuple(there), wants, plans, silent)


def _bare(cluster: Cluster, host: Placed) -> Desired:
    """Nothing wanted of a host: what the cluster's file prepares hosts with is another verb's."""
    return Desired(host.name, host.address, cluster.access.port, System())


def _role(facts: HostFacts | Unreachable) -> tuple[str, str] | None:
    if isinstance(facts, Unreachable) or isinstance(facts.ours, Unknown):
        return None
    return serves(facts)


def _maintained(facts: HostFacts | Unreachable) -> str | None:
    if isinstance(facts, Unreachable) or isinstance(facts.ours, Unknown):
        return None
    return maintained(facts)


def _serving(readings: Readings, store: str) -> tuple[str, ...]:
    """Hosts that serve for a store, the head first."""
    found = {name: role for name, facts in readings.items() if (role := _role(facts))}
    ours = [(role[0] != "head", name) for name, role in found.items() if role[1] == store]
    return tuple(name for _, name in sorted(ours, key=lambda one: one[0]))


async def _read_token(way: Connector, head: Placed) -> str:
    """Ray's token from the head's own file.

    Raises:
        TargetError: When it cannot be read.
    """
    try:
        async with way.reading(head) as host:
            ran = await host.run(("cat", TOKEN), seconds=READ_SECONDS)
    except HostGoneError as gone:
        raise TargetError(f"{head.name}: {gone.reason}", hint=gone.hint) from gone
    if ran.code != 0 or not ran.out.strip():
        raise TargetError(f"{head.name}: {TOKEN} cannot be read", hint="access.sudo, or user: root")
    return ran.out.strip()


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
