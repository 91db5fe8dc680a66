"""Two writers at once over the simulated target, their moves interleaved in any way.

The flow, the reconciler, the record and the lock are the real ones; the runtime is simulated. What
real processes do to each other is in `test_races`. The property: whatever the moves, what came of
it is what the writers would have made one after the other, less those that were turned away; and
who was turned away was told by whom, and has changed nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops import workflow
from llmops.errors import BusyError, LlmopsError
from serving.locking import ServiceLock
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import BrokenPromise, SimulatedTarget, run

RACES = 250

Moves = Generator[Any, None, Any]
Writer = Callable[["Raced"], Moves]


class Raced(SimulatedTarget):
    """The simulated target, with the lock that real ones have."""

    locks: ServiceLock | None = None

    @contextlib.contextmanager
    def lock(self, service: str, purpose: str) -> Generator[None, None, None]:
        with self.locks.hold(service, purpose) if self.locks else contextlib.nullcontext():
            yield


def _deploy(source: str) -> Writer:
    return lambda world: workflow.deploy(
        world, make_deployment(source), planner=plan_of, clock=lambda: world.now, sleep=world.sleep
    )


def _rollback(world: Raced) -> Moves:
    return workflow.rollback(world, SERVICE, None, clock=lambda: world.now)


def _destroy(world: Raced) -> Moves:
    return workflow.destroy(world, SERVICE, clock=lambda: world.now)


def _key(world: Raced) -> Moves:
    yield None
    return world.create_key(SERVICE, "team")


WRITERS: dict[str, Writer] = {
    "deploy b": _deploy("b"), "deploy c": _deploy("c"), "deploy an adapter": _deploy("b+x"),
    "deploy what cannot start": _deploy("bad-start"), "rollback": _rollback, "destroy": _destroy,
    "make a key": _key,
}  # fmt: skip
PURPOSES = {"deploy": "deployed", "rollback": "rolled back", "destroy": "destroyed"}


def _before(folder: Path | None) -> Raced:
    """Two releases after each other, the second live."""
    world = Raced(gap_allowed=True)  # one of the writers may be a destroy
    for source in ("a", "b"):
        run(_deploy(source)(world))
    world.locks = ServiceLock(folder) if folder else None
    return world


def _state(world: Raced) -> tuple[Any, ...]:
    """What is left, but for when it came to be."""
    recorded = [(r.number, r.state, r.plan.identity) for r in world.store.history.releases]
    apps = {number: (app.phase, app.engine) for number, app in world.apps.items()}
    shares = {number: share for number, share in world.shares.items() if share}
    return recorded, apps, shares, sorted(world.made_keys)


class Race:
    """Two writers, and what has become of each."""

    def __init__(self, world: Raced, names: tuple[str, str]) -> None:
        self.world = world
        self.names = names
        self.flows = [WRITERS[name](world) for name in names]
        self.ends: dict[int, str] = {}
        """How each has ended, in the order in which they did."""
        self.refused: dict[int, str] = {}

    def move(self, which: int) -> None:
        """Let a writer make a move."""
        if which in self.ends:
            return
        try:
            next(self.flows[which])
        except StopIteration:
            self.ends[which] = "done"
        except BusyError as error:
            self.ends[which] = self.refused[which] = error.message
        except LlmopsError as error:
            self.ends[which] = type(error).__name__


def race(names: tuple[str, str], moves: list[int], folder: Path | None) -> Race:
    """Two writers whose moves are interleaved so; then each goes on to its end."""
    both = Race(_before(folder), names)
    for which in itertools.chain(moves, itertools.repeat(0, 500), itertools.repeat(1, 500)):
        both.move(which)
    assert len(both.ends) == 2, "a writer does not end"
    return both


def serially(names: list[str]) -> tuple[list[str], tuple[Any, ...]]:
    """How writers end that come one after the other, and what is left."""
    world, ends = _before(None), []
    for name in names:
        try:
            run(WRITERS[name](world))
            ends.append("done")
        except LlmopsError as error:
            ends.append(type(error).__name__)
    return ends, _state(world)


def _orders(both: Race) -> Iterator[tuple[list[str], tuple[Any, ...]]]:
    """What the writers that were not turned away could have made one after the other."""
    worked = [which for which in both.ends if which not in both.refused]
    for order in itertools.permutations(worked):
        ends, state = serially([both.names[which] for which in order])
        if ends == [both.ends[which] for which in order]:
            yield ends, state


def judge(both: Race) -> None:
    """Hold a race against what is promised of it."""
    both.world.judge()
    found = _state(both.world)
    assert len(both.refused) < 2, "both were turned away"
    for which, said in both.refused.items():
        verb = both.names[1 - which].split()[0]
        assert f"{SERVICE} is being {PURPOSES[verb]} by pid {os.getpid()} " in said, said
    assert found in [state for _, state in _orders(both)], f"{both.ends}: {found}"


pairs = st.tuples(st.sampled_from(sorted(WRITERS)), st.sampled_from(sorted(WRITERS)))
moves = st.lists(st.integers(0, 1), max_size=60)


@settings(max_examples=RACES, database=None, suppress_health_check=list(HealthCheck))
@given(names=pairs, moves=moves)
def test_two_writers_end_as_one_after_the_other_would(
    names: tuple[str, str], moves: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        judge(race(names, moves, Path(folder)))


def test_who_comes_second_is_turned_away_whatever_it_wanted(tmp_path: Path) -> None:
    locked = [name for name in WRITERS if name.split()[0] in PURPOSES]
    for first, second in itertools.product(locked, locked):
        both = race((first, second), [0, 0, 1], tmp_path / "locks")
        assert list(both.refused) == [1], f"{second} during {first}"
        judge(both)


def test_without_the_lock_two_writers_end_otherwise() -> None:
    with pytest.raises((AssertionError, BrokenPromise)):
        _unlocked()


def _unlocked() -> None:
    """A deploy and a destroy that take turns, for longer and longer."""
    for length in range(1, 30):
        judge(race(("deploy c", "destroy"), [0, 1] * length, None))
