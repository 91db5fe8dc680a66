"""A process that stands still is ended by its watchdog; a slow or busy one is let alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psutil
import pytest

from serving.runtime.watchdog import STILL, STOPPED, Look, Standing
from tests.e2e.stage import until

EVERY = 0.02
BEATS = """\
import asyncio, subprocess, sys, time
from serving.runtime.heartbeat import beat
async def main():
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    beating = asyncio.create_task(beat({every}))
    await asyncio.sleep(0.1)
    print(child.pid, flush=True)
    {then}
asyncio.run(main())
"""
GOES_ON = "await asyncio.sleep(600)"
SPINS = "end = time.monotonic() + 600\n    while time.monotonic() < end: pass"
SLEEPS = "time.sleep(600)"


@contextlib.contextmanager
def beating(then: str) -> Iterator[tuple[psutil.Process, psutil.Process, psutil.Process]]:
    """A process with a watchdog, a child of it, and the watchdog."""
    started = subprocess.Popen(
        [sys.executable, "-c", BEATS.format(every=EVERY, then=then)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert started.stdout is not None
        child = psutil.Process(int(started.stdout.readline()))
        process = psutil.Process(started.pid)
        [dog] = [one for one in process.children() if one.pid != child.pid]
        yield process, child, dog
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in psutil.Process(started.pid).children():
                one.kill()
        started.kill()
        started.wait()


def ended(process: psutil.Process) -> Callable[[], bool]:
    def look() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return process.status() == psutil.STATUS_ZOMBIE
        return True

    return look


def test_one_that_is_stopped_is_ended_with_all_that_it_started() -> None:
    with beating(GOES_ON) as (process, child, dog):
        process.send_signal(signal.SIGSTOP)
        until(ended(process))
        until(ended(child))
        until(ended(dog))


def test_one_whose_loop_waits_for_nothing_is_ended() -> None:
    with beating(SLEEPS) as (process, child, _):
        until(ended(process))
        until(ended(child))


@pytest.mark.parametrize("then", [GOES_ON, SPINS])
def test_one_that_beats_or_works_is_let_alone(then: str) -> None:
    with beating(then) as (process, _, dog):
        before = sum(dog.cpu_times()[:2]), dog.num_ctx_switches().voluntary
        until(lambda: dog.num_ctx_switches().voluntary > before[1] + 3 * STILL)
        assert process.is_running()
        assert not ended(process)()


def test_a_watchdog_ends_with_whom_it_looks_after_and_another_follows_one_that_ended() -> None:
    with beating(GOES_ON) as (process, child, dog):
        dog.kill()
        until(lambda: len(process.children()) == 2 and dog not in process.children())
        [other] = [one for one in process.children() if one.pid != child.pid]
        process.kill()
        until(ended(other))
        child.kill()


def standing(*looks: Look, owes: bool = True) -> Standing:
    made = Standing()
    for one in looks:
        made.see({1: one}, owes=owes)
    return made


@pytest.mark.parametrize(
    ("state", "ticks", "stopped", "still"),
    [
        ("T", [5] * 9, 9, 8),
        ("S", [5] * 9, 0, 8),
        ("S", range(9), 0, 0),  # works
        ("R", [5] * 9, 0, 0),  # would work, if it could
        ("D", [5] * 9, 0, 0),  # waits for a disk
        ("t", [5] * 9, 0, 0),  # held by a debugger
    ],
)
def test_only_what_is_stopped_or_does_nothing_stands_still(
    state: str, ticks: list[int], stopped: int, still: int
) -> None:
    made = standing(*(Look(state, one) for one in ticks))
    assert (made.stopped, made.still) == (stopped, still)


@pytest.mark.parametrize(
    ("state", "looks", "fallen"),
    [("T", STOPPED - 1, False), ("T", STOPPED, True), ("S", STILL, False), ("S", STILL + 1, True)],
)
def test_what_is_stopped_has_fallen_sooner_than_what_is_still(
    state: str, looks: int, fallen: bool
) -> None:
    assert standing(*[Look(state, 5)] * looks).fallen is fallen


def test_doing_nothing_is_well_where_nothing_is_owed() -> None:
    assert standing(*[Look("S", 5)] * 9, owes=False).still == 0


def test_who_goes_on_after_a_while_has_not_stood_still() -> None:
    looks = [Look("T", 5)] * (STOPPED - 1) + [Look("S", 6)]
    made = standing(*looks)
    assert (made.stopped, made.still) == (0, 0)


def test_a_process_that_is_gone_does_not_stand_still() -> None:
    made = Standing()
    for _ in range(9):
        made.see({os.getpid(): None})
    assert made.stopped == 0
