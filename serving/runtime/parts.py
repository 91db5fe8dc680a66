"""The further parts of a replica over several machines, each an actor that starts its engine.

The first part is the replica itself. All share one life: whichever ends or is stopped, the replica
ends as a whole at once, with the reason in its log, and Serve starts another. vLLM alone would not
notice: a request waits for good for a stage that is gone, and a health check asks the first part
only.

The parts meet at the first one's address, on the network of their Ray. What is open there, and to
whom, is in docs/security.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from llmops.errors import TargetError
from serving.engines import EngineRun, Place
from serving.runtime.network import interface_of
from serving.runtime.paths import RuntimePaths
from serving.runtime.watchdog import EVERY, STOPPED, Standing, descendants, look
from serving.serve_config import OF_A_MACHINE, REPLICA_RESOURCE

PORTS = range(10002, 20000)
"""Where a replica's parts meet: ports of Ray's workers, so that a firewall around Ray's ports is
around this one, too. torch's store listens there on every address."""

SEARCHED = 10
"""How many looks use one search for an engine's processes: it reads about all of the machine's."""

TAIL = 200_000
"""Bytes from the end of a log that a cause is looked for in."""

log = logging.getLogger("llmops.replica")


class PartEndedError(TargetError):
    """A part of a replica over several machines has ended, and the replica with it."""

    def __init__(self, rank: int, address: str, why: str, hint: str = "") -> None:
        super().__init__(f"stage {rank} of the replica, on {address}, has ended: {why}", hint=hint)


class EnginePart:
    """The actor of a further part; its engine is a process of its own, and ends with it."""

    def __init__(self, home: str, run: dict[str, Any], fetch: bool) -> None:
        self._paths, self._run, self._fetch = RuntimePaths(Path(home)), EngineRun(**run), fetch
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, rank: int, meeting: str, port: int) -> str:
        """Start the engine; returns the address of its machine."""
        place = here(rank, meeting, port)
        told = {"run": self._run.document(), "place": asdict(place), "fetch": self._fetch}
        command = [sys.executable, "-m", "serving.runtime.part", str(self._paths.home),
                   json.dumps(told)]  # fmt: skip
        file = self._log()
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with file.open("ab") as output:
            os.fchmod(output.fileno(), 0o600)
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=output,
                start_new_session=True, cwd="/",
            )  # fmt: skip
        return place.address

    async def ended(self) -> tuple[str, str]:
        """Once the engine has ended and nothing of it is left: why, and what to do about it."""
        from serving.engines.causes import find_cause

        process = self._process
        assert process is not None  # noqa: S101 - it has begun
        code = await asyncio.to_thread(outlast, process)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if code is None:
            return "a process of its engine was stopped", ""
        text = self._log().read_text(errors="replace")[-TAIL:]
        cause = find_cause(text, TargetError(f"its engine ended with {code}"))
        return cause.text, cause.hint

    def _log(self) -> Path:
        return self._paths.engine_log(self._run.service, self._run.release)


def outlast(process: subprocess.Popen[bytes], every: float = EVERY) -> int | None:
    """Wait until a process ends by itself, or one of its own is stopped: nothing else shows that.

    Args:
        process: At the head of a part's engine.
        every: Seconds between two looks.

    Returns:
        Its exit code; None where it or one below it was stopped at `STOPPED` looks in a row.
    """
    standing, looks, family = Standing(), 0, [process.pid]
    while standing.stopped < STOPPED:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(every)
        if looks % SEARCHED == 0:
            family = [process.pid, *descendants(process.pid)]
        looks += 1
        standing.see({pid: look(pid) for pid in family}, owes=False)
    return None


class Parts:
    """All parts of a replica but its own, which is asked for by the actor of the first.

    Args:
        home: Of each machine, which is the same on all.
        run: The replica's.
        fetch: Whether each machine fetches its own weights.
    """

    def __init__(self, home: str, run: EngineRun, *, fetch: bool) -> None:
        self._home, self._run, self._fetch = home, run, fetch
        self._parts: list[tuple[int, str, Any]] = []

    async def begin(self) -> Place:
        """Start them; returns the place of the first part, which they look for."""
        group = ray.util.get_current_placement_group()
        if group is None:
            raise TargetError("a replica over several machines was placed on one")
        own, port = ray.util.get_node_ip_address(), free_port()
        actors = [self._actor(group, rank) for rank in range(1, self._run.pipeline)]
        asked = [one.begin.remote(rank, own, port) for rank, one in enumerate(actors, start=1)]
        addresses = await asyncio.gather(*asked)
        self._parts = list(zip(range(1, self._run.pipeline), addresses, actors, strict=True))
        log.info("further stages on %s meet at %s:%d", ", ".join(addresses), own, port)
        return here(0, own, port)

    def _actor(self, group: PlacementGroup, rank: int) -> Any:
        kind: Any = ray.remote(EnginePart)
        return kind.options(
            num_cpus=0,
            num_gpus=self._run.tensor if self._run.device == "gpu" else 0,
            resources={REPLICA_RESOURCE: OF_A_MACHINE},
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                placement_group=group, placement_group_bundle_index=rank
            ),
        ).remote(self._home, self._run.document(), self._fetch)

    def watch(self, lost: Callable[[PartEndedError], None]) -> None:
        """Call `lost` once any of them ends: from a thread, since the engine's start holds the
        event loop."""
        for part in self._parts:
            threading.Thread(target=self._await, args=(*part, lost), daemon=True).start()

    def _await(
        self, rank: int, address: str, actor: Any, lost: Callable[[PartEndedError], None]
    ) -> None:
        try:
            why, hint = ray.get(actor.ended.remote())
        except RayError as error:  # its machine or its actor is gone
            said = str(error).strip().splitlines()
            why, hint = said[0] if said else type(error).__name__, ""
        lost(PartEndedError(rank, address, why, hint))


def here(rank: int, meeting: str, port: int) -> Place:
    """This machine as the place of a part. What the machine's own settings name goes before what
    the address tells."""
    address = ray.util.get_node_ip_address()
    interface = os.environ.get("GLOO_SOCKET_IFNAME") or interface_of(address)
    return Place(rank, address, interface, meeting, port)


def free_port() -> int:
    """A port of `PORTS` that nobody listens on now.

    Raises:
        TargetError: When all are taken.
    """
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            return port
    raise TargetError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")


__all__ = ["EnginePart", "PartEndedError", "Parts", "free_port", "here", "outlast"]
