"""Machines of a pool ended or replaced one after another while their service goes on.

`rolling` decides; here it is seen and done, through the account and through the store, where each
machine's own worker reads that it is to leave. Every step is one write, and may be repeated.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Protocol

from infra.account import Account, Remover, Started
from infra.rolling import Done, Leave, Machine, Move, Seen, Wait, Why, next_move
from infra.standing import by_address
from llmops.errors import LlmopsError, TargetError
from llmops.events import Flow, Progress, StepEnded
from llmops.waiting import wait
from serving.agent import AgentTarget, Leaving, Node

PHASE = "roll"
EMPTYING = 1800.0
"""Seconds that a machine's replicas may take to be elsewhere: they load their weights there."""
PATIENCE: Mapping[Why, float] = {"agent": 1800.0, "leave": EMPTYING + 120.0, "join": 1800.0}
"""Seconds that each wait may take; what is asked of a worker, it is told within seconds."""
POLL = 10.0
"""Seconds between two looks."""


class Fleet(Protocol):
    """The machines of a pool."""

    def look(self) -> Seen:
        """What there is now."""
        ...

    def have_leave(self, machine: Machine, version: str) -> None:
        """Have its replicas go elsewhere, unless another run has decided otherwise since."""
        ...

    def end(self, machine: Machine, *, successor: bool) -> None:
        """Have its group end it, and start another in its place or keep one less."""
        ...

    def have_stay(self) -> None:
        """Have no machine leave that is not being ended."""
        ...


def fewer(fleet: Fleet, count: int, *, poll: float = POLL) -> Flow[int]:
    """End what is more than planned, one machine after another; returns how many were.

    Args:
        fleet: The machines.
        count: How many are planned.
        poll: Seconds between two looks.

    Raises:
        TargetError: When one does not become empty in time. What serves goes on; the next run goes
            on from there.
    """
    still = "more machines than planned are still there"
    return (yield from _moved(fleet, count, still, renew=False, poll=poll))


def roll(fleet: Fleet, count: int, *, poll: float = POLL) -> Flow[int]:
    """Replace what is behind, one machine after another; returns how many were.

    Args:
        fleet: The machines.
        count: How many are planned.
        poll: Seconds between two looks.

    Raises:
        TargetError: When one does not become empty, or its successor does not join, in time. What
            serves goes on; the next run goes on from there.
    """
    still = "not all machines are replaced"
    return (yield from _moved(fleet, count, still, renew=True, poll=poll))


def _moved(fleet: Fleet, count: int, still: str, *, renew: bool, poll: float) -> Flow[int]:
    ended: set[str] = set()
    began = time.monotonic()

    def move() -> Move:
        seen = _without(fleet.look(), ended)
        return next_move(seen, count, begun=bool(ended), renew=renew)

    try:
        while not isinstance(found := move(), Done):
            if isinstance(found, Wait):
                yield from _waited(move, found.why, poll)
            elif isinstance(found, Leave):
                began = time.monotonic()
                yield Progress(PHASE, f"{found.machine.id} is to leave")
                fleet.have_leave(found.machine, found.version)
            else:
                fleet.end(found.machine, successor=found.successor)
                ended.add(found.machine.id)
                yield StepEnded(f"empty and end {found.machine.id}", time.monotonic() - began)
    except LlmopsError as error:
        raise TargetError(
            f"the release serves, but {still}: {error.message}",
            hint=error.hint or "deploy again to go on; docs/aws.md says what to look at",
            serving=True,
        ) from error
    finally:
        with contextlib.suppress(LlmopsError):  # the next deploy takes it back as well
            fleet.have_stay()
    return len(ended)


def _waited(move: Callable[[], Move], why: Why, poll: float) -> Flow[None]:
    def look() -> str | None:
        found = move()
        return found.reason if isinstance(found, Wait) and found.why == why else None

    yield from wait(PHASE, look, PATIENCE[why], poll=poll)


def _without(seen: Seen, ended: AbstractSet[str]) -> Seen:
    """What was ended counts as that, however long the group still lists it."""
    machines = [replace(one, there=one.there and one.id not in ended) for one in seen.machines]
    return replace(seen, machines=tuple(machines))


@dataclass(frozen=True, slots=True)
class Pool:
    """The machines of an Auto Scaling group, and their workers. Implements `Fleet`."""

    account: Account
    remover: Callable[[], Remover]
    agent: AgentTarget
    group: str
    machine: str
    """The type that is planned: what serves was planned for it, so that no other is replaced."""
    clock: Callable[[], float] = time.time

    def look(self) -> Seen:
        """What there is now.

        Raises:
            UnreachableError: When the account or the store cannot be asked.
        """
        asked, version = self.agent.leaving()
        nodes, group = by_address(self.agent.recorded()), self.account.group(self.group)
        if group is None:
            raise TargetError(f"there is no Auto Scaling group {self.group}")
        behind = {one.id for one in group.behind}
        machines = [
            replace(
                self._machine(one, nodes.get(one.address), asked),
                behind=one.id in behind,
                as_planned=one.machine == self.machine,
            )
            for one in group.machines
        ]
        return Seen(tuple(machines), group.desired, self._work(), version)

    def _machine(self, started: Started, node: Node | None, asked: Leaving | None) -> Machine:
        found = Machine(started.id, behind=False, there=started.there)
        if node is None or node.renewed_at < started.since:  # of another one at its address before
            return found
        named = asked if asked is not None and asked.name == node.name else None
        # What was asked before it was started was about another one of its name.
        mine = named if named is not None and named.at >= started.since else None
        return replace(
            found,
            worker=node.name,
            replicas=node.replicas,
            joined=node.alive(self.clock()) and bool(node.joined),
            asked=mine is not None,
            left=mine is not None and node.left(mine.at),
        )

    def _work(self) -> str:
        presence = self.agent.presence()
        if presence.lease is None or not presence.alive:
            return "the head's agent gives no sign of life"
        return next((f"the agent is at work: {one.verb} {one.service}"
                     for one in presence.lease.work), "")  # fmt: skip

    def have_leave(self, machine: Machine, version: str) -> None:
        """Have its replicas go elsewhere, unless another run has decided otherwise since."""
        self.agent.have_leave(machine.worker, EMPTYING, version)

    def end(self, machine: Machine, *, successor: bool) -> None:
        """Have its group end it, and start another in its place or keep one less."""
        self.remover().end(machine.id, successor=successor)

    def have_stay(self) -> None:
        """Have no machine leave that is not being ended: that one would join again before it is."""
        if self.agent.leaving()[0] is None:
            return
        if not any(one.asked and not one.there for one in self.look().machines):
            self.agent.have_stay()


__all__ = ["EMPTYING", "Fleet", "Pool", "fewer", "roll"]
