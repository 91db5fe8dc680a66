"""One count for several gateways: what each does when the count's process is lost or silent.

`Wire` stands for Ray between them: it calls the actor's methods directly, and can lose it, keep
silent, or answer late. What it leaves out, the real Ray, is in `tests/e2e/test_7_limits.py`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ray.exceptions import RayActorError

from serving.gateway import Ask, Denied, LimiterGone, Standing, Tokens
from serving.gateway.limiter import Bounds
from serving.runtime import limits
from serving.runtime.limits import Accounts, SharedLimiter

BOUNDS = Bounds(concurrent_requests=3, tokens_per_day=1000, requests_per_minute=1000)


class Wire:
    """The way to one actor."""

    def __init__(self) -> None:
        self.actor = Accounts()
        self.dead = False
        self.silent = False

    def lose(self) -> None:
        """The actor's process is killed, and made anew."""
        self.actor = Accounts()

    def __getattr__(self, method: str) -> Any:
        async def remote(*arguments: Any) -> Any:
            if self.dead:
                raise RayActorError
            answer = getattr(self.actor, method)(*arguments)
            if self.silent:
                await asyncio.Event().wait()
            return answer

        return type("Method", (), {"remote": staticmethod(remote)})


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    made = Wire()
    monkeypatch.setattr(limits, "_find_or_make", lambda: made)
    monkeypatch.setattr(limits, "ANSWER_SECONDS", 0.2)
    return made


def ask(number: int) -> Ask:
    return Ask(f"req-{number}", "chat/a", BOUNDS)


async def let_in(limiter: SharedLimiter, numbers: range, tokens: int = 10) -> list[Ask]:
    found = []
    for one in map(ask, numbers):
        if isinstance(await limiter.admit(one), Standing):
            await limiter.reserve(one, Tokens(0, tokens))
            found.append(one)
    return found


async def settled(limiter: SharedLimiter, asks: list[Ask], tokens: int) -> None:
    for one in asks:
        limiter.settle(one, Tokens(0, tokens))
    await asyncio.gather(*limiter._settling)


async def copied(limiter: SharedLimiter) -> None:
    """Give one sign of life."""
    limiter._used = await limiter._ask("renew", limiter._gateway)


async def test_gateways_count_together(wire: Wire) -> None:
    one, other = SharedLimiter(), SharedLimiter()
    first, second = await let_in(one, range(2)), await let_in(other, range(10, 15))
    assert (len(first), len(second)) == (2, 1)
    await settled(one, first, 5)
    assert len(await let_in(other, range(20, 25))) == 2
    assert wire.actor._book.open("chat/a") == 3


async def test_what_is_known_outlives_the_actor(wire: Wire) -> None:
    one, other = SharedLimiter(), SharedLimiter()
    await settled(other, await let_in(other, range(1)), 700)
    first = await let_in(one, range(1, 3))
    await copied(one)
    await copied(other)
    wire.lose()
    assert len(await let_in(other, range(10, 13))) == 3, "the places of a gateway come with it"
    await copied(one)
    assert wire.actor._book.open("chat/a") == 5
    assert isinstance(await one.admit(ask(20)), Denied)
    [used] = wire.actor._book.dump(0).values()
    assert used["day"][1] == 700
    await settled(one, first, 50)
    [used] = wire.actor._book.dump(0).values()
    assert used["day"][1] == 800


async def test_an_end_is_counted_by_an_actor_that_knows_nothing_yet(wire: Wire) -> None:
    one = SharedLimiter()
    await settled(one, await let_in(one, range(1)), 600)
    flying = await let_in(one, range(1, 2))
    await copied(one)
    wire.lose()
    await settled(one, flying, 100)
    [used] = wire.actor._book.dump(0).values()
    assert used["day"][1] == 700


@pytest.mark.parametrize("how", ["dead", "silent"])
async def test_an_actor_that_does_not_answer_lets_nobody_in(wire: Wire, how: str) -> None:
    one = SharedLimiter()
    await let_in(one, range(1))
    setattr(wire, how, True)
    with pytest.raises(LimiterGone):
        await one.admit(ask(5))
    with pytest.raises(LimiterGone):
        await one.reserve(ask(0), Tokens(1, 1))
    setattr(wire, how, False)
    await asyncio.gather(*one._settling)
    assert len(await let_in(one, range(6, 9))) == 2
    assert wire.actor._book.open("chat/a") == 3


async def test_who_was_let_in_too_late_holds_no_place(wire: Wire) -> None:
    one = SharedLimiter()
    await let_in(one, range(1))
    wire.silent = True
    with pytest.raises(LimiterGone):
        await one.admit(ask(1))
    assert wire.actor._book.open("chat/a") == 2, "the test plays no late answer"
    wire.silent = False
    await asyncio.gather(*one._settling)
    assert wire.actor._book.open("chat/a") == 1


async def test_a_gateway_that_gives_no_sign_of_life_holds_no_place(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, alive = SharedLimiter(), SharedLimiter()
    await let_in(gone, range(2))
    await let_in(alive, range(2, 3))
    monkeypatch.setattr(limits, "GONE_AFTER", 0.05)
    await asyncio.sleep(0.1)
    await copied(alive)
    assert wire.actor._book.open("chat/a") == 1
    assert len(await let_in(alive, range(10, 14))) == 2
