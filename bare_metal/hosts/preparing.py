"""Hosts prepared from end to end: what is wanted, what that changes, and what came of it.

A host that cannot be reached stays in every list to the end, and decides the exit code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bare_metal.hosts.connection import MOST_AT_ONCE, Connector, Unreachable
from bare_metal.hosts.facts import Readings
from bare_metal.hosts.operations import (
    Desired,
    Done,
    Failed,
    HostPlan,
    Outcome,
    apply,
    desired,
    named,
    payload_of,
    plan,
)
from bare_metal.inventory import Cluster, Placed

Plans = Mapping[str, HostPlan | Unreachable]


def wanted(cluster: Cluster, hosts: Sequence[Placed], folder: Path) -> dict[str, Desired]:
    """What a cluster file wants of each host.

    Raises:
        InputError: When llmops's wheel or lock cannot be read.
    """
    payload = payload_of(cluster, folder)
    return {host.name: desired(cluster, host, payload) for host in hosts}


def plan_hosts(
    readings: Readings, wants: Mapping[str, Desired]
) -> dict[str, HostPlan | Unreachable]:
    """What is to do on each host."""
    return {
        name: found if isinstance(found, Unreachable) else plan(found, wants[name])
        for name, found in readings.items()
    }


def changing(made: Plans, hosts: Sequence[Placed]) -> tuple[Placed, ...]:
    """Hosts that something is to do on."""
    return tuple(
        host for host in hosts if isinstance(found := made[host.name], HostPlan) and found.changes
    )


def carry_out(
    made: Plans, hosts: Sequence[Placed], wants: Mapping[str, Desired], by: Connector, *,
    most: int = MOST_AT_ONCE, told: Callable[[str, str], None] = lambda _host, _line: None,
) -> dict[str, Outcome]:  # fmt: skip
    """Carry out what is to do on some hosts."""
    there = {name: found for name, found in made.items() if isinstance(found, HostPlan)}
    return apply(there, hosts, wants, by, most=most, told=told)


def summary(made: Plans, done: Mapping[str, Outcome], *, preview_only: bool) -> Iterator[str]:
    """What came of it, for people: every host is counted."""
    gone = [name for name, found in made.items() if isinstance(found, Unreachable)]
    gone += [name for name, outcome in done.items() if isinstance(outcome, Unreachable)]
    failed = {name: one.why for name, one in done.items() if isinstance(one, Failed)}
    refused = [n for n, found in made.items() if isinstance(found, HostPlan) and found.refusals]
    to_do = [n for n, found in made.items() if isinstance(found, HostPlan) and found.changes]
    idle = [n for n in made if n not in to_do and n not in gone]
    for name, why in failed.items():
        yield f"failed: {name}: {why}"
    if gone:
        yield f"unreachable: {named(gone)}: run it again when they are back"
    changed = sum(isinstance(one, Done) for one in done.values())
    yield (
        f"{len(made)} hosts: {changed} changed, {len(idle)} had nothing to do,"
        f" {len(failed)} failed, {len(gone)} unreachable"
        + (f", {len(refused)} with something that was not done" if refused else "")
        + (f", {len(to_do)} to be changed" if preview_only else "")
    )


def exit_code(made: Plans, done: Mapping[str, Outcome]) -> int:
    """0: all is as wanted; 3: something was refused; 4: some hosts failed; 5: all of them did."""
    bad = {n for n, found in made.items() if isinstance(found, Unreachable)}
    bad |= {n for n, outcome in done.items() if not isinstance(outcome, Done)}
    if bad:
        return 5 if len(bad) == len(made) else 4
    refused = any(isinstance(found, HostPlan) and found.refusals for found in made.values())
    return 3 if refused else 0
