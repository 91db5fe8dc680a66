"""Commands and runtimes that are killed again and again, and what the next run makes of it.

A chain is a change that is struck at a random instant, begun anew, struck again, up to a few times,
and then left to end. What is there afterwards must be what one undisturbed run would have made:
the release that was meant serves alone, and of processes, shared memory and files there is nothing
that was not there before.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import signal
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.chaos.adapted import ALONE, MEANT, NAME, OTHER, Adapted, meant_by
from tests.e2e.stage import until

SHARED = Path("/dev/shm")
LONGEST = 4
"""Strikes of a chain, at most."""
SETTLES = 60.0
"""Seconds until what a change leaves behind has ended."""
USUAL = {"adapter": 4.0, "engine": 26.0, "runtime": 20.0}
"""Seconds of a change, and of one that finds no runtime, until some have been seen."""
STUCK = 300.0
"""Seconds after which a command that was not struck itself, whose runtime was, hangs."""
KINDS = {
    "host": r"serving\.runtime\.host", "gcs": r"gcs_server ", "raylet": r"raylet/raylet ",
    "controller": r"ray::ServeController", "gateway": r"ray::ServeReplica:llmops-gateway",
    "replica": rf"ray::ServeReplica:{NAME}-r", "engine": r"forkserver", "command": r"/llmops ",
}  # fmt: skip
"""Processes of a runtime that must be as many as before, by their command lines."""
STEP = re.compile(
    r"^(?:done: )?(model|runtime|stage|verify|shift|drain|remove|key)\b.*?:|^done: (\w+)"
)


@dataclass(frozen=True)
class Strike:
    """One kill that has landed."""

    whom: str
    """`command` or `runtime`."""
    verb: str
    step: str
    """What the command was at, by its last line."""
    after: float
    """Seconds from its begin."""


@dataclass
class Killing:
    """A service under strikes."""

    service: Adapted
    draw: random.Random
    strikes: list[Strike] = field(default_factory=list)
    chains: int = 0
    unsettled: int = 0
    """Chains whose last run had something to finish."""
    asked: Counter[str] = field(default_factory=Counter)
    """Requests while commands were killed, by what came of them."""
    took: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    """Seconds of runs that ended before their strike, by verb and kind of change."""
    _seen: set[str] = field(default_factory=set)
    """Shared memory that was ever mapped."""

    def chain(self, meant: str, *, runtime: bool = False, verb: str = "deploy") -> None:
        """Strike a change, begin it anew, and hold what is left of it against what should be."""
        before = self._things()
        # What is being written just now has another name in a moment.
        files = {name for name in self._files() if not name.endswith(".new")}
        command = self._command(verb, meant)
        kind = "engine" if OTHER in (meant, self.service.settled("failed")) else "adapter"
        kind = "runtime" if runtime else kind
        took = self.took.setdefault((verb, kind), [USUAL[kind]])
        struck = 0
        for _ in range(self.draw.randint(1, LONGEST)):
            began = time.monotonic()
            if not self._strike(
                command, self.draw.uniform(0.0, statistics.median(took)), runtime=runtime
            ):
                took.append(time.monotonic() - began)
                break
            struck += 1
        done = self.service.stage.run(*command)
        assert done.code == 0, f"{command}: {done.text}"
        assert "Traceback" not in done.text, done.text
        self.unsettled += "done: " in done.text
        self.chains += bool(struck)
        self._assert_as_meant(meant, before, files)

    def destroyed(self) -> None:
        """Strike a destroy, and end it; then deploy anew."""
        command = ["destroy", NAME, "--yes"]
        for _ in range(self.draw.randint(1, LONGEST)):
            if not self._strike(command, self.draw.uniform(0.0, 4.0), away=True):
                break
        self.chains += 1
        done = self.service.stage.run(*command)
        assert done.code == 0, done.text
        until(lambda: not self.service.stage.processes(), SETTLES)
        assert not self._left(), "shared memory outlived the service"
        done = self.service.stage.run(*self.service.deploy(ALONE))
        assert done.code == 0, done.text
        self.service.key = self.service.stage.key(NAME, f"after-{len(self.strikes)}")
        assert self.service.settled("failed") == ALONE

    def _command(self, verb: str, meant: str) -> list[str]:
        if verb == "deploy":
            return self.service.deploy(meant)
        return self.service.rollback(self.was_live(meant)[-1])

    def was_live(self, meant: str) -> list[int]:
        """Numbers of the retired releases that were meant so."""
        retired = [one for one in self.service.history() if one["state"] == "retired"]
        return [one["number"] for one in retired if meant_by(one) == meant]

    def _strike(
        self, command: list[str], after: float, *, runtime: bool = False, away: bool = False
    ) -> bool:
        """Begin a command, and kill it or its runtime; False where it had ended before.

        Args:
            command: What is begun.
            after: Seconds until it is struck.
            runtime: Whether its runtime is struck in place of it.
            away: Whether it is to take the service away.
        """
        process, began = self.service.stage.start(*command), time.monotonic()
        said: list[str] = []
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
        reader.start()
        with self._load(not runtime and not away):
            while process.poll() is None and time.monotonic() - began < after:
                time.sleep(0.01)
            at = time.monotonic() - began
            landed = self._kill_runtime() if runtime else _kill(process)
            process.wait(STUCK)
        reader.join(10)
        if not landed or (not runtime and process.returncode != -signal.SIGKILL):
            return False  # it had ended before, or there was no runtime
        assert "Traceback" not in "".join(said), "".join(said)
        self.strikes.append(
            Strike("runtime" if runtime else "command", command[0], _step(said), at)
        )
        return True

    def _kill_runtime(self) -> bool:
        """Kill the runtime's host; False where there is none."""
        record = next(self.service.stage.temporary.glob("llmops-*/host.json"), None)
        try:
            if record is not None:
                psutil.Process(json.loads(record.read_text())["pid"]).kill()
        except (psutil.Error, ValueError, OSError):
            return False
        return record is not None

    @contextmanager
    def _load(self, whole: bool) -> Iterator[None]:
        """Ask again and again, one request after another; each must be answered where the runtime
        lives all the time."""
        ended = threading.Event()

        def ask() -> None:
            while not ended.wait(0.2):
                try:
                    code = self.service.stage.complete(NAME, self.service.key).status_code
                except httpx.HTTPError as error:
                    self.asked[type(error).__name__ if whole else "while down"] += 1
                    continue
                self.asked[str(code) if whole else "while down"] += 1

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        try:
            yield
        finally:
            ended.set()
            asking.join(120)

    def _assert_as_meant(self, meant: str, before: Counter[str], files: set[str]) -> None:
        assert self.service.settled("failed") == meant
        _until_same(self._things, before)
        _until_same(self._files, files)
        left = self._left()
        assert not left, f"shared memory of what has ended: {left}"

    def _things(self) -> Counter[str]:
        """How many processes of each kind there are."""
        found: Counter[str] = Counter(dict.fromkeys(KINDS, 0))
        for process in self.service.stage.processes():
            try:
                line = " ".join(process.cmdline())
                self._seen |= set(re.findall(r"/dev/shm/(psm_\w+)", _maps(process.pid)))
            except psutil.Error:
                continue
            found.update(kind for kind, pattern in KINDS.items() if re.search(pattern, line))
        return found

    def _left(self) -> set[str]:
        """Segments that something mapped once, and nothing maps now."""
        mapped = "".join(_maps(one.pid) for one in self.service.stage.processes())
        return {name for name in self._seen if (SHARED / name).exists() and name not in mapped}

    def _files(self) -> set[str]:
        """Files of the home without what is numbered, and without logs."""
        home = self.service.stage.home
        every = (path.relative_to(home) for path in home.rglob("*") if path.is_file())
        return {
            f"a model's {path.suffix}"
            if path.parts[0] == "models"
            else re.sub(r"\d+", "N", str(path))
            for path in every
            if path.parts[0] != "logs"
        }


