"""One agent at a time works for a store."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from llmops.errors import BusyError
from serving.agent import names
from serving.agent.blobs import NEW, Blobs, StoreUnreachable
from serving.agent.machine.holding import Fenced, Holding
from serving.agent.opening import open_blobs
from serving.agent.presence import LEASE
from serving.agent.words import Lease
from tests.agent.worlds import QUICK, MemoryBlobs, error_of, folder
from tests.releases.simulated import run


class Clock:
    """A clock that moves when somebody sleeps; another agent may do something meanwhile."""

    def __init__(self, other: Holding | None = None) -> None:
        self.now, self.other = 0.0, other

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.other is not None:
            self.other.renew()


def holding(blobs: Blobs, clock: Clock) -> Holding:
    return Holding(blobs, elapsed=lambda: clock.now, sleep=clock.sleep, pace=QUICK)


def lease(blobs: Blobs) -> Lease:
    found, _ = LEASE.read(blobs, names.LEASE)
    assert found is not None
    return found


def elsewhere(blobs: MemoryBlobs) -> None:
    """Make the lease one of a process of which nothing can be known."""
    held, version = LEASE.read(blobs, names.LEASE)
    assert held is not None
    LEASE.write(blobs, names.LEASE, replace(held, place="another machine"), version)


def test_a_second_agent_is_refused_as_soon_as_the_first_beats() -> None:
    blobs, clock = MemoryBlobs(), Clock()
    first = holding(blobs, clock)
    run(first.take())
    other = Clock(first)
    error = error_of(lambda: run(holding(blobs, other).take()))
    assert isinstance(error, BusyError)
    assert "works for memory since" in error.message
    assert other.now < QUICK.lease


def test_the_lease_of_one_that_is_silent_is_taken_when_it_is_over() -> None:
    blobs, clock = MemoryBlobs(), Clock()
    first = holding(blobs, clock)
    run(first.take())
    elsewhere(blobs)
    later = Clock()
    run(holding(blobs, later).take())
    assert QUICK.lease <= later.now < QUICK.lease + 1
    with pytest.raises(BusyError, match="another agent has taken the lease"):
        first.renew()


def test_one_that_said_goodbye_is_followed_at_once() -> None:
    blobs, clock = MemoryBlobs(), Clock()
    first = holding(blobs, clock)
    run(first.take())
    first.end()
    run(holding(blobs, clock).take())
    assert clock.now == 0
    assert not lease(blobs).ended


def test_a_process_of_this_place_that_is_gone_is_not_waited_for() -> None:
    blobs, clock = MemoryBlobs(), Clock()
    run(holding(blobs, clock).take())
    held, version = LEASE.read(blobs, names.LEASE)
    assert held is not None
    LEASE.write(blobs, names.LEASE, replace(held, started=held.started - 1000), version)
    run(holding(blobs, clock).take())
    assert clock.now == 0


def test_nothing_is_written_once_the_lease_is_not_sure() -> None:
    blobs, clock = MemoryBlobs(), Clock()
    held = holding(blobs, clock)
    run(held.take())
    fenced = Fenced(blobs, held)
    fenced.put("keys.json", b"{}", NEW)
    clock.now += QUICK.lease
    with pytest.raises(StoreUnreachable, match="not surely its own"):
        fenced.put("policies.json", b"{}", NEW)
    with pytest.raises(StoreUnreachable):
        fenced.remove("keys.json")
    held.renew()
    fenced.remove("keys.json")


def test_of_agents_at_once_one_works(tmp_path: Path) -> None:
    blobs = open_blobs(folder(tmp_path / "store"))
    won: list[Holding] = []
    lost: list[BusyError] = []

    def start() -> None:
        mine = Holding(blobs, pace=replace(QUICK, lease=30.0, look=0.05))
        try:
            run(mine.take())
        except BusyError as error:
            lost.append(error)
            return
        won.append(mine)
        stop = threading.Event()
        while len(lost) < 2 and not stop.wait(0.02):
            mine.renew()

    threads = [threading.Thread(target=start, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert (len(won), len(lost)) == (1, 2)
