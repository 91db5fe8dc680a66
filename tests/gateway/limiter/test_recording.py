"""Counts that outlive a gateway: whatever it is killed at, a key never spends more than its limit,
and loses no more of it than was said."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.gateway.limiter import (
    Ask,
    Book,
    Bounds,
    Denied,
    LimiterGone,
    RecordedLimiter,
    Saved,
    Standing,
    Tokens,
    recording,
)
from serving.gateway.limiter.period import AHEAD, DAY

NOON = 1_700_049_600.0  # 2023-11-15 12:00 UTC
LIMIT = 6400
BOUNDS = Bounds(tokens_per_day=LIMIT)
MONEY = Bounds(usd_per_month=0.0064, output_usd=1.0)  # as many tokens as that, in a month
KEYS = {"chat/a": BOUNDS, "chat/b": MONEY}


@dataclass
class Crashing:
    """A gateway that is killed at any moment, its disk, and what was really used and begun."""

    disk: dict[str, Any] = field(default_factory=dict)
    book: Book = field(default_factory=Book)
    now: float = NOON
    count: int = 0
    writing: dict[str, Any] | None = None
    waiting: list[tuple[Ask, Tokens]] = field(default_factory=list)
    flying: list[tuple[Ask, Tokens]] = field(default_factory=list)
    used: dict[tuple[str, int], int] = field(default_factory=dict)
    """Tokens that engines have made, or may have, by account and period."""
    lost: dict[tuple[str, int], int] = field(default_factory=dict)
    """What a crash may have cost a key by now."""
    aside: dict[str, int] = field(default_factory=dict)
    """What was set aside when the record was made that is on the disk."""
    asides: dict[str, int] = field(default_factory=dict)
    """The same of the record that is being written."""

    def period(self, account: str) -> tuple[str, int]:
        days = int(self.now // DAY)
        return account, days if account == "chat/a" else 0

    def begin(self, account: str, most: Tokens) -> None:
        self.count += 1
        one = Ask(f"req-{self.count}", account, KEYS[account])
        self.book.admit(one, self.now)
        if isinstance(self.book.reserve(one, most, self.now), Denied):
            self.book.settle(one, Tokens(), self.now)
        else:
            self.waiting.append((one, most))
        self._go_on()

    def _go_on(self) -> None:
        """Requests that are covered begin: from now on an engine works for them."""
        for one, most in list(self.waiting):
            if self.book.covered(one.account):
                self.waiting.remove((one, most))
                self.flying.append((one, most))
                self._add(self.used, one.account, most.total)

    def _add(self, to: dict[tuple[str, int], int], account: str, tokens: int) -> None:
        to[self.period(account)] = to.get(self.period(account), 0) + tokens

    def end(self, which: int, share: float) -> None:
        if not self.flying:
            return
        one, most = self.flying.pop(which % len(self.flying))
        used = Tokens(0, int(most.total * share))
        self._add(self.used, one.account, used.total - most.total)
        self.book.settle(one, used, self.now)

    def write_begins(self) -> None:
        if self.writing is None:
            self.writing = json.loads(json.dumps(self.book.ahead(self.now)))
            self.asides = {account: self._aside(account) for account in KEYS}

    def _aside(self, account: str) -> int:
        held = (*self.waiting, *self.flying)
        return sum(most.total for one, most in held if one.account == account)

    def write_ends(self, how: str) -> None:
        if self.writing is None:
            return
        written, self.writing = self.writing, None
        if how != "lost":
            self.disk, self.aside = written, self.asides
        if how == "told":
            self.book.recorded(written)
        self._go_on()

    def crash(self) -> None:
        """Killed, with its engines; what was in flight has used its most."""
        for account in KEYS:
            self._add(self.lost, account, self.aside.get(account, 0) + LIMIT // AHEAD)
        self.writing, self.waiting, self.flying, self.book = None, [], [], Book()
        self.book.merge(self.disk, self.now)
        self.book.recorded(self.disk)

    def check(self) -> None:
        for (account, number), used in self.used.items():
            assert used <= LIMIT, f"{account} has used more than its limit"
            if (account, number) == self.period(account) and account in self.disk:
                self._check_disk(account, used)

    def _check_disk(self, account: str, used: int) -> None:
        name, one = ("day", 1) if account == "chat/a" else ("month", 10**6)
        number, most = self.disk[account][name]
        if name == "day" and number != int(self.now // DAY):
            assert used == 0, "nothing of the day is on the disk"
            return
        assert most >= used * one, "the disk says less than was used"

    def check_left(self) -> None:
        """A key is still given what no crash has cost it."""
        for account, bounds in KEYS.items():
            at = self.period(account)
            left = LIMIT - self.used.get(at, 0) - self.lost.get(at, 0)
            aside = sum(t.total for one, t in self.waiting if one.account == account)
            if left - aside > 0:
                one = Ask("last", account, bounds)
                self.book.admit(one, self.now)
                answer = self.book.reserve(one, Tokens(0, left - aside), self.now)
                assert isinstance(answer, Standing), f"{account} was to have {left} left"
                self.book.settle(one, Tokens(), self.now)


steps = st.one_of(
    st.tuples(
        st.just("begin"), st.sampled_from(sorted(KEYS)),
        st.builds(Tokens, st.just(0), st.integers(1, 2000)),
    ),
    st.tuples(st.just("end"), st.integers(0, 9), st.floats(0, 1)),
    st.tuples(st.just("write_begins")),
    st.tuples(st.just("write_ends"), st.sampled_from(["told", "kept", "lost", "told"])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 11.0, 3600.0, float(DAY)])),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=60))
def test_a_crash_at_any_moment_gives_no_key_more_and_costs_none_more_than_is_said(
    drawn: list[tuple[Any, ...]],
) -> None:
    world = Crashing()
    for name, *arguments in drawn:
        if name == "wait":
            # A day ends only between requests: what runs over midnight is of the day it began in.
            over = world.waiting or world.flying or world.writing is not None
            world.now += 0.5 if over else arguments[0]
        else:
            getattr(world, name)(*arguments)
        world.check()
    world.check_left()


def test_a_key_that_is_quiet_loses_nothing() -> None:
    book, one = Book(), Ask("req-1", "chat/a", BOUNDS)
    book.admit(one, NOON)
    book.reserve(one, Tokens(0, 100), NOON)
    assert book.ahead(NOON)["chat/a"]["day"][1] == 100 + LIMIT // AHEAD
    book.settle(one, Tokens(0, 60), NOON + 1)
    assert book.ahead(NOON + 5)["chat/a"]["day"][1] == 60 + LIMIT // AHEAD
    assert book.ahead(NOON + 20)["chat/a"]["day"][1] == 60


def test_what_runs_ahead_stays_within_the_limit() -> None:
    book, one = Book(), Ask("req-1", "chat/a", BOUNDS)
    book.admit(one, NOON)
    book.reserve(one, Tokens(0, LIMIT - 3), NOON)
    assert book.ahead(NOON)["chat/a"]["day"][1] == LIMIT


class Disk(Saved):
    """Counts its writes; one that is full fails."""

    full = False

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes = 0

    def write(self, record: dict[str, Any]) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "no space left")
        self.writes += 1
        super().write(record)


@asynccontextmanager
async def limiter(path: Path) -> AsyncIterator[tuple[RecordedLimiter, Disk]]:
    book, disk = Book(), Disk(path)
    disk.open(book, time.time())
    made = RecordedLimiter(book, disk, time.time)
    keeping = asyncio.create_task(made.keep())
    try:
        yield made, disk
    finally:
        keeping.cancel()
        disk.close()


async def let_in(made: RecordedLimiter, name: str, most: int, key: str = "chat/a") -> Ask | None:
    one = Ask(name, key, BOUNDS)
    await made.admit(one)
    answer = await made.reserve(one, Tokens(0, most))
    if isinstance(answer, Denied):
        made.settle(one, Tokens())
        return None
    return one


async def test_a_request_begins_when_its_most_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    async with limiter(path) as (made, _):
        assert await let_in(made, "one", 500)
        assert json.loads(path.read_text())["chat/a"]["day"][1] >= 500


async def test_a_killed_gateways_day_is_not_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "usage.json"
    begun = 0
    for life in range(4):
        async with limiter(path) as (made, _):  # ends without a last word, as a killed one does
            for number in range(40):
                begun += bool(await let_in(made, f"{life}-{number}", 100))
    assert begun * 100 <= LIMIT
    assert begun * 100 >= LIMIT - 100 - 3 * LIMIT // AHEAD


async def test_one_write_is_for_many_requests(tmp_path: Path) -> None:
    async with limiter(tmp_path / "usage.json") as (made, disk):
        asked = [let_in(made, f"req-{n}", 10, f"chat/{n}") for n in range(200)]
        assert all(await asyncio.gather(*asked))
        assert disk.writes < 20


async def test_where_nothing_can_be_written_what_is_not_covered_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording, "PATIENCE", 0.3)
    monkeypatch.setattr(recording, "EVERY", 0.05)
    async with limiter(tmp_path / "usage.json") as (made, disk):
        assert await let_in(made, "one", 10)
        disk.full = True
        assert await let_in(made, "two", 10), "the record covers it already"
        refused = Ask("three", "chat/a", BOUNDS)
        await made.admit(refused)
        with pytest.raises(LimiterGone):
            await made.reserve(refused, Tokens(0, 1000))
        made.settle(refused, Tokens())
        assert "was not written: no space left" in caplog.text
        disk.full = False
        monkeypatch.setattr(recording, "PATIENCE", 60.0)
        assert await let_in(made, "four", 1000), "it is tried again"


async def test_a_key_without_a_limit_waits_for_no_disk(tmp_path: Path) -> None:
    async with limiter(tmp_path / "usage.json") as (made, disk):
        disk.full = True
        one = Ask("one", "chat/a", Bounds(tokens_per_minute=100))
        await made.admit(one)
        assert isinstance(await made.reserve(one, Tokens(0, 50)), Standing)


WORKER = """
import asyncio, sys, time
from pathlib import Path
from serving.gateway.limiter import Ask, Book, Bounds, RecordedLimiter, Saved, Standing, Tokens

