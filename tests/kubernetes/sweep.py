"""A sweep over crash points: every command of a life is killed at every write, and run again.

One uncrashed life is the measure: how often each command writes, and what there is after it. Then
each lane lives further lives, and in each one every command is killed at the same place; whatever
the killed runs left, the life must go on as if nothing had happened.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.kubernetes.lane import COMMANDS, SERVICE, Lane
from tests.kubernetes.mortal import MortalClient
from tests.kubernetes.snapshot import Snapshot, difference, everything, ours, record

EVERY = 40
"""How far apart the writes are that never arrive: all but what runs in several threads is then as
after the write before."""
SETTLES = 20.0
"""Seconds within which what others do on their own has ended."""


@dataclass(frozen=True)
class Place:
    """Where the runs of a life are killed."""

    at: int
    arrives: bool

    def __str__(self) -> str:
        return f"{'after' if self.arrives else 'before'} write {self.at}"


@dataclass(frozen=True)
class Point:
    """One run that was killed."""

    command: str
    place: Place
    write: str
    """What it wrote last."""
    noticed: bool
    """Whether what it left differed from what should be there, so that there was something to
    recover."""
    wrong: str
    """Where the next run's end differs from that of a run that nobody killed; empty when it does
    not."""

    def __str__(self) -> str:
        told = f"\n{self.wrong}" if self.wrong else ""
        return f"{self.command} killed {self.place} ({self.write}){told}"


@dataclass
class Measure:
    """What an uncrashed life shows."""

    writes: dict[str, list[str]] = field(default_factory=dict)
    ends: dict[str, Snapshot] = field(default_factory=dict)
    ours: dict[str, Snapshot] = field(default_factory=dict)


def measure(lane: Lane) -> Measure:
    """Live one life that nobody cuts short."""
    found = Measure()
    for command in COMMANDS:
        client = MortalClient(lane.client)
        lane.run(command, client)
        found.writes[command] = client.written
        found.ends[command] = _settled(lane)
        found.ours[command] = ours(lane.client, lane.namespace)
    lane.forget()
    return found


def sweep(lanes: Sequence[Lane], measured: Measure, step: int = 1) -> list[Point]:
    """Kill every command at its writes, before and after; what became of each.

    Args:
        lanes: Where lives are lived.
        measured: What an uncrashed one shows.
        step: How far apart the writes are that arrive: 1 for each.
    """
    most = max(map(len, measured.writes.values()))
    places: queue.SimpleQueue[Place] = queue.SimpleQueue()
    for at in range(1, most + 1, step):
        places.put(Place(at, arrives=True))
    for at in range(1, most + 1, EVERY):
        places.put(Place(at, arrives=False))
    points: list[Point] = []
    errors: list[BaseException] = []

    def live(lane: Lane) -> None:
        try:
            while not places.empty():
                points.extend(_life(lane, measured, places.get_nowait()))
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            errors.append(error)

    threads = [threading.Thread(target=live, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return points


def _life(lane: Lane, measured: Measure, place: Place) -> list[Point]:
    """A life in which every command is killed at one place; shorter ones are left out."""
    points = []
    commands = _needed(measured, place)
    for command in commands:
        client = MortalClient(lane.client, place.at, arrives=place.arrives)
        if lane.run(command, client):
            continue
        noticed = ours(lane.client, lane.namespace) != measured.ours[command]
        lane.run(command, MortalClient(lane.client))
        wrong = _wrong(lane, _end(measured, command, len(commands)))
        points.append(Point(command, place, client.written[-1], noticed, wrong))
        print(f"{lane.namespace}: {points[-1]}", flush=True)
    lane.forget()
    return points


def _needed(measured: Measure, place: Place) -> list[str]:
    """The commands up to the last that writes so often, and the end."""
    long = [c for c in COMMANDS[:-1] if len(measured.writes[c]) >= place.at]
    last = max((COMMANDS.index(command) for command in long), default=0)
    return [*COMMANDS[: last + 1], COMMANDS[-1]]


def _end(measured: Measure, command: str, lived: int) -> Snapshot:
    """What there is after a command; the record of a shorter life holds fewer releases."""
    end = measured.ends[command]
    if command != COMMANDS[-1]:
        return end
    return {
        key: value[: lived - 1] if value == record(end) else value for key, value in end.items()
    }


def _wrong(lane: Lane, wanted: Snapshot) -> str:
    """Where the end differs from what is wanted, once others have had their time."""
    until = time.monotonic() + SETTLES
    while text := difference(everything(lane.target(), SERVICE), wanted):
        if time.monotonic() > until:
            return text
        time.sleep(0.2)
    return ""


def _settled(lane: Lane) -> Snapshot:
    """What there is once nothing changes any more."""
    quiet, before = 0, everything(lane.target(), SERVICE)
    while quiet < 4:
        time.sleep(0.25)
        now = everything(lane.target(), SERVICE)
        quiet, before = (quiet + 1 if now == before else 0), now
    return before
