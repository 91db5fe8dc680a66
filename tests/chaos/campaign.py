"""A load on a real service while its releases change, and all that was counted of it.

The service is deployed, updated and rolled back by the installed `llmops`, as users do it, with
two replicas of a tiny model; each release says what the one before it never would. The load knows
the gateway alone. What comes of it is a history and the accounts of others, for the checker.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx

from tests.chaos.history import (
    VOICES,
    Accounts,
    Began,
    Event,
    Gone,
    History,
    Live,
    Outcome,
    Violation,
    check,
    dump,
    outcome_of,
    read_audit,
    read_metrics,
    read_totals,
)
from tests.chaos.load import Door, Load, Mix
from tests.e2e.stage import Stage, free_port
from tests.support.program import LLMOPS
from tests.support.tiny_model import make_tiny_model

NAME = "soak"
KEYS = ("red", "green", "blue")
SECTIONS = {
    "engine": "{kv_cache: 256MiB}",
    "security": "{requests_per_minute: 1000000}",
    "maintenance": "{drain: 3min}",
}
DONE = re.compile(r"done: (?P<step>shift|remove) release (?P<release>\d+)")
BEFORE, AFTER = 3.0, 3.0
"""Seconds of the load before the first change, and after the last."""
PAUSE = 10.0
"""Seconds until a change that was refused is tried again."""
NO_SUCH_RELEASE = 400
"""Status of an answer to whoever names a release that is not there."""
REFUSED = 3
"""Exit code of a command that was refused, and has changed nothing."""


@dataclass(frozen=True, slots=True)
class Aim:
    """How much is wanted."""

    requests: int
    streams: int
    """Long ones, among the requests."""
    upgrades: int
    rollbacks: int
    minutes: float
    """After so many no further change is begun, whatever is wanted."""
    rate: float = 6.0
    """Requests per second."""
    seed: int = 0
    replicas: str = "2"
    """A range such as `1..2` makes vLLM count what it does; the load is never enough for more than
    the lowest number."""

    def changes(self) -> list[str]:
        """The changes in their order, rollbacks spread evenly among the upgrades."""
        every = self.upgrades // self.rollbacks if self.rollbacks else self.upgrades + 1
        found: list[str] = []
        for number in range(1, self.upgrades + 1):
            found.append("upgrade")
            if number % every == 0 and found.count("rollback") < self.rollbacks:
                found.append("rollback")
        return found + ["rollback"] * (self.rollbacks - found.count("rollback"))


@dataclass
class Campaign:
    """One soak: what was done, and what came of it."""

    aim: Aim
    stage: Stage
    folder: Path
    """Where models, the history and what was read at the end are kept."""
    events: list[Event] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    """What commands said that did not end as they should have."""
    refused: list[str] = field(default_factory=list)
    """What those said that were refused at first, and tried again."""
    accounts: Accounts = field(default_factory=Accounts)
    seconds: float = 0.0
    long: int = 0
    late: float = 0.0
    """See `Load.late`, and for what follows `Load.skipped`."""
    skipped: float = 0.0
    _voices: list[str] = field(default_factory=list)
    """Of each release, from the first on."""
    _kept: IO[str] = field(init=False, repr=False)
    """Where the history is written while it happens."""

    def run(self) -> None:
        """Deploy, load and change; then read what was counted, and destroy."""
        with (self.folder / "history.jsonl").open("w", buffering=1) as self._kept:
            self._spec(VOICES[0])
            self._begin(VOICES[0])
            deployed = self.stage.deploy(self._file)
            assert deployed.code == 0, deployed.text
            self._live(1)
            door = Door(
                f"{self.stage.url}/v1", NAME, {key: self.stage.key(NAME, key) for key in KEYS},
                ("operator", (self.stage.home / "operator-keys" / NAME).read_text()),
            )  # fmt: skip
            began = time.monotonic()
            asyncio.run(self._under_load(door))
            self.seconds = time.monotonic() - began
        self._account()

    async def _under_load(self, door: Door) -> None:
        ended = asyncio.Event()
        mix = Mix(rate=self.aim.rate, long=self.aim.streams / self.aim.requests)
        load = Load(door, mix, self._write, self._newest, self.aim.seed)

        def enough() -> bool:
            return ended.is_set() and load.sent >= self.aim.requests

        asking = asyncio.create_task(load.run(enough))
        try:
            await asyncio.sleep(BEFORE)
            until = time.monotonic() + 60 * self.aim.minutes
            for change in self.aim.changes():
                while time.monotonic() < until and not asking.done():
                    if await self._change(change):
                        break
                    await asyncio.sleep(PAUSE)
            await asyncio.sleep(AFTER)
            ended.set()
            await asking
        finally:
            asking.cancel()  # of no consequence, unless something above has failed
            await asyncio.wait([asking])
            self.long, self.late, self.skipped = load.long, load.late, load.skipped

    async def _change(self, what: str) -> bool:
        """Make a change; False where it was refused before anything was begun: the memory that
        another release needs may be somebody else's for a while."""
        lives = sorted(event.release for event in self.events if isinstance(event, Live))
        if what == "rollback" and len(lives) < 2:
            self.failed.append("rollback: no release was live before")
            return True
        if what == "upgrade":
            last = VOICES.index(self._voices[lives[-1] - 1])
            voice = VOICES[(last + 1) % len(VOICES)]
            self._spec(voice)
            arguments = ["deploy", "-f", str(self._file), "--yes"]
        else:
            voice = self._voices[lives[-2] - 1]
            arguments = ["rollback", NAME, str(lives[-2]), "--yes"]
        self._begin(voice)
        process = await asyncio.create_subprocess_exec(
            str(LLMOPS), *arguments, env=self.stage.environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        said = ""
        try:
            async for raw in process.stdout:
                said += (text := raw.decode())
                self._heard(text)
        finally:
            if process.returncode is None and not process.stdout.at_eof():
                process.kill()  # the soak itself was ended
            code = await process.wait()
        if code == 0:
            self.done[what] += 1
            return True
        if code == REFUSED:
            self.refused.append(said)
            self._voices.pop()
            return False
        self.failed.append(f"{what}: {said}")
        told = await asyncio.to_thread(self.stage.run, "history", NAME, "-o", "json")
        del self._voices[len(told.json()["releases"]) :]  # it may have made none
        return True

    def _heard(self, text: str) -> None:
        if (step := DONE.search(text)) is None:
            return
        number = int(step["release"])
        if step["step"] == "shift":
            self._live(number)
        else:
            self._write(Gone(number, time.time()))

    def _write(self, event: Event) -> None:
        self.events.append(event)
        self._kept.write(dump(event) + "\n")

    def _begin(self, voice: str) -> None:
        self._voices.append(voice)
        self._write(Began(len(self._voices), time.time(), voice))

    def _live(self, number: int) -> None:
        self._write(Live(number, time.time()))

    def _newest(self) -> int | None:
        return max((e.release for e in self.events if isinstance(e, Live)), default=None)

    @property
    def _file(self) -> Path:
        return self.stage.folder / f"{NAME}.yaml"

    def _spec(self, voice: str) -> None:
        model = make_tiny_model(self.folder / "models" / voice, voice)
        section = f"{{source: 'file://{model}', context: 512}}"
        scaling = f"{{replicas: {self.aim.replicas}, target_in_flight: 256, max_in_flight: 256}}"
        sections = {"model": section, "scaling": scaling} | SECTIONS
        self.stage.spec(NAME, "unused", **sections)

    def _account(self) -> None:
        """Read the metrics and the audit log, end all engines, and read what they have told."""
        metrics = httpx.get(self.stage.status(NAME)["metrics_url"], timeout=60).text
        lines = self.stage.run("logs", NAME, "--audit").out.splitlines()
        logs = {}
        for number in range(1, len(self._voices) + 1):
            log = self.stage.home / "logs" / NAME / f"r{number}" / "engine.log"
            if log.exists():  # a name of its own, since destroy takes the other away
                logs[number] = self.folder / f"engine-{number}.log"
                os.link(log, logs[number])
        gone = self.stage.run("destroy", NAME, "--yes")
        assert gone.code == 0, gone.text
        engines = {n: read_totals(log.read_text(errors="replace")) for n, log in logs.items()}
        self.accounts = Accounts(read_audit(lines, NAME), read_metrics(metrics, NAME), engines)
        (self.folder / "metrics.txt").write_text(metrics)
        (self.folder / "audit.jsonl").write_text("\n".join(lines))

    def history(self) -> History:
        """What the load saw, and when releases were changed."""
        return History.of(self.events)

    def violations(self) -> list[Violation]:
        """What is amiss, of the whole history."""
        return check(self.history(), self.accounts)

    def outcomes(self) -> Counter[Outcome]:
        """How many requests came to which end."""
        return Counter(outcome_of(head, ended) for _, head, ended in self.history().exchanges())

    def named_too_late(self) -> int:
        """Requests that named a release and came when another had taken its place: they are refused
        as they should be, and would have been answered had they named none."""
        lives = {event.release: event.at for event in self.events if isinstance(event, Live)}
        return sum(
            sent.asked is not None
            and head is not None
            and head.status == NO_SUCH_RELEASE
            and any(number > sent.asked and at < head.at for number, at in lives.items())
            for sent, head, _ in self.history().exchanges()
        )

    def waits(self) -> list[float]:
        """Seconds to the first text of each answer that was whole, sorted."""
        return sorted(
            ended.first_at - sent.at
            for sent, head, ended in self.history().exchanges()
            if ended.first_at is not None and outcome_of(head, ended) is Outcome.WHOLE
        )


@contextmanager
def staged(folder: Path, aim: Aim) -> Iterator[Campaign]:
    """A campaign with a runtime of its own below a folder; all that it started ends with it."""
    for name in ("home", "specs", "models"):
        (folder / name).mkdir(parents=True, mode=0o700)
    stage = Stage(folder / "home", folder / "specs", free_port())
    try:
        yield Campaign(aim, stage, folder)
    finally:
        stage.end()


__all__ = ["Aim", "Campaign", "staged"]
