"""An engine that owes a token and does nothing has failed; one that works never has."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from serving.runtime import pulse
from serving.runtime.pulse import STILL, Failure, Pulse
from serving.runtime.watchdog import STOPPED, Look

EVERY = 0.001
LOOKS = 4 * max(STILL, STOPPED)


class Engine:
    """An engine's process as it looks, and whether it makes tokens."""

    def __init__(self) -> None:
        self.state = "S"
        self.works = False
        self.answers = True
        self.ended = False
        self.looks = 0
        self.seen = asyncio.Event()
        """Set once it was looked at often enough, or has failed."""
        self.asked = 0
        self._ticks = 0

    def look(self, pid: int) -> Look:
        self.looks += 1
        if self.looks >= LOOKS:
            self.seen.set()
        self._ticks += self.works
        return Look(self.state, self._ticks)

    async def token(self) -> None:
        self.asked += 1
        if not self.answers:
            await asyncio.Event().wait()


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are missed at once where there are requests; else within the test."""
    monkeypatch.setattr(pulse, "OWING", 0.0)
    monkeypatch.setattr(pulse, "QUIET", 10 * EVERY)


async def failure(engine: Engine, *, requests: int = 0, alone: bool = True) -> Failure | None:
    """What is found within so many looks; None where all is well."""
    found: list[Failure] = []

    def lost(failure: Failure) -> None:
        found.append(failure)
        engine.seen.set()

    made = Pulse(
        engine.token, [1], lambda: engine.ended, lost, alone=alone, look=engine.look, every=EVERY
    )
    task = asyncio.create_task(made.run())
    with made.request() if requests else contextlib.nullcontext():
        await engine.seen.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found[0] if found else None


@pytest.mark.parametrize("requests", [0, 1])
async def test_one_that_answers_pings_and_makes_no_token_is_found(
    engine: Engine, requests: int
) -> None:
    engine.answers = False
    assert await failure(engine, requests=requests) is Failure.STILL
    assert engine.asked == 1, "it was not asked for a token"


@pytest.mark.parametrize("state", ["S", "R", "D", "t"])
async def test_one_that_is_busy_is_not_mistaken_for_dead(engine: Engine, state: str) -> None:
    engine.answers, engine.state, engine.works = False, state, state == "S"
    assert await failure(engine, requests=1) is None


async def test_one_that_is_stopped_is_found_whether_anybody_asks_or_not(engine: Engine) -> None:
    engine.state = "T"
    assert await failure(engine) is Failure.STOPPED
    assert engine.looks == STOPPED


async def test_one_that_knows_that_it_has_ended_is_believed(engine: Engine) -> None:
    engine.ended = True
    assert await failure(engine) is Failure.ENDED


async def test_one_that_waits_for_other_machines_does_not_stand_still(engine: Engine) -> None:
    engine.answers = False
    assert await failure(engine, requests=1, alone=False) is None


async def test_one_that_makes_tokens_goes_on_and_those_made_for_this_are_counted(
    engine: Engine,
) -> None:
    assert await failure(engine) is None
    assert engine.asked >= 1


async def test_one_that_refuses_has_answered_and_is_asked_again(engine: Engine) -> None:
    async def token() -> None:
        engine.asked += 1
        raise ValueError("no")

    engine.token = token  # type: ignore[method-assign]
    assert await failure(engine, requests=1) is None
    assert engine.asked > 1


async def test_while_tokens_come_none_is_asked_for(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "OWING", 30.0)
    assert await failure(engine, requests=1) is None
    assert engine.asked == 0


async def test_what_is_asked_for_takes_a_small_share_of_an_engines_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulse, "QUIET", 30.0)
    monkeypatch.setattr(pulse, "OF_TIME", 0.001)

    async def token() -> None:
        await asyncio.sleep(0.02)  # so the next one is due after 20 s

    made = Pulse(token, [1], lambda: False, lambda _: None, look=engine.look)
    await made._token()
    with made.request():
        assert made._failure() is None
    assert made._probe is None, "it is asked again at once"
