"""The accounts of all gateways of one runtime, in one Ray actor: so that keys' limits are exact
however many gateways there are.

The actor lives for as long as the runtime does, and needs no CPU of its own. It begins beside the
gateway that needed it first, and Ray makes it anew when its process or its pod is lost. It then
knows nothing: each gateway keeps a copy of what was used, at most a second old, and of its own
requests in flight, and hands both over before it is answered again. So what a lost pod loses is
the last second of counting, and what was set aside by its own gateway's requests, if one ran there.
What was used in the day and the month is lost with the whole runtime: when all its pods are lost,
or when another Ray cluster takes over.

While the actor cannot be asked, requests are refused (see `LimiterGone`): for seconds, since calls
wait for it to be made anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from serving.gateway import Ask, Book, Denied, LimiterGone, Open, Standing, Tokens

NAME = "llmops-limits"
NAMESPACE = "llmops"

ANSWER_SECONDS = 5.0
"""For the actor to answer; it takes about a millisecond, and some seconds to be made anew."""
RENEW_EVERY = 1.0
"""Seconds between two signs of life of a gateway, each of which brings it a new copy."""
GONE_AFTER = 30.0
"""Seconds without a sign of life after which a gateway's requests have ended."""

log = logging.getLogger("llmops.limits")


class Accounts:
    """The actor. Each call names the life of the actor that the caller knows of: in another one it
    knows nothing of that gateway, and answers None until the gateway has joined."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(8)
        self._book = Book()
        self._seen: dict[str, float] = {}

    def join(self, gateway: str, used: Mapping[str, Any], open_: list[Open]) -> str:
        """Take over what a gateway knows; returns the actor's life."""
        now = time.time()
        self._seen[gateway] = time.monotonic()
        self._book.merge(used, now)
        for entry in open_:
            self._book.adopt(entry, now)
        return self._life

    def admit(self, life: str, gateway: str, ask: Ask) -> Standing | Denied | None:
        """See `Book.admit`."""
        return self._book.admit(ask, time.time(), gateway) if life == self._life else None

    def reserve(self, life: str, ask: Ask, most: Tokens) -> Standing | Denied | None:
        """See `Book.reserve`."""
        return self._book.reserve(ask, most, time.time()) if life == self._life else None

    def settle(self, life: str, ask: Ask, used: Tokens | None) -> bool | None:
        """See `Book.settle`."""
        if life != self._life:
            return None
        self._book.settle(ask, used, time.time())
        return True

    def renew(self, life: str, gateway: str) -> dict[str, Any] | None:
        """A gateway lives; returns what was used by all keys."""
        if life != self._life:
            return None
        # Not by the clock: set ahead, it would have all others gone, and their requests with them.
        now, elapsed = time.time(), time.monotonic()
        self._seen[gateway] = elapsed  # first: whoever says so lives
        for name in [name for name, seen in self._seen.items() if elapsed - seen > GONE_AFTER]:
            del self._seen[name]
            self._book.drop(name, now)
        return self._book.dump(now)


class SharedLimiter:
    """The actor, as one gateway asks it. See `serving.gateway.Limiter`."""

    def __init__(self) -> None:
        self._gateway = secrets.token_hex(8)
        self._life = ""
        self._used: Mapping[str, Any] = {}
        self._open: dict[str, Open] = {}
        self._actor: Any = None
        self._settling: set[asyncio.Task[None]] = set()

    async def admit(self, ask: Ask) -> Standing | Denied:
        """See `Limiter`."""
        try:
            answer: Standing | Denied = await self._ask("admit", self._gateway, ask)
        except LimiterGone:
            self.settle(ask, Tokens())  # it may be let in yet, when nobody waits for it any more
            raise
        if isinstance(answer, Standing):
            self._open[ask.id] = Open(ask, self._gateway)
        return answer

    async def reserve(self, ask: Ask, most: Tokens) -> Standing | Denied:
        """See `Limiter`."""
        answer: Standing | Denied = await self._ask("reserve", ask, most)
        if isinstance(answer, Standing) and ask.id in self._open:
            entry = self._open[ask.id]
            entry.ask, entry.tokens = ask, most
        return answer

    def settle(self, ask: Ask, used: Tokens | None) -> None:
        """See `Limiter`."""
        self._open.pop(ask.id, None)
        task = asyncio.get_running_loop().create_task(self._settle(ask, used))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def keep(self) -> None:
        """Give signs of life, for as long as this is not cancelled."""
        while True:
            with contextlib.suppress(LimiterGone):
                self._used = await self._ask("renew", self._gateway)
            await asyncio.sleep(RENEW_EVERY)

    async def _settle(self, ask: Ask, used: Tokens | None) -> None:
        try:
            await self._ask("settle", ask, used)
        except LimiterGone:
            log.warning("what a request of %s has used was not counted", ask.account)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        """What the actor answers, once it knows this gateway.

        Raises:
            LimiterGone: When it cannot be asked.
        """
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                for _ in range(3):
                    actor = self._actor or await self._connect()
                    call = getattr(actor, method)
                    if (answer := await call.remote(self._life, *arguments)) is not None:
                        return answer
                    open_ = list(self._open.values())
                    self._life = await actor.join.remote(self._gateway, self._used, open_)
        except (TimeoutError, RayError, ValueError) as error:
            self._actor = None
            raise LimiterGone(f"{NAME} does not answer ({type(error).__name__})") from error
        raise LimiterGone(f"{NAME} does not stay")

    async def _connect(self) -> Any:
        """The actor, made when there is none: in a thread, since Ray blocks for it."""
        self._actor = await asyncio.to_thread(_find_or_make)
        return self._actor


def _find_or_make() -> Any:
    here = ray.get_runtime_context().get_node_id()
    return (
        ray.remote(Accounts)
        .options(
            name=NAME,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=True),
        )
        .remote()
    )
