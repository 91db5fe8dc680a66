"""Hosts that only one command changes: a lock on each, which dies with its connection.

The lock is the host's own `flock`, so commands on one machine and on several meet in the same
place. A process on the host holds it for as long as it is spoken with: a command that is killed, a
machine that loses its power or its network, let go by themselves, and a file that is left means
nothing. Who holds it is written into the file. Of runs over the same hosts one wins: the first
host of their order is taken before any other. Says nothing of a command that a killed run had begun
on a host, which may come to its end there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from bare_metal.hosts.connection.answers import (
    Connector,
    Files,
    HostGoneError,
    Ran,
    Reader,
    Talk,
    Unreachable,
    Writer,
)
from bare_metal.hosts.connection.fanout import MOST_AT_ONCE
from bare_metal.inventory import Placed
from llmops.errors import BusyError, LlmopsError
from serving.holders import UNSIGNED, ago, user

LOCK = "/run/llmops.lock"
"""On each host; gone when it starts anew."""
HELD = "held"
BUSY = 75
"""How the host's process ends where another holds the lock (EX_TEMPFAIL of sysexits.h)."""
FREED_WITHIN = 0.5
"""Seconds in which a holder that was killed has let go."""
BEAT, FRESH, LET_GO = 10.0, 40.0, 60.0
"""Seconds: how often a holder speaks, for how long it takes itself for one after that, and after
what silence the host lets go. So who was stopped, or cut off, has ceased before another begins."""
TAKE_SECONDS = 60.0
"""How long a host may take to answer."""
ENDING = 10.0
"""How long it may take to let go."""
TOGETHER = 1.0
"""Seconds that the first host of the order has to answer once any has, to be the first taken."""
MOST_TOLD = 200

SCRIPT = f"""\
set -eu
umask 022
exec 9<> "$1"
if ! flock -w {FREED_WITHIN:g} 9; then date +%s; cat "$1"; exit {BUSY}; fi
printf '%s %s\\n' "$(date +%s)" "$2" > "$1"
echo {HELD}
while [ -n "$(timeout "$3" dd bs=1 count=1 2>/dev/null)" ]; do echo {HELD}; done
: > "$1"
"""
"""Lock, sign, and answer each byte; end with what is read, or after too long a silence."""


def elapsed() -> float:
    """Seconds on a clock that nobody sets and that runs on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(slots=True)
class Held:
    """Hosts that are held, as the way to change them: implements `Connector`.

    A host that is not held, or is no more, is looked at as ever and not changed.
    """

    by: Connector
    silent: dict[str, Unreachable] = field(default_factory=dict)
    """Hosts that could not be held, as they did not answer."""
    spoken: dict[str, float] = field(default_factory=dict)
    """When each host was last known to be held."""

    def check(self, name: str) -> None:
        """Whether a host is surely held.

        Raises:
            HostGoneError: When it is not.
        """
        if name in self.silent:
            raise HostGoneError(self.silent[name].reason, self.silent[name].hint)
        if name not in self.spoken or elapsed() - self.spoken[name] > FRESH:
            raise HostGoneError(
                "the lock on it was lost, so nothing more is changed there", "run it again"
            )

    @asynccontextmanager
    async def reading(self, host: Placed) -> AsyncIterator[Reader]:
        """A connection to look."""
        async with self.by.reading(host) as session:
            yield session

    @asynccontextmanager
    async def writing(self, host: Placed) -> AsyncIterator[Writer]:
        """A connection to change something."""
        async with self.by.writing(host) as session:
            yield _Checked(self, host.name, session)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A host that is changed only while it is held."""

    held: Held
    name: str
    session: Writer

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        return await self.session.run(argv, seconds=seconds)

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        return await self.session.read(patterns, seconds=seconds)

    async def change(self, argv: Sequence[str], stdin: bytes | None, *, seconds: float) -> Ran:
        self.held.check(self.name)
        return await self.session.change(argv, stdin, seconds=seconds)

    @asynccontextmanager
    async def talk(self, argv: Sequence[str]) -> AsyncIterator[Talk]:
        self.held.check(self.name)
        async with self.session.talk(argv) as talk:
            yield talk


@contextmanager
def held(
    hosts: Sequence[Placed], by: Connector, purpose: str, *, most: int = MOST_AT_ONCE
) -> Iterator[Held]:
    """Be the only one that changes some hosts, for as long as the block runs.

    Args:
        hosts: The hosts.
        by: The way to them.
        purpose: What is done with them, as in "is being …".
        most: Hosts that are connected to at once.

    Raises:
        BusyError: When another holds one of them, naming who, on which machine, and since when;
            then none is held.
    """
    holder = _Holder(Held(by), f"{purpose} by {_who()}", most)
    thread = threading.Thread(target=holder.run, args=(hosts,), name="held", daemon=True)
    thread.start()
    try:
        holder.taken.result()
        yield holder.held
    finally:
        holder.let_go()
        thread.join()


def _who() -> str:
    return f"pid {os.getpid()} ({user()} on {socket.gethostname()})"


