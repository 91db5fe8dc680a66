"""Hosts that one command changes at a time: the real lock, on hosts that are this machine's own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bare_metal.hosts.connection import Connector, HostGoneError, held, holding
from bare_metal.inventory import Placed
from llmops.errors import BusyError
from tests.bare_metal.lab import until
from tests.bare_metal.near import NearConnector

HOSTS = tuple(Placed(f"h-{at:03}", "h", at, "r1", f"10.0.0.{at}") for at in range(1, 5))
WITHIN = 2.0
"""Seconds in which a loser is told, which a busy machine may need some of."""
HOLDER = """\
import sys, time
from pathlib import Path
from tests.bare_metal.near import NearConnector
from tests.bare_metal.test_holding import HOSTS, held
with held(HOSTS, NearConnector(Path(sys.argv[1])), "prepared"):
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def near(tmp_path: Path) -> NearConnector:
    for host in HOSTS:
        (tmp_path / host.name).mkdir()
    return NearConnector(tmp_path)


def change(way: Connector, host: Placed = HOSTS[0]) -> None:
    async def one() -> None:
        async with way.writing(host) as session:
            await session.change(["true"], None, seconds=10)

    asyncio.run(one())


def test_a_second_is_told_who_holds_the_hosts_and_changes_none(near: NearConnector) -> None:
    with held(HOSTS, near, "prepared") as first:
        began = time.monotonic()
        with pytest.raises(BusyError) as busy, held(HOSTS[2:], near, "taken out of service"):
            raise AssertionError("two hold the same hosts")
        assert time.monotonic() - began < WITHIN
        said = busy.value.message
        assert said.startswith(f"h-003 is being prepared by pid {os.getpid()} ("), said
        assert f" on {os.uname().nodename}) since " in said, said
        change(first)
    with held(HOSTS, near, "prepared") as again:
        change(again)
    assert len(near.changed) == 2


def test_of_runs_at_once_one_wins(near: NearConnector) -> None:
    won: list[int] = []
    lost: list[BusyError] = []
    everybody = threading.Barrier(4)

    def begin(number: int) -> None:
        everybody.wait()
        try:
            with held(HOSTS, near, "prepared"):
                won.append(number)
                until(lambda: len(won) + len(lost) == 4, 60)
        except BusyError as error:
            lost.append(error)

    for _ in range(3):
        won.clear()
        lost.clear()
        threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1, lost
        assert all("h-001 is being prepared by pid" in error.message for error in lost)


def test_a_holder_that_is_killed_leaves_nothing_in_the_way(near: NearConnector) -> None:
    command = [sys.executable, "-c", HOLDER, str(near.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        try:
            assert other.stdout.readline() == "holds\n"
            with pytest.raises(BusyError, match=f"by pid {other.pid} "), held(HOSTS, near, "x"):
                raise AssertionError("two hold the same hosts")
        finally:
            other.send_signal(signal.SIGKILL)
    print(f"killed {other.pid} while it held {len(HOSTS)} hosts")
    with held(HOSTS, near, "prepared") as way:
        change(way)


def test_a_host_that_does_not_answer_is_told_and_not_changed(near: NearConnector) -> None:
    near.silent = frozenset((HOSTS[0].name,))
    with held(HOSTS, near, "prepared") as way:
        near.silent = frozenset()  # it is back, and yet nobody has it
        assert way.silent["h-001"].reason == "it does not answer"
        with pytest.raises(HostGoneError, match="it does not answer"):
            change(way)
        change(way, HOSTS[1])


def test_without_a_lock_nothing_is_changed(near: NearConnector) -> None:
    (near.folder / "h-002.lock").mkdir()
    with held(HOSTS, near, "prepared") as way, pytest.raises(HostGoneError) as gone:
        change(way, HOSTS[1])
    assert "no lock could be taken on it" in gone.value.reason
    assert "flock" in gone.value.hint


def test_who_has_lost_a_lock_changes_nothing_more(near: NearConnector) -> None:
    with held(HOSTS, near, "prepared") as way:

        async def begun_before() -> None:
            async with way.writing(HOSTS[0]) as session:
                await session.change(["true"], None, seconds=10)
                lose(str(near.folder / "h-001.lock"))
                until(lambda: "h-001" not in way.spoken, 60)
                with pytest.raises(HostGoneError, match="the lock on it was lost"):
                    await session.change(["true"], None, seconds=10)
                with pytest.raises(HostGoneError, match="the lock on it was lost"):
                    async with session.talk(["cat"]):
                        raise AssertionError("something was begun")

        asyncio.run(begun_before())
        with pytest.raises(HostGoneError, match="the lock on it was lost"):
            change(way)
        assert len(near.changed) == 1
        change(way, HOSTS[1])


def lose(lock: str) -> None:
    """Kill what holds a lock."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and lock in command_of(entry).split("\0"):
            os.kill(int(entry.name), signal.SIGKILL)


def command_of(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_text()
    except OSError:
        return ""


def test_who_is_silent_has_ceased_before_another_begins(
    near: NearConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a machine sleeps, or the network is cut without a word."""
    monkeypatch.setattr(holding, "BEAT", 600.0)
    monkeypatch.setattr(holding, "FRESH", 0.5)
    monkeypatch.setattr(holding, "LET_GO", 1.0)
    with held(HOSTS, near, "prepared") as silent:
        until(lambda: holding.elapsed() - silent.spoken["h-001"] > 0.5, 60)
        with pytest.raises(HostGoneError, match="the lock on it was lost"):
            change(silent)
        until(lambda: not silent.spoken, 60)
        monkeypatch.setattr(holding, "FRESH", 60.0)
        with held(HOSTS, near, "prepared") as other:
            change(other)


def test_a_holder_is_answered_for_as_long_as_it_speaks(
    near: NearConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "BEAT", 0.05)
    with held(HOSTS[:1], near, "prepared") as way:
        for _ in range(3):
            before = way.spoken["h-001"]
            until(lambda before=before: way.spoken["h-001"] > before, 60)
        change(way)


def test_what_a_host_says_of_the_holder_is_not_trusted() -> None:
    assert "\x1b" not in holding._holder("100", "40 \x1b[2Jsomebody")
    assert holding._holder("100", "40 " + "x" * 5000).count("x") == 200
    assert holding._holder("100", "").startswith("changed by another llmops command")
