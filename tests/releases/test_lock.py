"""One writer per service, among real processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import stat
import threading
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import BusyError, InputError
from serving import locking
from serving.locking import ServiceLock

SPAWN = multiprocessing.get_context("spawn")


def _hold(root: Path, held: Event, end: Event) -> None:
    with ServiceLock(root).hold("chat", "deployed"):
        held.set()
        end.wait(60)


def _race(root: Path, start: Barrier, end: Event, results: Any) -> None:
    start.wait(60)
    try:
        with ServiceLock(root).hold("chat", "deployed"):
            results.put(("won", os.getpid()))
            end.wait(60)
    except BusyError as error:
        results.put((error.message, os.getpid()))


def test_the_second_taker_is_told_who_and_since_when(tmp_path: Path) -> None:
    held, end = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=_hold, args=(tmp_path, held, end))
    holder.start()
    assert held.wait(60)
    with pytest.raises(BusyError) as caught, ServiceLock(tmp_path).hold("chat", "destroyed"):
        pass
    said = rf"chat is being deployed by pid {holder.pid} \(.+\) since \d\d:\d\d:\d\d \(\d+ s\)"
    assert re.fullmatch(said, caught.value.message), caught.value.message
    end.set()
    holder.join(60)
    with ServiceLock(tmp_path).hold("chat", "destroyed"):
        pass


def test_a_holder_that_is_killed_frees_the_lock(tmp_path: Path) -> None:
    held, end = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=_hold, args=(tmp_path, held, end))
    holder.start()
    assert held.wait(60)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join(60)
    assert holder.exitcode == -signal.SIGKILL
    assert str(holder.pid) in (tmp_path / "chat.lock").read_text(), "the fault did not land"
    with ServiceLock(tmp_path).hold("chat", "deployed"):
        assert json.loads((tmp_path / "chat.lock").read_text())["pid"] == os.getpid()


def test_of_many_that_race_one_wins_and_the_others_name_it(tmp_path: Path) -> None:
    start, end, results = SPAWN.Barrier(4), SPAWN.Event(), SPAWN.Queue()
    racers = [SPAWN.Process(target=_race, args=(tmp_path, start, end, results)) for _ in range(4)]
    for racer in racers:
        racer.start()
    told = [results.get(timeout=60) for _ in racers]
    end.set()
    for racer in racers:
        racer.join(60)
    [winner] = [pid for text, pid in told if text == "won"]
    for text, _ in told:
        assert text == "won" or f"pid {winner} " in text or "just begun" in text


def test_who_comes_before_the_holder_has_signed_is_told_its_name_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, told = threading.Event(), threading.Event()
    sign = locking.sign

    def sign_late(file: Any, purpose: str, **how: bool) -> None:
        taken.set()
        told.wait(0.3)  # nobody sets it before: so long it stays unsigned
        sign(file, purpose, **how)

    monkeypatch.setattr(locking, "sign", sign_late)

    def hold() -> None:
        with ServiceLock(tmp_path).hold("chat", "deployed"):
            told.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    with pytest.raises(BusyError, match=f"deployed by pid {os.getpid()} "):
        ServiceLock(tmp_path).take("chat", "destroyed")
    told.set()
    holder.join(60)


def _hold_until_wanted(root: Path, held: Event, end: Event) -> None:
    with ServiceLock(root).hold("chat", "watched", gives_way=True):
        held.set()
        end.wait(60)


def test_a_holder_that_gives_way_is_ended_by_who_wants_the_lock(tmp_path: Path) -> None:
    held, end = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=_hold_until_wanted, args=(tmp_path, held, end))
    holder.start()
    assert held.wait(60)
    lock = ServiceLock(tmp_path)
    assert not lock.left("chat")
    with lock.hold("chat", "deployed"):
        holder.join(60)
        assert holder.exitcode == -signal.SIGTERM
        assert not lock.left("chat")
    assert lock.left("chat")


def test_one_that_gives_way_takes_the_lock_from_nobody_who_does_not(tmp_path: Path) -> None:
    held, end = SPAWN.Event(), SPAWN.Event()
    holder = SPAWN.Process(target=_hold, args=(tmp_path, held, end))
    holder.start()
    assert held.wait(60)
    with (
        pytest.raises(BusyError, match="chat is being deployed"),
        ServiceLock(tmp_path).hold("chat", "watched", gives_way=True),
    ):
        pass
    end.set()
    holder.join(60)
    assert holder.exitcode == 0


def test_what_nobody_has_taken_or_a_dead_one_has_is_left(tmp_path: Path) -> None:
    lock = ServiceLock(tmp_path)
    assert lock.left("chat")
    dead = {"pid": os.getpid(), "life": ":1.00", "since": 1.0, "user": "eve", "purpose": "deployed"}
    (tmp_path / "chat.lock").write_text(json.dumps(dead))
    assert lock.left("chat")


def test_it_is_not_reentrant(tmp_path: Path) -> None:
    lock = ServiceLock(tmp_path)
    with (
        lock.hold("chat", "deployed"),
        pytest.raises(BusyError, match=f"pid {os.getpid()} "),
        lock.hold("chat", "deployed"),
    ):
        pass


def test_services_do_not_wait_for_one_another(tmp_path: Path) -> None:
    lock = ServiceLock(tmp_path)
    with lock.hold("chat", "deployed"), lock.hold("other", "deployed"):
        pass


@pytest.mark.parametrize(
    "left",
    [
        "",
        "{",
        "[]",
        '{"pid": 1}',
        # A pid that was given out again: this process, but started at another time.
        json.dumps(
            {"pid": os.getpid(), "life": ":1", "since": 1.0, "user": "eve", "purpose": "deployed"}
        ),
    ],
    ids=["empty", "cut off", "a list", "a pid alone", "another process of that pid"],
)
def test_what_a_dead_holder_left_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.setattr(locking, "SIGNED_WITHIN", 0.1)
    lock = ServiceLock(tmp_path)
    with lock.hold("chat", "deployed"):
        (tmp_path / "chat.lock").write_text(left)
        with pytest.raises(BusyError, match="just begun") as caught, lock.hold("chat", "deployed"):
            pass
    assert "eve" not in caught.value.message


def test_a_failure_inside_frees_the_lock(tmp_path: Path) -> None:
    lock = ServiceLock(tmp_path)
    with pytest.raises(RuntimeError, match="inside"), lock.hold("chat", "deployed"):
        raise RuntimeError("inside")
    with lock.hold("chat", "deployed"):
        pass


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    with ServiceLock(tmp_path / "locks").hold("chat", "deployed"):
        mode = (tmp_path / "locks" / "chat.lock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError), ServiceLock(tmp_path).hold("../chat", "deployed"):
        pass
    assert not (tmp_path.parent / "chat.lock").exists()
