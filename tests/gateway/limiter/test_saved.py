"""What keys have used, in a file: whole at every moment, one gateway's, and nobody else's."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import LlmopsError
from serving.gateway.limiter import Ask, Book, Bounds, Saved, Tokens, saved

BOUNDS = Bounds(tokens_per_day=1000, requests_per_minute=100)


def use(book: Book, tokens: int, number: int = 0) -> None:
    one, now = Ask(f"req-{number}", "chat/a", BOUNDS), time.time()
    book.admit(one, now)
    book.settle(one, Tokens(0, tokens), now)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Saved, Book]]:
    file, book = Saved(path), Book()
    file.open(book, time.time())
    yield file, book
    file.close()


def record(tokens: int) -> dict[str, Any]:
    book = Book()
    use(book, tokens)
    return book.ahead(time.time())


def test_a_new_gateway_knows_what_was_used(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    with opened(path) as (file, book):
        use(book, 300)
        file.write(book.ahead(time.time()))
    with opened(path) as (_, again):
        found = again.dump(time.time())["chat/a"]
        assert found["day"][1] == 300
        assert found["requests"][0] > 0
        assert again.covered("chat/a"), "what was read is on record"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_suffix(".new").exists()


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    path, one = tmp_path / "usage.json", record(5)
    file = Saved(path)
    file.write(one)
    before = path.stat().st_ino
    file.write(one)
    assert path.stat().st_ino == before


CALLS = ("os.open", "os.fdopen", "os.fsync", "json.dump", "pathlib.Path.replace")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_a_write_that_breaks_off_anywhere_leaves_the_old_or_the_new_and_the_next_one_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, late: bool
) -> None:
    path, old, new = tmp_path / "usage.json", record(5), record(50)
    file = Saved(path)
    file.write(old)
    with monkeypatch.context() as patch:
        module, _, name = call.rpartition(".")
        patch.setattr(call, breaking(getattr(_module(module), name), late))
        with pytest.raises(OSError, match="full"):
            file.write(new)
    assert json.loads(path.read_text()) in (old, new)
    file.write(old)
    assert json.loads(path.read_text()) == old
    file.write(new)
    assert json.loads(path.read_text()) == new


def _module(name: str) -> Any:
    return {"os": os, "json": json, "pathlib.Path": Path}[name]


def breaking(real: Any, late: bool) -> Any:
    def broken(*args: Any, **options: Any) -> Any:
        if late:
            real(*args, **options)
        raise OSError(errno.ENOSPC, "full")

    return broken


def test_what_a_killed_writer_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    path.with_suffix(".new").write_text('{"half')
    Saved(path).write(record(7))
    with opened(path) as (_, book):
        assert book.dump(time.time())["chat/a"]["day"][1] == 7


def test_one_gateway_at_a_time_counts_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "HANDED_OVER", 0.0)
    path = tmp_path / "usage.json"
    with opened(path), pytest.raises(LlmopsError, match="another gateway counts in"):
        Saved(path).open(Book(), time.time())
    with opened(path):
        pass
    assert stat.S_IMODE(path.with_suffix(".lock").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '"text"', '{"a": {"day": []}}'])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, text: str) -> None:
    path = tmp_path / "usage.json"
    path.write_text(text)
    path.chmod(0o600)
    with opened(path) as (_, book):
        assert book.dump(time.time()) == {}
    if text:
        assert (tmp_path / "usage.damaged").read_text() == text
        assert not path.exists()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o640, 0o644])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "usage.json"
    path.write_text(json.dumps({}))
    path.chmod(mode)
    with pytest.raises(LlmopsError, match="open to others"):
        Saved(path).open(Book(), time.time())


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}")
    (tmp_path / "usage.json").symlink_to(tmp_path / "other")
    with pytest.raises(LlmopsError, match="not a file of counts"):
        Saved(tmp_path / "usage.json").open(Book(), time.time())


def test_it_holds_what_this_month_needs_and_no_more(tmp_path: Path) -> None:
    month = 32 * 86400.0
    book, now = Book(), 1_700_049_600.0
    for number in range(50):
        one = Ask(f"req-{number}", f"chat/key-{number}", BOUNDS)
        book.admit(one, now)
        book.settle(one, Tokens(0, 9), now)
    assert len(book.ahead(now)) == 50
    assert book.ahead(now + month) == {}
