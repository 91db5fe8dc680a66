"""The adapters of one engine: which release is answered with which, loaded and taken out while it
runs.

An adapter's name and number in the engine are made of its digest. vLLM's prefix cache goes by the
name, so what one adapter has left there can never answer for another (vllm#42125), whatever release
or folder it came from. A request names its release; it is answered with that release's adapter, or
not at all: never with the bare weights or with another's.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llmops.errors import LlmopsError

log = logging.getLogger("llmops.replica")

TOLD_WITHIN = 30.0
"""Seconds that a request waits for a release that this engine has not been told of yet."""

Find = Callable[[str, str], Path]
"""From source and digest to the adapter's folder, every byte of it checked."""


class UnknownReleaseError(Exception):
    """A release that this engine does not answer for."""


def name_of(digest: str) -> str:
    """The adapter's name in the engine."""
    return f"adapter-{digest}"


def number_of(digest: str) -> int:
    """The adapter's number in the engine: 1 to 2^31 - 1."""
    return int(digest[:16], 16) % (2**31 - 1) + 1


class Adapters:
    """What an engine answers with, by release."""

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
            service: What answers call the model.
            find: Where an adapter lies; it raises when one is missing or damaged.
            tell: Told of each release whose adapter was to be loaded, and why it could not be;
                empty when it is.
            describe: The engine's own word for an adapter: of its name, number and folder.
        """
        self._client = client
        self._models = app.state.openai_serving_models
        self._find, self._tell, self._describe = find, tell, describe
        self._told: dict[int, tuple[str, str] | None] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()
        # What the engine calls an adapter is our own affair: clients asked for the service.
        self._models.model_name = lambda _request=None: service

    async def follow(self, told: Mapping[str, Mapping[str, str] | None]) -> None:
        """Answer for these releases from now on; returns at once and loads meanwhile.

        While this runs Serve sends the replica nothing, so nothing is waited for here.
        """
        before = self._digests()
        self._told = {
            int(number): (one["source"], one["digest"]) if one else None
            for number, one in told.items()
        }
        for number, one in self._told.items():
            if one is not None:
                self._begin(number, *one)
        for digest in before - self._digests():
            self._drop(digest)
        async with self._news:
            self._news.notify_all()

    async def body(self, release: int, body: bytes) -> bytes:
        """A request's body, as the engine is given it to answer for `release`.

        Raises:
            UnknownReleaseError: When it does not answer for that release.
            LlmopsError: When its adapter could not be loaded.
        """
        one = await self._of(release)
        if one is None:
            return body
        self._begin(release, *one)
        await asyncio.shield(self._loads[one[1]])
        return json.dumps(json.loads(body) | {"model": name_of(one[1])}).encode()

    async def _of(self, release: int) -> tuple[str, str] | None:
        async with self._news:
            try:
                async with asyncio.timeout(TOLD_WITHIN):
                    await self._news.wait_for(lambda: release in self._told)
            except TimeoutError as error:
                raise UnknownReleaseError(f"not told of release {release}") from error
            return self._told[release]

    def _digests(self) -> set[str]:
        return {one[1] for one in self._told.values() if one is not None}

    def _begin(self, release: int, source: str, digest: str) -> None:
        """Load an adapter, unless it is loaded or on its way; what has failed is tried again."""
        task = self._loads.get(digest)
        if task is not None and not (task.done() and (task.cancelled() or task.exception())):
            return
        self._loads[digest] = asyncio.create_task(self._load(release, source, digest))
        # Whoever needs it is told by the task; nobody may.
        self._loads[digest].add_done_callback(lambda t: t.cancelled() or t.exception())

    async def _load(self, release: int, source: str, digest: str) -> None:
        try:
            folder = await asyncio.to_thread(self._find, source, digest)
            request = self._describe(name_of(digest), number_of(digest), folder)
            await self._client.add_lora(request)
        except Exception as error:  # whatever the engine raises, the release is told of it
            words = error.message if isinstance(error, LlmopsError) else str(error)
            log.exception("the adapter of release %d cannot be loaded", release)
            self._tell(release, words)
            raise
        self._models.lora_requests[name_of(digest)] = request
        self._tell(release, "")
        log.info("adapter %s of release %d is loaded", digest[:12], release)

    def _drop(self, digest: str) -> None:
        """Take an adapter out of the engine: no release that it answers for has it."""
        loading = self._loads.pop(digest, None)
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
