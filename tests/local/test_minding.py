"""The host minds services whose traffic is shared, where the command that shared it is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.locking import ServiceLock
from serving.runtime.minding import Minder, shared
from serving.serve_config import GATEWAY

STAND_IN = "tests.local.minded"


def config(**services: dict[int, int]) -> dict[str, Any]:
    """A config of Serve's with these shares, by service and release."""
    table = {
        name: {"releases": [{"release": n, "share": share} for n, share in shares.items()]}
        for name, shares in services.items()
    }
    gateway = {"name": GATEWAY, "deployments": [{"user_config": {"services": table}}]}
    return {"applications": [gateway, {"name": "chat-r1", "deployments": [{"name": "replica"}]}]}


def recorded(home: Path, *services: str) -> None:
    (home / "releases").mkdir(exist_ok=True)
    for name in services:
        (home / "releases" / f"{name}.json").write_text("{}")


async def until(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    for _ in iter(look, True):
        assert time.monotonic() < end, "it did not come true in 100 s"
        await asyncio.sleep(0.05)


def pid_of(file: Path) -> int:
    return int(file.read_text()) if file.exists() and file.read_text() else 0


def test_traffic_is_shared_where_two_releases_have_some() -> None:
    found = shared(config(chat={1: 90, 2: 10}, other={1: 100, 2: 0}, third={3: 100}))
    assert found == ["chat"]
    assert shared({}) == []


async def test_a_service_that_nobody_is_at_is_gone_on_with_at_the_second_look(
    tmp_path: Path,
) -> None:
    recorded(tmp_path, "chat")
    minder = Minder(tmp_path, STAND_IN)
    minder.follow(config(chat={1: 90, 2: 10}))
    said = tmp_path / "minded-chat"
    try:
        await minder.look()
        assert not minder._at_work
        await minder.look()
        await until(lambda: pid_of(said) > 0)
        first = pid_of(said)
        for _ in range(3):
            await minder.look()
        assert pid_of(said) == first, "one is enough"
    finally:
        await minder.stop()
    assert not psutil.pid_exists(first), "it ends with the host"


async def test_one_that_has_ended_is_followed_by_another_while_traffic_is_shared(
    tmp_path: Path,
) -> None:
    recorded(tmp_path, "chat")
    (tmp_path / "end").touch()
    minder = Minder(tmp_path, STAND_IN)
    minder.follow(config(chat={1: 90, 2: 10}))
    said = tmp_path / "minded-chat"
    try:
        await minder.look()
        await minder.look()
        await minder._at_work["chat"].wait()
        first = pid_of(said)
        await minder.look()
        await minder.look()
        await minder._at_work["chat"].wait()
        assert pid_of(said) not in (0, first)
        minder.follow(config(chat={2: 100}))
        for _ in range(3):
            await minder.look()
        assert not minder._at_work
    finally:
        await minder.stop()


@pytest.mark.parametrize("why", ["somebody is at it", "its records are elsewhere", "not shared"])
async def test_a_service_is_left_alone_where(tmp_path: Path, why: str) -> None:
    minder = Minder(tmp_path, STAND_IN)
    minder.follow(config(chat={1: 100} if why == "not shared" else {1: 90, 2: 10}))
    if why != "its records are elsewhere":
        recorded(tmp_path, "chat")
    held = "chat" if why == "somebody is at it" else "other"
    try:
        with ServiceLock(tmp_path / "locks").hold(held, "deployed"):
            for _ in range(3):
                await minder.look()
        assert not minder._at_work
    finally:
        await minder.stop()


async def test_it_looks_until_it_is_told_to_end(tmp_path: Path) -> None:
    recorded(tmp_path, "chat")
    minder = Minder(tmp_path, STAND_IN)
    minder.follow(config(chat={1: 90, 2: 10}))
    task = asyncio.create_task(minder.run(every=0.02))
    said = tmp_path / "minded-chat"
    await until(lambda: pid_of(said) > 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not psutil.pid_exists(pid_of(said))
