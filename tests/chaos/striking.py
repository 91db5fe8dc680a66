"""Processes of a runtime that are struck one at a time, under a load, and what came of each strike.

A strike is a fault of one process: `SIGKILL` ends it, `SIGSTOP` leaves it there and silent, and
without memory it is ended by the kernel, who also tells that it landed. What is measured is what a
client can see, and the system's processes; no part of llmops is asked how it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from serving.runtime.warden import STAYED
from serving.runtime.watchdog import descendants
from tests.chaos.faults import Fault, befallen, state, wake
from tests.chaos.history import (
    RULES,
    VOICES,
    Began,
    Ended,
    Event,
    Head,
    History,
    How,
    Live,
    Outcome,
    Sent,
    Violation,
    check,
    outcome_of,
)
from tests.chaos.load import Door, Load, Mix
from tests.e2e.stage import Stage, free_port, until
from tests.support.tiny_model import make_tiny_model

NAME = "struck"
REPLICAS = 2
TITLES = {
    "replica": "ray::ServeReplica:struck-r",
    "gateway": "ray::ServeReplica:llmops-gateway",
    "controller": "ray::ServeController",
    "raylet": "raylet",
    "GCS": "gcs_server",
}
"""Start of each process's title or, of Ray's own programs, name."""
FORKED = {"engine core": "EngineCore", "worker": "Worker"}
"""What a replica's fork server has forked keeps that one's title, and names itself in its log."""
ROLES = (*TITLES, *FORKED)
"""There is no proxy of Serve's here."""
There = Mapping[str, list[psutil.Process]]
"""Processes by role."""
ENGINES = ("replica", *FORKED)
BASIS = ("raylet", "GCS")

BREAKABLE = ("none_lost", "none_truncated")
"""Rules that cannot hold where the gateway itself is struck. They are held against each strike."""

MIX = Mix(rate=2.0, long=0.5, long_tokens=300, streamed=0.6, cancelled=0.0, named=0.0)
"""What two cores bear: on a machine that is too busy everything is noticed late."""
PATIENCE = 45.0
"""Seconds that a client of the load waits for something: what takes longer has hung."""
CALM = 4.0
"""Seconds of good answers before a strike; before one that takes all with it they are as many as a
host must stay that has begun anew."""
LONGEST_UNREST = 90.0
"""Seconds that it may take until all is well again."""
LOOK = 0.2
"""Seconds between two looks at the processes."""


@dataclass(frozen=True, slots=True)
class Strike:
    """Whom, and with what."""

    process: str
    fault: Fault
    within: float = 90.0
    """Seconds in which a new one must stand in its place."""

    def __str__(self) -> str:
        return f"{self.process} {self.fault}"


@dataclass(slots=True)
class Struck:
    """What came of a strike. Seconds are counted from it; None: it did not happen in time."""

    strike: Strike
    pid: int
    at: float
    """Unix seconds."""
    ready: int
    """How many engines had become ready by then."""
    landed: bool = False
    """Whether the fault was done, by what the kernel told right after."""
    noticed: float | None = None
    """When the struck one was given up: ended, if it was stopped; else the first sign of it."""
    answered: float | None = None
    """When the first request that was sent after the strike had its whole answer."""
    slowest: float = 0.0
    """The longest that a whole answer took, of those that the strike can have touched."""
    replaced: float | None = None
    cut: float | None = None
    """When the last stream that had begun was told that it is cut."""
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    broken: int = 0
    """Requests whose connection broke, before or amid their answer: who would have told them is
    gone. Their clients know it from that."""
    late: float = 0.0
    """See `Load.late`: what clients say of times is no better than that."""
    why: list[str] = field(default_factory=list)
    """What became of those that were neither answered whole nor cut with a word."""

    def count(self, sent: Sent, head: Head | None, ended: Ended) -> None:
        """Take a request that was under way when the strike was done, or sent after it."""
        outcome = outcome_of(head, ended)
        if ended.how is How.BROKEN:
            self.broken += 1
        else:
            self.outcomes[outcome] += 1
        since = ended.at - self.at
        if outcome is Outcome.WHOLE:
            self.slowest = max(self.slowest, ended.at - sent.at)
            if sent.at > self.at and (self.answered is None or since < self.answered):
                self.answered = since
        elif outcome is Outcome.CUT:
            self.cut = max(self.cut or 0.0, since)
        else:
            told = f"{head.status} {ended.error}" if head else ended.why
            self.why.append(f"{outcome} {sent.at - self.at:.1f} to {since:.1f} s: {told}")

    def row(self) -> str:
        """As it is published."""
        times = (self.noticed, self.answered, self.slowest, self.replaced)
        ends = (Outcome.WHOLE, Outcome.CUT, Outcome.REFUSED)
        cells = [
            self.strike.process, self.strike.fault, *map(_s, times),
            *(str(self.outcomes[one]) for one in ends), str(self.broken),
        ]  # fmt: skip
        return f"| {' | '.join(cells)} |"


