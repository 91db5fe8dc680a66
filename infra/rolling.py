"""What is to be done next to machines that an older launch template has started. Pure.

One machine at a time: only when all that are planned have joined does the next one leave, and only
when nothing of it serves is it ended; its group then starts another. So with one machine to spare
there is always room for every replica. It decides from what is there now alone: whatever an earlier
run was cut off in, the next one goes on from it.
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
    """It is to be replaced."""
    there: bool = True
    """It is not being ended."""
    worker: str = ""
    """Name of its record in the store; empty where it never wrote one."""
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
    """Have its group replace it."""

    machine: Machine


@dataclass(frozen=True, slots=True)
class Done:
    """All are as new ones would be."""


Move = Wait | Leave | End | Done


def next_move(seen: Seen, count: int, *, begun: bool) -> Move:
    """What is to be done.

    Args:
        seen: What there is.
        count: Machines that are planned.
        begun: Whether one has been ended: then the end is that its successor has joined.
    """
    there = [machine for machine in seen.machines if machine.there]
    asked = next((machine for machine in there if machine.asked), None)
    if asked is not None:
        waits = Wait("leave", f"replicas of {asked.id} go elsewhere")
        return End(asked) if asked.left else waits
    behind = [machine for machine in there if machine.behind]
    if not behind and not begun:
        return Done()
    ready = [machine for machine in there if machine.joined]
    if len(ready) < count:
        return Wait("join", f"{len(ready)} of {count} machines have joined")
    following = next((machine for machine in behind if machine.joined), None)
    if following is None:
        return Done()
    return Wait("agent", seen.work) if seen.work else Leave(following, seen.version)


__all__ = ["Done", "End", "Leave", "Machine", "Move", "Seen", "Wait", "Why", "next_move"]
