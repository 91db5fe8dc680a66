"""Lines of a log: as they are, as they come, and until the log is removed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from llmops.errors import InputError
from serving.local.logs import lines

SOON = 10.0


class Follower:
    """Follows a log in a thread, one look at a time."""

    def __init__(self, path: Path) -> None:
        self.queue: Queue[str | None] = Queue()
        self._idle, self._go = threading.Semaphore(0), threading.Semaphore(0)
        source = lines(path, follow=True, pause=self._pause)
        self.thread = threading.Thread(target=self._run, args=(source,), daemon=True)
        self.thread.start()

    def _pause(self, seconds: float) -> None:
        self._idle.release()
        assert self._go.acquire(timeout=SOON)

    def _run(self, source: Iterator[str]) -> None:
        for line in source:
            self.queue.put(line)
        self.queue.put(None)

    def wait(self) -> None:
        """Until it has read all there is and waits for more."""
        assert self._idle.acquire(timeout=SOON), "it does not come to the end of the log"

    def look(self) -> None:
        """Let it look again."""
        self._go.release()

    def next(self) -> str | None:
        """The next line; None is its end."""
        return self.queue.get(timeout=SOON)


def test_a_log_is_its_lines(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_bytes(b"one\n\ntwo \xff\xc3\xa9\nno end")
    assert list(lines(log, follow=False)) == ["one", "", "two \ufffd\u00e9", "no end"]


def test_an_empty_log_has_no_lines(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.touch()
    assert list(lines(log, follow=False)) == []


def test_a_missing_log_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log") as caught:
        list(lines(tmp_path / "engine.log", follow=True))
    assert caught.value.hint == "the release has not started yet"


def test_a_followed_log_gives_whole_lines_as_they_come(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("before\n")
    follower = Follower(log)
    follower.wait()
    assert follower.next() == "before"
    with log.open("a") as file:
        file.write("half")
        file.flush()
        follower.look()
        follower.wait()
        assert follower.queue.empty(), "half a line was given as a line"
        file.write(" and half\nnext\n")
    follower.look()
    assert [follower.next(), follower.next()] == ["half and half", "next"]
    follower.wait()
    log.unlink()
    follower.look()
    assert follower.next() is None
    follower.thread.join(SOON)
    assert not follower.thread.is_alive()


def test_what_stands_at_the_end_of_a_removed_log_is_given(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("one\nlast words")
    follower = Follower(log)
    follower.wait()
    log.unlink()
    follower.look()
    assert [follower.next(), follower.next(), follower.next()] == ["one", "last words", None]


def test_a_followed_log_is_waited_for_in_steps_of_a_tenth_of_a_second(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.touch()
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        log.unlink()

    assert list(lines(log, follow=True, pause=pause)) == []
    assert waited == [0.1]