def _s(seconds: float | None) -> str:
    return "not" if seconds is None else f"{seconds:.1f} s"


HEADING = (
    "| Process | Fault | Noticed after | Answered again after | Slowest whole answer |"
    " Replaced after | Whole | Cut | Refused | Broken |\n|" + "---|" * 10
)


@dataclass
class Field:
    """A service of two replicas under a load, and the strikes on its processes."""

    stage: Stage
    folder: Path
    mix: Mix = MIX
    """What the load asks."""
    events: list[Event] = field(default_factory=list)
    found: list[Struck] = field(default_factory=list)
    """What came of each strike so far."""
    _known: dict[int, tuple[psutil.Process, str]] = field(default_factory=dict)

    def deploy(self) -> Door:
        """Deploy; where to ask."""
        model = make_tiny_model(self.folder / "model", VOICES[0])
        self.events.append(Began(1, time.time(), VOICES[0]))
        done = self.stage.deploy(self.stage.spec(
            NAME, "unused",
            model=f"{{source: 'file://{model}', context: 512}}",
            scaling=f"{{replicas: {REPLICAS}, target_in_flight: 256, max_in_flight: 256}}",
            engine="{kv_cache: 256MiB}",
            security="{requests_per_minute: 1000000}",
        ))  # fmt: skip
        assert done.code == 0, done.text
        self.events.append(Live(1, time.time()))
        key = self.stage.key(NAME, "red")
        operator = (self.stage.home / "operator-keys" / NAME).read_text()
        return Door(f"{self.stage.url}/v1", NAME, {"red": key}, ("operator", operator))

    async def strikes(self, door: Door, strikes: Iterable[Strike]) -> None:
        """Strike one after the other under a load, each once all is well again."""
        ended = asyncio.Event()
        load = Load(door, self.mix, self.events.append, lambda: 1, deadline=PATIENCE)
        asking = asyncio.create_task(load.run(ended.is_set))
        try:
            for strike in strikes:
                await self._calm(STAYED + 5.0 if strike.process in BASIS else CALM)
                load.late = 0.0
                self.found.append(await self._strike(strike))
                self.found[-1].late = load.late
                print(self.found[-1].row(), *self.found[-1].why[:4], flush=True)
            ended.set()
            await asking
        finally:
            asking.cancel()
            await asyncio.wait([asking])

    async def _calm(self, seconds: float) -> None:
        """Wait until all processes are there and everything is answered for so long."""
        end = time.monotonic() + LONGEST_UNREST + seconds
        since = time.time()
        while time.monotonic() < end:
            await asyncio.sleep(0.2)
            ends = [e for e in self.events if isinstance(e, Ended) and e.at > since]
            bad = [e for e in ends if not e.done]
            there = await self._look()
            whole = all(len(there[role]) == n for role, n in _numbers().items())
            if bad or not whole:
                since = time.time()
            elif ends and time.time() - since > seconds:
                return
        raise AssertionError(f"all is not well after {LONGEST_UNREST:g} s: {there}, {bad[-2:]}")

    async def _strike(self, strike: Strike) -> Struck:
        before = await self._look()
        process = before[strike.process][0]
        family = {p.pid for some in before.values() for p in some}
        ready, tail = self._ready(), len(self.events)
        found = Struck(strike, process.pid, time.time(), ready)
        with befallen(process, strike.fault) as landed:
            while found.replaced is None and time.time() < found.at + strike.within:
                await asyncio.sleep(LOOK)
                found.landed = found.landed or landed()
                there = await self._look()
                since = time.time() - found.at
                if found.noticed is None and self._noticed(process, strike, family, there, tail):
                    found.noticed = since
                if self._replaced(strike, family, there, ready):
                    found.replaced = since
        if found.replaced is None:
            wake(process)
        await self._settled(found)
        return found

    def _noticed(
        self, process: psutil.Process, strike: Strike, family: set[int], there: There, tail: int
    ) -> bool:
        """Whether something shows that it is known: a stopped process is ended; where one was
        ended, others end or come, or a client is told."""
        if strike.fault is Fault.STOP:
            return state(process) == "gone"
        told = any(isinstance(e, Ended) and e.error for e in self.events[tail:])
        now = {p.pid for some in there.values() for p in some}
        return told or now != family - {process.pid}

    def _replaced(self, strike: Strike, family: set[int], there: There, ready: int) -> bool:
        """Whether all that the strike took is there again, and works."""
        if strike.process in ENGINES:
            return self._ready() > ready and len(there["worker"]) == REPLICAS
        new = [p for p in there[strike.process] if p.pid not in family]
        if not new or (strike.process in BASIS and self._ready() < ready + REPLICAS):
            return False
        return strike.process == "controller" or self._whole_since(new[0].create_time())

    def _whole_since(self, at: float) -> bool:
        sent = {n for n, s in History.of(self.events).sent.items() if s[0].at > at}
        return any(isinstance(e, Ended) and e.request in sent and e.done and not e.error
                   for e in self.events)  # fmt: skip

    async def _settled(self, found: Struck) -> None:
        """Wait for the ends of all that was sent until now, and count those that the strike can
        have touched."""
        until = time.time()
        while True:
            await asyncio.sleep(0.5)
            if not any(s[0].at <= until for s in self._open().values()):
                break
        for sent, head, ended in History.of(self.events).exchanges():
            if sent.at <= until and ended.at >= found.at:
                found.count(sent, head, ended)

    def _open(self) -> dict[int, list[Sent]]:
        history = History.of(self.events)
        return {n: sent for n, sent in history.sent.items() if n not in history.ended}

    async def _look(self) -> dict[str, list[psutil.Process]]:
        """Processes of the runtime by role, oldest first: in a thread, for the load's sake."""
        return await asyncio.to_thread(self._roles)

    def _roles(self) -> dict[str, list[psutil.Process]]:
        found: dict[str, list[psutil.Process]] = {role: [] for role in ROLES}
        log, there = self._log(), self._family()
        self._known = {pid: known for pid, known in self._known.items() if pid in there}
        for pid in there:
            with contextlib.suppress(psutil.NoSuchProcess):
                process, role = self._known.get(pid) or (psutil.Process(pid), "")
                if role not in FORKED:  # a title changes: until it execs a fork has its parent's
                    role = _role(process, log)
                    self._known[pid] = process, role
                if role and state(process) != "gone":
                    found[role].append(process)
        return {role: sorted(some, key=lambda p: p.create_time()) for role, some in found.items()}

    def _family(self) -> set[int]:
        """Pids of all that the host has started."""
        try:
            [record] = self.stage.temporary.glob("llmops-*/host.json")
            return set(descendants(json.loads(record.read_text())["pid"]))
        except (ValueError, OSError):
            return set()

    def _ready(self) -> int:
        """How many engines have ever become ready."""
        return self._log().count("engine ready after")

    def _log(self) -> str:
        log = self.stage.home / "logs" / NAME / "r1" / "engine.log"
        return log.read_text(errors="replace")

    def violations(self) -> list[Violation]:
        """What is amiss with the whole history, by the rules that hold whatever is struck."""
        rules = {name: rule for name, rule in RULES.items() if name not in BREAKABLE}
        return check(History.of(self.events), rules=rules)


def _numbers() -> dict[str, int]:
    return {role: REPLICAS if role in ENGINES else 1 for role in ROLES}


def _role(process: psutil.Process, log: str) -> str:
    """What a process of the runtime is; empty for what is never struck."""
    name, title = process.name(), (process.cmdline() or [""])[0]
    for role, start in TITLES.items():
        if name == start or title.startswith(start):
            return role
    own = (role for role, said in FORKED.items() if f"({said} pid={process.pid})" in log)
    return next(own, "")


@contextmanager
def staged(folder: Path, mix: Mix = MIX) -> Iterator[Field]:
    """A service of its own below a folder; all that it started ends with it."""
    for name in ("home", "specs"):
        (folder / name).mkdir(parents=True, mode=0o700)
    stage = Stage(folder / "home", folder / "specs", free_port())
    try:
        yield Field(stage, folder, mix)
    finally:
        for process in stage.processes():
            wake(process)
        stage.end()
        until(lambda: not stage.processes(), 30)


__all__ = ["BASIS", "ENGINES", "HEADING", "Field", "Strike", "Struck", "staged"]