async def main():
    book, saved = Book(), Saved(Path(sys.argv[1]))
    saved.open(book, time.time())
    limiter = RecordedLimiter(book, saved, time.time)
    keeping = asyncio.create_task(limiter.keep())
    for number in range(100000):
        ask = Ask(f"{sys.argv[2]}-{number}", "chat/a", Bounds(tokens_per_day=1000000))
        await limiter.admit(ask)
        assert isinstance(await limiter.reserve(ask, Tokens(0, 4000)), Standing)
        print("begun", flush=True)
        limiter.settle(ask, Tokens(0, 3000))
asyncio.run(main())
"""


def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


@pytest.mark.parametrize("begun", [1, 4, 9, 30])
def test_a_process_that_is_killed_has_begun_nothing_that_the_disk_does_not_know(
    tmp_path: Path, begun: int
) -> None:
    path, told = tmp_path / "usage.json", tmp_path / "told"
    with told.open("w") as out:
        worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path), "life"], stdout=out)
    try:
        until(lambda: told.read_text().count("begun\n") >= begun or worker.poll() is not None)
        os.kill(worker.pid, signal.SIGKILL)
    finally:
        assert worker.wait() == -signal.SIGKILL, "it ended by itself"
    count = told.read_text().count("begun\n")
    known = json.loads(path.read_text())["chat/a"]["day"][1]
    used = (count - 1) * 3000 + 4000  # the last one may have had its most
    assert used <= known <= used + 2 * 4000 + 1_000_000 // AHEAD
