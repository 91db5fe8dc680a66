"""The adapters of one engine: which release is answered with which, loaded and taken out while it
runs.

A release has one for its service's name, or none, and others for model names of their own. An
adapter's name and number in the engine are made of its digest. vLLM's prefix cache goes by the
name, so what one adapter has left there can never answer for another (vllm#42125), whatever release
or folder it came from. A request names its release, and one of its model names; it is answered with
that adapter, or not at all: never with the bare weights or with another.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from llmops.errors import LlmopsError
from llmops.spec import OWN

log = logging.getLogger("llmops.replica")

TOLD_WITHIN = 30.0
"""Seconds that a request waits for a release that this engine has not been told of yet."""

Find = Callable[[str, str], Path]
"""From source and digest to the adapter's folder, every byte of it checked."""

Told = Mapping[str, str]
"""An adapter as the engine is told of it: its `source` and its `digest`."""

_ASKED: ContextVar[str] = ContextVar("model name that is answered to")


class UnknownReleaseError(Exception):
    """A release, or a model name of it, that this engine does not answer for."""


def name_of(digest: str) -> str:
    """The adapter's name in the engine."""
    return f"adapter-{digest}"


def number_of(digest: str) -> int:
    """The adapter's number in the engine: 1 to 2^31 - 1."""
    return int(digest[:16], 16) % (2**31 - 1) + 1


class Adapters:
    """What an engine answers with, by release and model name."""

    def __init__(
        self,
        client: Any,
        app: Any,
        service: str,
        find: Find,
        tell: Callable[[int, str], None],
        describe: Callable[[str, int, Path], Any],
    ) -> None:
        """
        Args:
            client: The engine.
            app: Its ASGI app.
            service: What answers call the model, where no other name was asked for.
            find: Where an adapter lies; it raises when one is missing or damaged.
            tell: Told of each release of which an adapter was to be loaded, and why one of its
                could not be; empty when all that were tried are.
            describe: The engine's own word for an adapter: of its name, number and folder.
        """
        self._client = client
        self._models = app.state.openai_serving_models
        self._service = service
        self._find, self._tell, self._describe = find, tell, describe
        self._told: dict[int, dict[str, tuple[str, str]]] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, str] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()
        # What the engine calls an adapter is our own affair: clients are told what they asked for.
        self._models.model_name = lambda _request=None: _ASKED.get(service)

    async def follow(
        self, told: Mapping[str, Told | None], named: Mapping[str, Mapping[str, Told]]
    ) -> None:
        """Answer for these releases from now on; returns at once and loads meanwhile.

        While this runs Serve sends the replica nothing, so nothing is waited for here.

        Args:
            told: By release, the adapter that the service's name is answered with; None for the
                bare weights.
            named: By release, adapters by model names of their own.
        """
        before = self._digests()
        self._told = {
            int(number): {
                name: (each["source"], each["digest"])
                for name, each in ({OWN: one} | dict(named.get(number, {}))).items()
                if each
            }
            for number, one in told.items()
        }
        for release in self._told.values():
            for one in release.values():
                self._begin(*one)
        for digest in before - self._digests():
            self._drop(digest)
        async with self._news:
            self._news.notify_all()

    async def body(self, release: int, body: bytes, name: str = OWN) -> tuple[bytes, str]:
        """A request's body, as the engine is given it to answer for `release` under a model name,
        and the digest of the adapter that will; empty for the bare weights.

        Raises:
            UnknownReleaseError: When it does not answer for that release, or not under that name.
            LlmopsError: When the adapter could not be loaded.
        """
        known = await self._of(release)
        if name != OWN and name not in known:
            raise UnknownReleaseError(f"release {release} has no model {name}")
        _ASKED.set(name or self._service)
        if name not in known:
            return body, ""
        source, digest = known[name]
        self._begin(source, digest)
        await asyncio.shield(self._loads[digest])
        return json.dumps(json.loads(body) | {"model": name_of(digest)}).encode(), digest

    async def _of(self, release: int) -> dict[str, tuple[str, str]]:
        async with self._news:
            try:
                async with asyncio.timeout(TOLD_WITHIN):
                    await self._news.wait_for(lambda: release in self._told)
            except TimeoutError as error:
                raise UnknownReleaseError(f"not told of release {release}") from error
            return self._told[release]

    def _digests(self) -> set[str]:
        return {digest for release in self._told.values() for _, digest in release.values()}

    def _having(self, digest: str) -> Iterator[int]:
        """The releases that have an adapter."""
        for number, release in self._told.items():
            if any(one[1] == digest for one in release.values()):
                yield number

    def _begin(self, source: str, digest: str) -> None:
        """Load an adapter, unless it is loaded or on its way; what has failed is tried again."""
        task = self._loads.get(digest)
        if task is not None and not (task.done() and (task.cancelled() or task.exception())):
            return
        self._loads[digest] = asyncio.create_task(self._load(source, digest))
        # Whoever needs it is told by the task; nobody may.
        self._loads[digest].add_done_callback(lambda t: t.cancelled() or t.exception())

    async def _load(self, source: str, digest: str) -> None:
        try:
            folder = await asyncio.to_thread(self._find, source, digest)
            request = self._describe(name_of(digest), number_of(digest), folder)
            await self._client.add_lora(request)
        except Exception as error:  # whatever the engine raises, the releases are told of it
            words = error.message if isinstance(error, LlmopsError) else str(error)
            log.exception("the adapter %s (%s) cannot be loaded", source, digest[:12])
            self._failures[digest] = words
            self._tell_all(digest)
            raise
        self._models.lora_requests[name_of(digest)] = request
        self._failures.pop(digest, None)
        self._tell_all(digest)
        log.info("adapter %s (%s) is loaded", source, digest[:12])

    def _tell_all(self, digest: str) -> None:
        """Tell every release that has an adapter how its adapters stand: one that is loaded takes
        nothing back of what was said of another."""
        for number in self._having(digest):
            words = [
                self._failures[one] for _, one in self._told[number].values()
                if one in self._failures
            ]  # fmt: skip
            self._tell(number, next(iter(words), ""))

    def _drop(self, digest: str) -> None:
        """Take an adapter out of the engine: no release that it answers for has it."""
        loading = self._loads.pop(digest, None)
        self._failures.pop(digest, None)
        unload = asyncio.create_task(self._unload(digest, loading))
        self._leaving.add(unload)
        unload.add_done_callback(self._leaving.discard)

    async def _unload(self, digest: str, loading: asyncio.Task[None] | None) -> None:
        if loading is not None:
            await asyncio.wait({loading})
        if digest in self._digests():
            return  # named again meanwhile
        if self._models.lora_requests.pop(name_of(digest), None) is not None:
            await self._client.remove_lora(number_of(digest))
            log.info("adapter %s is taken out", digest[:12])


__all__ = ["Adapters", "UnknownReleaseError", "name_of", "number_of"]
