"""A replica of a release: an engine inside a Serve actor, driven over the Serve handle.

Importing this is cheap on purpose, because Serve imports it in processes that never run an engine.
The engine is imported in the constructor, after its fork server has been started.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray import serve

from llmops.spec import OWN
from serving.engines import Adapters, EngineRun, UnknownReleaseError, call
from serving.runtime import loopback, serve_logs
from serving.runtime.dying import Death, EngineAwayError, EngineDiedError
from serving.runtime.ending import end_at_once
from serving.runtime.heartbeat import beat
from serving.runtime.paths import RuntimePaths
from serving.runtime.pulse import Failure, Pulse
from serving.runtime.watchdog import descendants
from serving.serve_config import ANSWERED_BY, ANSWERED_WITH, REPLICA
from serving.starving import out_of_memory_kills

if TYPE_CHECKING:
    from serving.engines import Place
    from serving.runtime.parts import PartEndedError

if loopback.wanted():
    loopback.keep_serve_on_loopback()
log = logging.getLogger("llmops.replica")


class Replica:
    """One engine. Its requests are `(method, path, headers, body)`; see `serving.engines.call`."""

    async def __init__(  # type: ignore[misc]
        self, home: str, run: dict[str, Any], fetch: bool, pod: bool
    ) -> None:
        self._run = EngineRun(**run)
        self._paths = RuntimePaths(Path(home))
        self._fetch, self._pod = fetch, pod
        self._stack = contextlib.AsyncExitStack()
        self._adapters: Adapters | None = None
        self._starting = True
        self._totals = {"asked": 0, "answered": 0}
        self._starved = out_of_memory_kills()
        self._watching: list[asyncio.Task[None]] = []
        self._own_log()
        self._death = Death(self._paths.deaths, ray.get_runtime_context().get_actor_id() or "")
        try:
            with serve_logs.kept():
                await self._start()
            self._starting = False
        except BaseException as error:  # told to the user by cause, whatever it was
            await self._report(error)
            raise

    def _own_log(self) -> None:
        """Send everything this process and its children print to the release's own log file; in a
        pod, to where the pod's log is read as well."""
        path = self._paths.engine_log(self._run.service, self._run.release)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        into = _both(path) if self._pod else file
        os.dup2(into, 1)
        os.dup2(into, 2)
        os.close(file)
        # Where standard error goes into the file as well, once is enough.
        handler = logging.StreamHandler() if self._pod else logging.FileHandler(path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)

    async def _start(self) -> None:
        from serving.engines import vllm
        from serving.runtime.weights import weights

        began = time.monotonic()
        place = await self._parted() if self._run.pipeline > 1 else None
        vllm.prepare(self._run, place)
        directory = await asyncio.to_thread(weights, self._paths, self._run, fetch=self._fetch)
        log.info("weights verified after %.1f s", time.monotonic() - began)
        self._client, self._app = await self._stack.enter_async_context(
            vllm.start(self._run, directory, place)
        )
        if self._run.adapter_rank:
            self._adapters = Adapters(
                self._client, self._app, self._run.service,
                self._adapter, self._adapter_tried, vllm.adapter,
            )  # fmt: skip
        self._look_after(alone=place is None)
        log.info("engine ready after %.1f s", time.monotonic() - began)

    def _look_after(self, *, alone: bool) -> None:
        """Have the engine watched by this process, and this process by its watchdog."""
        from serving.engines import vllm

        self._pulse = Pulse(
            lambda: vllm.token(self._client),
            descendants(os.getpid()),  # its workers are children of the fork server, not its own
            lambda: self._client.errored,
            self._failed,
            alone=alone,
        )
        self._watching = [asyncio.create_task(beat()), asyncio.create_task(self._pulse.run())]

    def _failed(self, failure: Failure) -> None:
        """The engine is no more, and so is this process: then every request here is known to be
        lost at once, and goes to another replica where nothing of its answer has gone out."""
        log.error("%s: this replica ends", failure)
        if failure is Failure.ENDED:
            self._died()
        elif failure is Failure.STILL:
            self._death.hung()
        end_at_once()

    async def _parted(self) -> Place:
        """The further parts of a replica over several machines, begun and watched."""
        from serving.runtime.parts import Parts

        self._parts = Parts(str(self._paths.home), self._run, fetch=self._fetch)
        place = await self._parts.begin()
        self._parts.watch(self._lost)
        return place

    def _lost(self, error: PartEndedError) -> None:
        """A part has ended: so does all of the replica. Serve starts another."""
        log.error("%s", error.message)
        if self._starting:
            self._leave_word(self._run.release, error.message, error.hint)
        end_at_once()

    def _adapter(self, source: str, digest: str) -> Path:
        """Folder of an adapter, checked against what was planned with."""
        from serving.finetune.artefacts import locate

        return locate(self._paths.home, source, expected=digest).directory

    def _adapter_tried(self, release: int, cause: str) -> None:
        """Leave word of an adapter that cannot be loaded, or take back what was left."""
        if cause:
            self._leave_word(release, f"its adapter cannot be loaded: {cause}", "")
        else:
            self._paths.failure(self._run.service, release).unlink(missing_ok=True)

    async def _report(self, error: BaseException) -> None:
        from serving.engines.causes import find_cause

        path = self._paths.engine_log(self._run.service, self._run.release)
        cause = find_cause(path.read_text(errors="replace")[-200_000:], error)
        self._leave_word(self._run.release, cause.text, cause.hint)

    def _leave_word(self, release: int, cause: str, hint: str) -> None:
        """Say why a release that this engine answers for cannot serve."""
        log_file = self._paths.engine_log(self._run.service, self._run.release)
        report = {"cause": cause, "hint": hint, "log": str(log_file)}
        file = self._paths.failure(self._run.service, release)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        whole = file.with_suffix(".new")  # who waits for the file must find all of it
        whole.write_text(json.dumps(report))
        whole.replace(file)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Called by Serve with the adapters by release, before the replica is asked anything, and
        whenever they change."""
        if self._adapters is not None:
            await self._adapters.follow(user_config["adapters"], user_config.get("named", {}))

    async def handle(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
        release: int | None = None,
        name: str = OWN,
    ) -> AsyncGenerator[Any, None]:
        """Answer one request for a release: yields `(status, headers, ready)`, then what of the
        body was not ready with its head, in pieces.

        The headers tell the release that has answered, and the digest of its adapter where it has
        answered with one. Without a release the engine's own is asked; the name is that of one of
        its adapters, where that has one.

        Raises:
            EngineDiedError: When the engine is dead, or dies before the answer is whole.
        """
        release, digest = self._run.release if release is None else release, ""
        if self._adapters is not None:
            body, digest = await self._adapters.body(release, body, name)
        elif release != self._run.release or name != OWN:
            raise UnknownReleaseError(f"this is release {self._run.release}, not {release} {name}")
        signed = [(ANSWERED_BY, str(release)), *([(ANSWERED_WITH, digest)] if digest else [])]
        self._totals["asked"] += 1
        if self._client.errored:
            raise EngineAwayError
        with self._pulse.request():
            async for piece in call(self._app, method, path, headers, body):
                if self._client.errored:
                    raise EngineDiedError(self._died())
                if isinstance(piece, tuple):
                    status, told, ready = piece
                    answer: Any = status, [*told, *signed], ready
                else:
                    answer = ready = piece
                if status == 200 and ready:  # a refusal takes no engine
                    self._pulse.came()
                yield answer
        self._totals["answered"] += 1  # to its end: nobody hung up, and nothing failed

    def _died(self) -> str:
        """The name of the engine's death, where that may be a request's doing."""
        from serving.engines import vllm

        exits = vllm.exits(self._client)
        starved = out_of_memory_kills() > self._starved
        why = ": the kernel ends processes here since memory has run out" if starved else ""
        log.error("the engine has died; its processes ended with %s%s", list(exits), why)
        return self._death.engine(exits)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Asked by Serve where the number of replicas follows the load."""
        from serving.engines import vllm

        return vllm.figures()

    async def inside(self) -> dict[str, Any]:
        """Asked by an audit: what the engine of this process could be reached by."""
        from serving.engines import vllm

        return vllm.inside(self._app)

    async def check_health(self) -> None:
        """Asked by Serve every few seconds; a dead engine makes Serve start a new replica."""
        await self._client.check_health()

    async def __del__(self) -> None:
        from serving.engines import vllm

        for task in self._watching:
            task.cancel()
        own = self._pulse.made if self._watching else 0  # tokens that nobody else has wanted
        made = {name: count - own for name, count in vllm.totals().items()}
        log.info("engine ends: %s", json.dumps(self._totals | made))
        await self._stack.aclose()


def _both(path: Path) -> int:
    """A descriptor whose text goes to the end of a file and to this process's standard error.

    A process of its own passes it on, so that what an engine prints while it dies is kept too.
    """
    tee = subprocess.Popen(
        ["tee", "-a", str(path)], stdin=subprocess.PIPE, stdout=2, start_new_session=True
    )
    assert tee.stdin is not None  # noqa: S101 - a pipe was asked for
    return os.dup(tee.stdin.fileno())


def build(args: dict[str, Any]) -> serve.Application:
    """Serve's entry point for a release's application."""
    deployment = serve.deployment(name=REPLICA)(Replica)
    fetch = args.get("fetch", False)
    return deployment.bind(args["home"], args["run"], fetch, fetch and not args.get("machine"))
