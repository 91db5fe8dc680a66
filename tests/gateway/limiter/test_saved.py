"""What keys have used, in a file: it outlives a gateway, and is nobody else's."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmops.errors import LlmopsError
from serving.gateway.limiter import Ask, Book, Bounds, Saved, Tokens, saved

BOUNDS = Bounds(tokens_per_day=1000, requests_per_minute=100)


def use(book: Book, tokens: int, number: int = 0) -> None:
    one, now = Ask(f"req-{number}", "chat/a", BOUNDS), time.time()
    book.admit(one, now)
    book.settle(one, Tokens(0, tokens), now)


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come within 5 s")


async def test_a_new_gateway_knows_what_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved, "EVERY", 0.01)
    book, file = Book(), tmp_path / "usage.json"
    keeping = asyncio.create_task(Saved(file).keep(book))
    use(book, 300)
    await until(file.exists)
    keeping.cancel()
    again = Book()
    Saved(file).read_into(again)
    assert again.dump(time.time())["chat/a"]["day"][1] == 300
    assert again.dump(time.time())["chat/a"]["requests"][0] > 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not file.with_suffix(".new").exists()


async def test_a_disk_that_is_full_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(saved, "EVERY", 0.01)
    book, file = Book(), tmp_path / "no" / "usage.json"
    keeping = asyncio.create_task(Saved(file).keep(book))
    use(book, 1)
    await until(lambda: "was not written" in caplog.text)
    file.parent.mkdir()
    await until(file.exists)  # it is tried again
    keeping.cancel()


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    file = Saved(tmp_path / "usage.json")
    book = Book()
    use(book, 5)
    dumped = book.dump(time.time())
    file.write(dumped)
    before = (tmp_path / "usage.json").stat().st_ino
    file.write(dumped)
    assert (tmp_path / "usage.json").stat().st_ino == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '"text"', '{"a": {"day": []}}'])
def test_a_damaged_file_is_moved_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "usage.json"
    file.write_text(text)
    file.chmod(0o600)
    book = Book()
    Saved(file).read_into(book)
    assert book.dump(time.time()) == {}
    if text:
        assert (tmp_path / "usage.damaged").read_text() == text
        assert not file.exists()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o640, 0o644])
def test_a_file_that_is_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "usage.json"
    file.write_text(json.dumps({}))
    file.chmod(mode)
    with pytest.raises(LlmopsError, match="open to others"):
        Saved(file).read_into(Book())


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("{}")
    (tmp_path / "usage.json").symlink_to(tmp_path / "other")
    with pytest.raises(LlmopsError, match="not a file of counts"):
        Saved(tmp_path / "usage.json").read_into(Book())
