"""How often a key may ask, and what the gateway tells of its health, by a clock of the tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.gateway.rates import Sliding
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import Gate


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(0, 100)), max_size=40))
def test_the_last_minute_is_summed(added: list[tuple[float, int]]) -> None:
    sliding, now, log = Sliding(), 0.0, []
    for wait, amount in added:
        now += wait
        sliding.add(amount, now)
        log.append((now, amount))
    assert sliding.total(now) == sum(amount for when, amount in log if when >= now - 60)


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(make_gate: MakesGate) -> None:
    gate = make_gate(requests_per_minute=11)
    assert [(await gate.complete()).status for _ in range(12)] == [200] * 11 + [429]
    reply = await gate.ask("GET", "/v1/models")
    assert (reply.status, reply.code) == (429, "requests_per_minute")
    gate.clock.now += int(reply.headers["retry-after"]) - 1
    assert (await gate.complete()).status == 429
    gate.clock.now += 1
    assert (await gate.complete()).status == 200
    assert len(gate.upstream.requests) == 12


async def test_other_keys_and_the_operator_are_not_slowed(make_gate: MakesGate) -> None:
    gate = make_gate(requests_per_minute=1)
    assert [(await gate.complete()).status for _ in range(2)] == [200, 429]
    body = {"model": "other"}
    assert (await gate.complete(key=gate.other_key, body=body)).status == 200
    operator = [(await gate.complete(key=gate.operator_key)).status for _ in range(5)]
    assert operator == [200] * 5


async def test_strangers_leave_nothing_behind(gate: Gate) -> None:
    for number in range(200):
        key = f"llmops-{number:016x}-{'x' * 43}"
        assert (await gate.ask("GET", f"/v1/{number}", key=key)).status == 401
    assert gate.book.dump(gate.clock()) == {}
    samples = [s for m in gate.metrics.registry.collect() for s in m.samples]
    assert len([s for s in samples if s.name == "llmops_requests_total"]) == 1


async def test_health_is_a_recent_generation(gate: Gate) -> None:
    async def health() -> tuple[int, str]:
        reply = await gate.ask("GET", "/health", key="")
        assert reply.json().keys() == {"status"}, "a stranger is told more than that"
        return reply.status, reply.json()["status"]

    assert await health() == (503, "no recent generation")
    assert len(gate.app.quiet(60)) == 2
    await gate.complete()
    assert await health() == (503, "no recent generation"), "the other service was not asked"
    gate.app.note_generation("other", 3)
    assert await health() == (200, "ok")
    assert gate.app.quiet(60) == []
    gate.clock.now += 100
    assert await health() == (200, "ok")
    assert {ref.service for ref in gate.app.quiet(60)} == {"tiny", "other"}
    gate.clock.now += 100
    assert await health() == (503, "no recent generation")


async def test_a_staged_release_says_nothing_of_health(gate: Gate) -> None:
    for service in ("tiny", "other"):
        gate.app.note_generation(service, 4)
    assert (await gate.ask("GET", "/health", key="")).status == 503


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refused_request_proves_no_health(gate: Gate, stream: bool) -> None:
    await gate.complete(body={"n": 99, "stream": stream})
    assert gate.app.state()["services"]["tiny"]["healthy"] is False


async def test_the_state_tells_rates(gate: Gate) -> None:
    for _ in range(3):
        await gate.complete()
    tiny = gate.app.state()["services"]["tiny"]
    assert tiny["requests_per_minute"] == 3
    assert tiny["tokens_per_second"] == pytest.approx(0.1)
    assert tiny["releases"] == {"3": 100, "4": 0}
    assert tiny["last_generation_at"] == gate.clock.now
