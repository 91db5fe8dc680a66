"""What is to do on a host: all operations in order, and the guard over every command of theirs.

Pure. Decided from what the host is now, so that a run that was cut off is gone on with by running
again. What needs a fact that is not known is refused and not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations import (
    accounts,
    agent,
    firewall,
    maintenance,
    program,
    services,
    settings,
    storage,
)
from bare_metal.hosts.operations.guard import refused
from bare_metal.hosts.operations.model import (
    Change,
    Desired,
    Kept,
    Operation,
    Payload,
    Refusal,
    Said,
    UnknowableError,
)
from bare_metal.inventory import Cluster, Placed

OPERATIONS: dict[str, Operation] = {
    "maintenance": maintenance.maintenance,
    "accounts": accounts.accounts,
    "limits": settings.limits,
    "modules": settings.modules,
    "sysctl": settings.sysctl,
    "time": services.clock,
    "cache": storage.cache,
    "firewall": firewall.firewall,
    "subnet-manager": services.subnet_manager,
    "program": program.program,
    "agent": agent.agent,
    "services": services.others,
}
"""By name, in the order that they are done in: modules bring settings, and services come last."""


@dataclass(frozen=True, slots=True)
class HostPlan:
    """What is to do on a host, what is not, and why."""

    host: str
    changes: tuple[Change, ...] = ()
    kept: tuple[Kept, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def desired(cluster: Cluster, host: Placed, payload: Payload | None = None) -> Desired:
    """What a cluster file wants of one of its hosts."""
    return Desired(host.name, host.address, cluster.access.port, cluster.system, payload)


def plan(facts: HostFacts, want: Desired) -> HostPlan:
    """What is to do on a host."""
    said = [one for name in OPERATIONS for one in _said(name, facts, want)]
    return HostPlan(
        want.host,
        tuple(one for one in said if isinstance(one, Change)),
        tuple(one for one in said if isinstance(one, Kept)),
        tuple(one for one in said if isinstance(one, Refusal)),
    )


def _said(name: str, facts: HostFacts, want: Desired) -> Iterator[Said]:
    """What one operation says; once a command of it is refused, those that build on it are not
    given either."""
    try:
        for one in list(OPERATIONS[name](facts, want)):
            why = refused(one.argv, facts, want.address) if isinstance(one, Change) else None
            if why is None:
                yield one
                continue
            yield Refusal(
                f"{one.why}: not done, {why}",
                "do it from the host's console, or restart the host in a maintenance window",
            )
            return
    except UnknowableError as error:
        yield Refusal(
            f"{name}: nothing is done, since this is not known: {error}",
            "see what the host answers: llmops cluster hosts facts",
        )
