"""Limits that several gateways share, over a real Ray: exact, and not lost with a process."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.stage import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PLACES, DAILY, EACH = 7, 100, 10


class Gateway:
    """As much of a gateway as asks for limits; in a process of its own."""

    def __init__(self) -> None:
        from serving.runtime.limits import SharedLimiter

        self.limiter = SharedLimiter()
        self.flying: list[Any] = []

    async def keep(self) -> None:
        await self.limiter.keep()

    async def begin(self, name: str, count: int, account: str) -> int:
        """Ask `count` times at once; how many were let in with their tokens set aside."""
        import asyncio

        from serving.gateway import Ask, Standing, Tokens
        from serving.gateway.limiter import Bounds

        bounds = Bounds(
            concurrent_requests=PLACES if account == "places" else None,
            tokens_per_day=DAILY if account == "tokens" else None,
        )

        async def one(number: int) -> int:
            ask = Ask(f"{account}-{name}-{number}", account, bounds)
            if not isinstance(await self.limiter.admit(ask), Standing):
                return 0
            self.flying.append(ask)
            return int(isinstance(await self.limiter.reserve(ask, Tokens(0, EACH)), Standing))

        return sum(await asyncio.gather(*(one(number) for number in range(count))))

    async def end(self) -> None:
        """End all of its requests, each with its full number of tokens."""
        import asyncio

        from serving.gateway import Tokens

        flying, self.flying = self.flying, []
        for ask in flying:
            self.limiter.settle(ask, Tokens(0, EACH) if ask.account == "tokens" else Tokens())
        await asyncio.gather(*self.limiter._settling)


@pytest.fixture(scope="module")
def gateways(ray_token: Path) -> Iterator[tuple[Any, Any]]:
    import ray

    with tempfile.TemporaryDirectory(prefix="ray-") as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_token))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # keeps it on loopback
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
            object_store_memory=96 * 2**20, _temp_dir=place,
        )  # fmt: skip
        try:
            made = ray.remote(Gateway).options(num_cpus=0, max_concurrency=200)
            pair = made.remote(), made.remote()
            for one in pair:
                one.keep.remote()
            yield pair
        finally:
            ray.shutdown()


def both(gateways: tuple[Any, Any], name: str, account: str) -> list[int]:
    import ray

    begun = [one.begin.remote(f"{name}-{i}", 50, account) for i, one in enumerate(gateways)]
    return list(ray.get(begun, timeout=120))


def end(gateways: tuple[Any, Any]) -> None:
    import ray

    ray.get([one.end.remote() for one in gateways], timeout=60)


def kill_the_count() -> None:
    """Kill the process that counts, and see it made anew."""
    before = counting()
    print(f"killed pid {before.pid}: {before.cmdline()[0]}")
    os.kill(before.pid, signal.SIGKILL)
    until(lambda: not before.is_running(), 20)


def counting() -> psutil.Process:
    [found] = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].startswith("ray::Accounts")
        and any(parent.pid == os.getpid() for parent in process.parents())
    ]
    return found


def test_two_gateways_give_away_each_place_once(gateways: tuple[Any, Any]) -> None:
    assert sum(both(gateways, "first", "places")) == PLACES
    assert sum(both(gateways, "second", "places")) == 0
    end(gateways)
    assert sum(both(gateways, "third", "places")) == PLACES
    end(gateways)


def test_two_gateways_give_away_each_token_once_and_a_lost_process_forgets_none(
    gateways: tuple[Any, Any],
) -> None:
    assert sum(both(gateways, "first", "tokens")) == DAILY // EACH
    held = sum(both(gateways, "held", "places"))
    assert held == PLACES
    time.sleep(2.5)  # both have a copy that is at most a second old
    kill_the_count()
    assert sum(both(gateways, "after", "places")) == 0, "places were given away twice"
    assert sum(both(gateways, "after", "tokens")) == 0, "tokens were given away twice"
    end(gateways)
    assert sum(both(gateways, "later", "tokens")) == 0, "what was used is gone"
    assert sum(both(gateways, "later", "places")) == PLACES
    end(gateways)
