"""What is to be done next to machines of a pool that are too many, or that an older launch template
has started. Pure.

One machine at a time: only when as many as are planned go on beside it does the next one leave, and
only when nothing of it serves is it ended. In place of one that is behind its group then starts
another: so with one machine to spare there is always room for every replica. It decides from what
is there now alone: whatever an earlier run was cut off in, the next one goes on from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Why = Literal["agent", "leave", "join"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of the group, and what its worker says."""

    id: str
    behind: bool
    """A new one would be started otherwise."""
    as_planned: bool = True
    """It is of the type that is planned: what serves was planned for it."""
    there: bool = True
    """It is not being ended."""
    worker: str = ""
    """Name of its record in the store; empty where it never wrote one: nothing of it serves."""
    replicas: int | None = None
    """That run on it, as its worker says; None where it does not."""
    joined: bool = False
    """It gives signs of life, and is in the Ray."""
    asked: bool = False
    """It is the one that is to leave."""
    left: bool = False
    """It has done so."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is."""

    machines: tuple[Machine, ...]
    desired: int
    """How many the group keeps."""
    work: str = ""
    """What the agent is at, or that it gives no sign of life; empty where nothing is in the way."""
    version: str = ""
    """Of what says which machine is to leave, as the store counts."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing yet."""

    why: Why
    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Have its replicas go elsewhere."""

    machine: Machine
    version: str
    """Of what was seen: another run may have decided otherwise since."""


@dataclass(frozen=True, slots=True)
class End:
    """Have its group end it."""

    machine: Machine
    successor: bool
    """Whether another is started in its place; without, the group keeps one less."""


@dataclass(frozen=True, slots=True)
class Done:
    """There are as many as are planned, and, where that was wanted, as new ones would be."""


Move = Wait | Leave | End | Done


def next_move(seen: Seen, count: int, *, begun: bool, renew: bool) -> Move:
    """What is to be done.

    Args:
        seen: What there is.
        count: Machines that are planned.
        begun: Whether one has been ended: then the end is that its successor has joined.
        renew: Whether those that are behind are to be replaced; or those alone ended that are too
            many.
    """
    there = [machine for machine in seen.machines if machine.there]
    many = len(there) > count and all(machine.as_planned for machine in there)
    asked = next((machine for machine in there if machine.asked), None)
    if asked is not None:
        waits = Wait("leave", f"replicas of {asked.id} go elsewhere")
        return End(asked, successor=not many) if asked.left else waits
    if many:
        return _fewer(seen, there, count)
    if seen.desired > count and all(machine.as_planned for machine in there):
        return Wait("join", f"the group starts one machine more: it still keeps {seen.desired}")
    return _renewed(seen, there, count, begun=begun) if renew else Done()


def _fewer(seen: Seen, there: list[Machine], count: int) -> Move:
    """Of too many: first those that nothing was ever heard of, then one that has joined."""
    unheard = [machine for machine in there if not machine.worker]
    ready = [machine for machine in there if machine.joined]
    if not unheard and len(ready) <= count:
        return Wait("join", f"{len(ready)} of {len(there)} machines have joined")
    if seen.work:
        return Wait("agent", seen.work)
    if unheard:
        return End(unheard[0], successor=False)
    ending = next((one for one in seen.machines if one.asked and not one.there), None)
    if ending is not None:  # named no longer, it would join again before it is gone
        return Wait("join", f"{ending.id} ends")
    return Leave(min(ready, key=last_wanted), seen.version)


def last_wanted(machine: Machine) -> tuple[bool, bool, int]:
    """Order in which machines go that are too many: those that nothing was ever heard of, those
    that are behind, those with the fewest replicas. One that does not say has some."""
    some = 1 if machine.replicas is None else machine.replicas
    return bool(machine.worker), not machine.behind, some


def _renewed(seen: Seen, there: list[Machine], count: int, *, begun: bool) -> Move:
    behind = [machine for machine in there if machine.behind and machine.as_planned]
    if not behind and not begun:
        return Done()
    ready = [machine for machine in there if machine.joined]
    if len(ready) < count:
        return Wait("join", f"{len(ready)} of {count} machines have joined")
    following = next((machine for machine in behind if machine.joined), None)
    if following is None:
        return Done()
    return Wait("agent", seen.work) if seen.work else Leave(following, seen.version)


__all__ = [
    "Done", "End", "Leave", "Machine", "Move", "Seen", "Wait", "Why", "last_wanted", "next_move",
]  # fmt: skip
