"""What a crash leaves on the machine: the doctor names it, and the next run takes it away.

Everything is real: processes that are killed, and their segments in /dev/shm. Processes and sockets
that are left are in `tests/local/test_doctor.py` and `tests/local/test_launcher.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from serving.local import doctor
from serving.local.doctor import CHECKS, Look
from serving.runtime import launcher, segments
from serving.runtime.host import Host
from serving.runtime.housekeeping import keep_house
from serving.runtime.launcher import family, stop_host
from serving.runtime.paths import RuntimePaths

HOLDS = """
import sys
from multiprocessing.resource_tracker import unregister
from multiprocessing.shared_memory import SharedMemory
held = SharedMemory(create=True, size=4096)
unregister("/" + held.name, "shared_memory")
print(held.name, flush=True)
sys.stdin.read()
"""
"""An engine's shard: it holds a segment, and who is killed with all its helpers unlinks nothing."""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RuntimePaths:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    made = RuntimePaths(tmp_path / "home")
    made.sockets.mkdir(mode=0o700)
    return made


@contextlib.contextmanager
def holder(**environment: str) -> Iterator[tuple[psutil.Process, Path]]:
    """A process with a segment of its own; both are gone after the block."""
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(
        command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        segment = segments.PLACE / process.stdout.readline().decode().strip()
        try:
            yield psutil.Process(process.pid), segment
        finally:
            process.kill()
            process.wait(30)
            segment.unlink(missing_ok=True)


def struck(process: psutil.Process) -> None:
    process.kill()
    process.wait(30)


def shared_memory(paths: RuntimePaths) -> doctor.Check:
    return doctor._made("shared memory", CHECKS["shared memory"], Look(paths.home))


def test_shared_memory_of_a_runtime_that_was_killed_is_named_and_taken_away(
    paths: RuntimePaths,
) -> None:
    with (
        holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (ours, segment),
        holder() as (strangers, another),
    ):
        segments.note(paths, [process.pid for process in family(paths)])
        assert segment.name not in shared_memory(paths).found, "it is still used"
        struck(ours)
        struck(strangers)
        assert segment.exists(), "the fault did not land"
        check = shared_memory(paths)
        assert (check.verdict, str(segment) in check.found) == ("warn", True), check
        assert "llmops deploy" in check.fix
        assert str(another) not in check.found, "a stranger's is named as ours"
        list(stop_host(paths))
        assert not segment.exists(), "the next run leaves it there"
        assert another.exists(), "a stranger's was taken away"


async def test_a_host_writes_down_what_its_processes_hold(paths: RuntimePaths) -> None:
    (paths.home / "logs").mkdir(parents=True)
    host = Host(paths.home, "127.0.0.1", 0, [])
    with holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (_, segment):
        async with asyncio.timeout(60), host._minding(Starlette()):
            while segment.name not in segments.known(paths):  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.02)


async def test_what_a_killed_replica_leaves_is_taken_away_while_the_host_goes_on(
    paths: RuntimePaths,
) -> None:
    (paths.home / "logs").mkdir(parents=True)
    with holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (ours, segment):
        async with asyncio.timeout(60):
            keeping = asyncio.create_task(keep_house(paths, every=0.02))
            while segment.name not in segments.known(paths):  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.02)
            assert segment.exists(), "it was taken from who uses it"
            struck(ours)
            while segment.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            keeping.cancel()


def test_processes_that_a_host_left_go_with_what_they_hold(paths: RuntimePaths) -> None:
    """Though nothing was written down: it is seen before they are ended."""
    with holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (ours, segment):
        list(stop_host(paths))
        assert not ours.is_running() or ours.status() == psutil.STATUS_ZOMBIE
        assert not segment.exists()


def test_what_cannot_be_written_down_is_taken_away_all_the_same(
    paths: RuntimePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(segments, "note", full)
    with holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (_, segment):
        list(stop_host(paths))
        assert not segment.exists()


def test_a_stop_that_was_killed_is_finished_by_the_next(paths: RuntimePaths) -> None:
    """The first has seen who holds what, the second finds nobody."""
    with (
        holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (ours, segment),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(launcher, "end", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            list(stop_host(paths))
        struck(ours)
        assert segment.exists(), "the fault did not land"
        patched.undo()
        list(stop_host(paths))
        assert not segment.exists()


async def test_what_is_held_is_written_down_before_a_host_ends_any(
    paths: RuntimePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[segments.Segments] = []
    monkeypatch.setattr(Host, "apply", lambda *_: known.append(segments.known(paths)))
    host = Host(paths.home, "127.0.0.1", 0, [])
    with holder(RAY_AUTH_TOKEN_PATH=str(paths.token)) as (_, segment):
        app = Starlette(routes=[Route("/config", host.config, methods=["POST"])])
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://h"
        ) as ask:
            assert (await ask.post("/config", json={"applications": []})).text == "ok"
        assert [segment.name in one for one in known] == [True]


def test_what_somebody_still_uses_stays(paths: RuntimePaths) -> None:
    with holder() as (_, segment):
        paths.segments.write_text(f'{{"{segment.name}": {segment.stat().st_ino}}}')
        list(stop_host(paths))
        assert segment.exists()


def test_a_name_that_was_given_out_again_is_not_taken_away(paths: RuntimePaths) -> None:
    with holder() as (process, segment):
        struck(process)
        paths.segments.write_text(f'{{"{segment.name}": {segment.stat().st_ino + 1}}}')
        list(stop_host(paths))
        assert segment.exists()