def _kill(process: subprocess.Popen[str]) -> bool:
    """Kill a command; False where it has ended."""
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    return True


def _step(said: list[str]) -> str:
    """What a command was at when it had printed these lines."""
    for line in reversed(said):
        if found := STEP.match(line):
            done = "after " if line.startswith("done") else ""
            return done + (found[1] or found[2])
    return "its start"


def _maps(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


def _until_same(look: Callable[[], Any], wanted: Any) -> None:
    end = time.monotonic() + SETTLES
    while (found := look()) != wanted:
        assert time.monotonic() < end, f"expected {wanted}, found {found}"
        time.sleep(0.5)


def other_than(now: str, draw: random.Random, *, engine: bool) -> str:
    """Something else than what is live, in another engine or in the same."""
    if engine or now == OTHER:
        return OTHER if now != OTHER else draw.choice([one for one in MEANT if one != OTHER])
    return draw.choice([one for one in MEANT if one not in (now, OTHER)])


def campaign(killing: Killing, strikes: int) -> Iterator[Killing]:
    """Chains of every kind in turn, until so many strikes have landed; told after each chain.

    Of eight chains seven strike commands: five that load adapters, one that rolls back, one that
    starts another engine. The eighth strikes the runtime, or a destroy every other time.
    """
    for number in itertools.count():
        if len(killing.strikes) >= strikes:
            return
        now, kind = killing.service.settled("failed"), number % 8
        engine = kind == 6 or (kind == 7 and number % 32 == 31)
        meant = other_than(now, killing.draw, engine=engine)
        if kind == 7 and number % 16 == 7:
            killing.destroyed()
        elif kind == 3 and killing.was_live(meant):
            killing.chain(meant, verb="rollback")
        else:
            killing.chain(meant, runtime=kind == 7)
        yield killing