class _Holder:
    """Takes the locks and speaks with those who hold them, in a loop of its own."""

    def __init__(self, held: Held, who: str, most: int) -> None:
        self.held, self.who = held, who
        self.room, self.over = asyncio.Semaphore(most), asyncio.Event()
        self.taken: Future[None] = Future()
        self._loop = asyncio.new_event_loop()

    def run(self, hosts: Sequence[Placed]) -> None:
        """Hold hosts until it is over."""
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._hold(hosts))
            except Exception as error:  # a fault of ours: raised where the locks are waited for
                if self.taken.done():
                    raise
                self.taken.set_exception(error)

    def let_go(self) -> None:
        """Have all locks given up; also while they are being taken."""
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self.over.set)

    async def _hold(self, hosts: Sequence[Placed]) -> None:
        ones = [_One(self, host) for host in hosts]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.live()) for one in ones]
            taking = group.create_task(self._all(ones))
            over = group.create_task(self.over.wait())
            await asyncio.wait((taking, over), return_when=asyncio.FIRST_COMPLETED)
            failure = taking.result() if taking.done() else None
            if failure is not None:
                self.taken.set_exception(failure)
            if failure is not None or not taking.done():
                for task in (*tasks, taking, over):
                    task.cancel()
            elif not self.over.is_set():
                self.taken.set_result(None)

    async def _all(self, ones: Sequence[_One]) -> LlmopsError | None:
        """The first host that answers, then the others; why they cannot all be taken."""
        connected = [asyncio.ensure_future(one.connected.wait()) for one in ones]
        if not ones:
            return None
        await asyncio.wait(connected, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(connected[:1], timeout=TOGETHER)
        for one in (one for one in ones if one.connected.is_set()):
            one.turn.set()
            if isinstance(found := await one.answer, LlmopsError):
                return found
            if found:
                break
        for one in ones:
            one.turn.set()
        for coming in asyncio.as_completed([one.answer for one in ones]):
            if isinstance(found := await coming, LlmopsError):
                return found
        return None


class _One:
    """The lock of one host."""

    def __init__(self, holder: _Holder, host: Placed) -> None:
        self._holder, self._held, self._host = holder, holder.held, host
        self.connected, self.turn = asyncio.Event(), asyncio.Event()
        self.answer: asyncio.Future[bool | LlmopsError] = asyncio.get_running_loop().create_future()
        """Whether it is held: not where it does not answer, and why not where another has it."""

    async def live(self) -> None:
        """Connect, take the lock in its turn, and keep it."""
        found: bool | LlmopsError = False
        try:
            await self._live()
        except LlmopsError as error:
            found = error
        except HostGoneError as gone:
            self._lost(Unreachable(gone.reason, gone.hint))
        except TimeoutError:
            self._lost(Unreachable(f"it did not answer within {TAKE_SECONDS:g} s"))
        finally:
            self.connected.set()
            if not self.answer.done():
                self.answer.set_result(found)

    def _lost(self, why: Unreachable) -> None:
        if self._held.spoken.pop(self._host.name, None) is None:
            self._held.silent[self._host.name] = why

    async def _live(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            async with self._holder.room, asyncio.timeout(TAKE_SECONDS):
                session = await stack.enter_async_context(self._held.by.writing(self._host))
            self.connected.set()
            await self.turn.wait()
            async with asyncio.timeout(TAKE_SECONDS):
                argv = ("sh", "-c", SCRIPT, "held", LOCK, self._holder.who, f"{LET_GO:g}")
                now = elapsed()
                talk = await stack.enter_async_context(session.talk(argv))
                if (said := await talk.hear()) != HELD:
                    raise await self._refused(talk, said)
            self._held.spoken[self._host.name] = now
            self.answer.set_result(True)
            await self._kept(talk)
            async with asyncio.timeout(ENDING):
                await talk.ended()

    async def _refused(self, talk: Talk, said: str) -> BusyError | HostGoneError:
        ran = await talk.ended()
        if ran.code != BUSY:
            return HostGoneError(
                f"no lock could be taken on it: {ran.err.strip()[:MOST_TOLD] or said}",
                f"it needs flock of util-linux, and the right to write {LOCK}",
            )
        return BusyError(
            f"{self._host.name} is being {_holder(said, ran.out)}",
            hint="wait until it has ended; a holder that was killed lets go by itself",
        )

    async def _kept(self, talk: Talk) -> None:
        """Speak until it is over.

        Raises:
            HostGoneError: When the host's process is heard no more: the lock is lost.
        """
        over = asyncio.ensure_future(self._holder.over.wait())
        while True:
            heard = asyncio.ensure_future(talk.hear())
            now = elapsed()
            await asyncio.wait((over, heard), timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
            if not over.done() and not heard.done():
                now = elapsed()
                await talk.say(b".")
                await asyncio.wait(
                    (over, heard), timeout=FRESH, return_when=asyncio.FIRST_COMPLETED
                )
            if over.done():
                heard.cancel()
                return
            if not heard.done() or heard.result() != HELD:
                raise HostGoneError("it let the lock go")
            self._held.spoken[self._host.name] = now


def _holder(now: str, signed: str) -> str:
    """Who holds a lock and since when, by the host's own clock. What the file says is not trusted:
    whoever is root there may have written it."""
    since, _, who = signed.partition(" ")
    who = "".join(one for one in who if one.isprintable())[:MOST_TOLD]
    if not (since.isdecimal() and now.isdecimal() and who):
        return UNSIGNED
    at = time.strftime("%H:%M:%S", time.localtime(int(since)))
    return f"{who} since {at} ({ago(int(now) - int(since))})"


__all__ = ["Held", "held"]
