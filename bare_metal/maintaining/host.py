"""A host taken out of service for maintenance, and taken back. Each step can be repeated.

Out: its replicas are started elsewhere before they end here, its agent goes, and a mark on the host
says why, so that no deploy takes it. Back: it must pass its checks first. Refuses the head: with it
goes the endpoint, so another head is deployed before. Refuses a host where others work, unless told
why not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from bare_metal.health import Health, Thresholds, checks_of, verdicts
from bare_metal.hosts.connection import Connector, Unreachable
from bare_metal.hosts.facts import HostFacts, Unknown, gather
from bare_metal.hosts.operations import (
    AgentUnwanted,
    Desired,
    Done,
    Failed,
    HostPlan,
    apply,
    desired,
    plan,
    serves,
)
from bare_metal.inventory import Cluster, Placed, System
from bare_metal.maintaining.work import MOST_NAMED, work_of
from llmops.errors import RefusedError, TargetError


@dataclass(frozen=True, slots=True)
class Stay:
    """What is to do on a host, and what serves there."""

    host: Placed
    want: Desired
    plan: HostPlan
    role: str
    """What its agent does: `head`, `worker`, or empty where it has none."""
    store: str
    """The store that it works for; empty where it has no agent."""


def leaving(
    cluster: Cluster, host: Placed, way: Connector, why: str, within: str, *, despite: str = ""
) -> Stay:
    """What is to do so that nothing runs on a host, and nothing is placed there.

    Args:
        cluster: Whose host it is.
        host: The host.
        way: How hosts are reached.
        why: What its mark says.
        within: How long its replicas may take to be elsewhere, such as `10min`.
        despite: Why it goes although others work there; empty where it does not.

    Raises:
        RefusedError: When it is the head, others work there, or something on it is in the way.
        TargetError: When it does not answer.
    """
    facts = _facts(host, way)
    role, store = serves(facts) or ("", "")
    if role == "head":
        raise RefusedError(
            f"{host.name} is the head for {store}: its endpoint goes with it",
            hint="deploy without it first: name the others in target.hosts",
        )
    agent = AgentUnwanted(store, within) if store else None
    want = replace(_bare(cluster, host), agent=agent, maintenance=why)
    stay = Stay(host, want, _planned(facts, want), role, store)
    others = work_of(facts, cluster).others
    if stay.plan.changes and others and not despite:
        more = f"; and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        raise RefusedError(
            f"{host.name} is at work for others: {'; '.join(others[:MOST_NAMED])}{more}",
            hint="wait until that has ended, or have it moved; or say why it is taken out all the"
            " same: --despite-work WHY",
        )
    return stay


def returning(
    cluster: Cluster, host: Placed, way: Connector, thresholds: Thresholds | None
) -> tuple[Stay, Health]:
    """What is to do so that a host may be given work again, and whether it passes its checks.

    Raises:
        RefusedError: When something on it is in the way.
        TargetError: When it does not answer.
    """
    facts = _facts(host, way)
    health = verdicts(
        cluster, {host.name: facts}, checks=checks_of(cluster, thresholds), hosts=(host,)
    )
    role, store = serves(facts) or ("", "")
    want = replace(_bare(cluster, host), maintenance="")
    return Stay(host, want, _planned(facts, want), role, store), health


def carried_out(stay: Stay, way: Connector, told: Callable[[str, str], None]) -> None:
    """Do what is to do.

    Raises:
        TargetError: When something failed; what was done stays, and the next run goes on.
    """
    name = stay.host.name
    found = apply({name: stay.plan}, (stay.host,), {name: stay.want}, way, told=told)[name]
    if isinstance(found, Done):
        return
    why = found.why if isinstance(found, Failed) else found.reason
    raise TargetError(f"{name}: {why}", hint="run it again once that is mended: it goes on")


def _planned(facts: HostFacts, want: Desired) -> HostPlan:
    made = plan(facts, want)
    if made.refusals:
        first = made.refusals[0]
        raise RefusedError(f"{want.host}: {first.why}", hint=first.hint)
    return made


def _facts(host: Placed, way: Connector) -> HostFacts:
    found = gather((host,), way)[host.name]
    if isinstance(found, Unreachable):
        raise TargetError(f"{host.name}: {found.reason}", hint=found.hint)
    if isinstance(found.ours, Unknown):
        raise TargetError(f"{host.name}: what is set up there is not known: {found.ours.reason}")
    return found


def _bare(cluster: Cluster, host: Placed) -> Desired:
    return replace(desired(cluster, host), system=System())


__all__ = ["Stay", "carried_out", "leaving", "returning"]
