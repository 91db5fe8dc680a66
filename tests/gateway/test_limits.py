"""Limits of keys at the gateway: what is refused, what is told, and what each ending is charged."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from serving.gateway import (
    App,
    Ask,
    Audit,
    Denied,
    LimiterGone,
    Metrics,
    ReleaseRef,
    Standing,
    Tokens,
    UpstreamGone,
)
from serving.gateway.limiter import duration
from tests.gateway.conftest import MakesGate
from tests.gateway.fakes import (
    CHAT,
    DONE,
    Answer,
    FakeUpstream,
    Forever,
    Gate,
    Reply,
    ask,
    event,
    refused,
    streamed,
    table,
    token,
    whole,
)

DAILY = {"tokens_per_day": 100_000}
"""A limit that is never reached: only its counting is looked at."""


def counted(text: str, completion: int) -> bytes:
    """An event of a stream whose usage is told with each."""
    return event(
        {
            "object": "chunk",
            "choices": [{"index": 0, "text": text}],
            "usage": {"prompt_tokens": 3, "completion_tokens": completion},
        }
    )


def used(gate: Gate, account: str = "tiny/team-a") -> int:
    """Tokens that were charged today."""
    dumped = gate.book.dump(gate.clock())
    return int(dumped[account]["day"][1]) if account in dumped else 0


def told(reply: Reply) -> dict[str, str]:
    return {k: v for k, v in reply.headers.items() if k.startswith(("x-ratelimit", "retry"))}


async def test_a_key_that_asks_too_often_is_told_in_the_words_that_clients_know(
    make_gate: MakesGate,
) -> None:
    gate = make_gate(requests_per_minute=4)
    first = await gate.complete()
    assert told(first) == {
        "x-ratelimit-limit-requests": "4",
        "x-ratelimit-remaining-requests": "3",
        "x-ratelimit-reset-requests": "15s",
    }
    for _ in range(3):
        await gate.complete()
    reply = await gate.complete()
    assert reply.status == 429
    assert reply.error == {
        "message": "this key has started as many requests as it may in a minute",
        "type": "requests",
        "param": None,
        "code": "requests_per_minute",
    }
    assert told(reply) == {
        "retry-after": "15",
        "x-ratelimit-limit-requests": "4",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert gate.metric(
        "llmops_limited_total", service="tiny", key="team-a", limit="requests_per_minute"
    )


async def test_a_streams_head_tells_too(make_gate: MakesGate) -> None:
    gate = make_gate(tokens_per_minute=10_000)
    reply = await gate.complete(body={"stream": True, "max_tokens": 7})
    assert reply.status == 200
    size = len(gate.upstream.requests[-1][1].body)
    assert reply.headers["x-ratelimit-limit-tokens"] == "10000"
    assert reply.headers["x-ratelimit-remaining-tokens"] == str(10_000 - size - 7)
    assert reply.headers["x-ratelimit-reset-tokens"].endswith("ms")


async def test_tokens_of_a_minute_are_set_aside_and_counted_by_the_engine(
    make_gate: MakesGate,
) -> None:
    gate = make_gate(tokens_per_minute=300)
    body = {"max_tokens": 100}
    assert (await gate.complete(body=body)).status == 200
    assert used(gate) == 5, "the engine counted 3 and 2"
    replies = [await gate.complete(body=body) for _ in range(40)]
    statuses = Counter(reply.status for reply in replies)
    assert statuses.keys() == {200, 429}
    assert used(gate) == 5 * (statuses[200] + 1)
    assert replies[-1].code == "tokens_per_minute"
    gate.clock.now += int(replies[-1].headers["retry-after"])
    assert (await gate.complete(body=body)).status == 200


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"tokens_per_day": 200}, "tokens_per_day"),
        ({"usd_per_month": 0.0002, "input_usd": 1.0, "output_usd": 1.0}, "usd_per_month"),
    ],
)
async def test_a_day_and_a_month_end(
    make_gate: MakesGate, limits: dict[str, Any], code: str
) -> None:
    gate = make_gate(**limits)
    replies = [await gate.complete(body={"max_tokens": 90}) for _ in range(30)]
    assert Counter(reply.status for reply in replies).keys() == {200, 429}
    assert used(gate) <= 200
    assert replies[-1].code == code
    gate.clock.now += int(replies[-1].headers["retry-after"])
    assert (await gate.complete(body={"max_tokens": 90})).status == 200


async def test_places_are_taken_until_answers_end(make_gate: MakesGate) -> None:
    upstream = FakeUpstream(*[streamed(token(), Forever()) for _ in range(2)])
    gate = make_gate(upstream, concurrent_requests=2)
    flying = [
        asyncio.create_task(gate.complete(body={"stream": True}, hangs_up_after=3))
        for _ in range(2)
    ]
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(upstream.requests) == 2
    reply = await gate.complete()
    assert (reply.status, reply.code) == (429, "concurrent_requests")
    assert reply.headers["retry-after"] == "1"
    for task in flying:
        task.cancel()
    await asyncio.gather(*flying, return_exceptions=True)
    assert gate.book.open("tiny/team-a") == 0
    assert (await gate.complete()).status == 200


ENDINGS: dict[str, tuple[Any, dict[str, Any], int]] = {
    "a whole answer": (whole(), {}, 5),
    "a stream": (None, {"stream": True}, 5),
    "a refusal by the engine": (refused(400, "no"), {}, 0),
    "an engine that failed": (Answer([b"{}"], status=500), {}, 0),
    "a stream that was cut": (
        streamed(counted("a", 1), counted("bc", 3), UpstreamGone("gone")), {"stream": True}, 6,
    ),
    "an unknown field": (whole(), {"no_such": 1}, 0),
}  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
async def test_each_ending_has_its_price_and_frees_its_place(
    make_gate: MakesGate, ending: str
) -> None:
    answer, body, price = ENDINGS[ending]
    gate = make_gate(FakeUpstream(*([answer] if answer else [])), concurrent_requests=1, **DAILY)
    await gate.complete(body=body)
    assert used(gate) == price
    assert gate.book.open("tiny/team-a") == 0
    assert not gate.app.turns.of("tiny").busy


async def test_two_lost_replicas_cost_nothing(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(UpstreamGone("a"), UpstreamGone("b")), **DAILY)
    assert (await gate.complete()).status == 503
    assert used(gate) == 0


async def test_a_client_that_leaves_a_stream_pays_what_was_counted(make_gate: MakesGate) -> None:
    upstream = FakeUpstream(streamed(counted("a", 1), counted("b", 2), Forever()))
    gate = make_gate(upstream, **DAILY)
    await gate.complete(body={"stream": True}, hangs_up_after=3)
    assert used(gate) == 5


async def test_a_client_that_leaves_before_a_whole_answer_pays_what_was_set_aside(
    make_gate: MakesGate,
) -> None:
    upstream = FakeUpstream(Forever())
    gate = make_gate(upstream, **DAILY)
    await gate.complete(body={"max_tokens": 50}, hangs_up_after=0)
    assert used(gate) == len(upstream.requests[0][1].body) + 50


async def test_a_stream_is_counted_event_by_event_and_its_client_does_not_see_it(
    make_gate: MakesGate,
) -> None:
    for wanted in (None, {"include_usage": True}):
        total = {"prompt_tokens": 3, "completion_tokens": 2}
        usage = event({"object": "chunk", "choices": [], "usage": total})
        upstream = FakeUpstream(streamed(counted("ä", 1), counted("b", 2), usage, DONE))
        gate = make_gate(upstream, **DAILY)
        reply = await gate.complete(body={"stream": True, "stream_options": wanted})
        assert upstream.body["stream_options"] == {
            "include_usage": True, "continuous_usage_stats": True,
        }  # fmt: skip
        assert reply.events == [
            token("ä").replace(b"\\u00e4", "ä".encode()).strip(),
            token("b").strip(),
            *([usage.strip()] if wanted else []),
            DONE.strip(),
        ]
        assert used(gate) == 5


async def test_a_client_that_asks_for_each_count_gets_it(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(streamed(counted("a", 1), DONE)), **DAILY)
    options = {"include_usage": True, "continuous_usage_stats": True}
    reply = await gate.complete(body={"stream": True, "stream_options": options})
    assert reply.events[0] == counted("a", 1).strip()


async def test_a_request_that_is_more_than_a_minutes_tokens_is_a_wrong_request(
    make_gate: MakesGate,
) -> None:
    gate = make_gate(tokens_per_minute=100)
    reply = await gate.complete(body={"prompt": "x" * 200, "max_tokens": 50})
    assert (reply.status, reply.code) == (400, "tokens_per_minute")
    assert "50 to generate" in reply.error["message"]


async def test_a_chat_that_names_no_number_is_given_what_there_is_room_for(
    make_gate: MakesGate,
) -> None:
    gate = make_gate(tokens_per_minute=900, max_tokens=1000)
    assert (await gate.complete(path=CHAT)).status == 200
    assert 0 < gate.upstream.body["max_tokens"] < 900 - 512
    reply = await gate.complete(path=CHAT, body={"max_tokens": 901})
    assert (reply.status, reply.param) == (400, "max_tokens")


async def test_the_operator_has_no_limits(make_gate: MakesGate) -> None:
    names = "requests_per_minute tokens_per_minute tokens_per_day concurrent_requests".split()
    limits: dict[str, Any] = dict.fromkeys(names, 1)
    gate = make_gate(**limits)
    for _ in range(5):
        reply = await gate.complete(key=gate.operator_key, body={"max_tokens": 100})
        assert (reply.status, told(reply)) == (200, {})
    assert gate.book.dump(gate.clock()) == {}


async def test_a_key_may_have_limits_of_its_own(make_gate: MakesGate) -> None:
    own = {"requests_per_minute": 2, "max_tokens": 10}
    gate = make_gate(per_key={"team-a": own}, requests_per_minute=600)
    assert (await gate.complete(body={"max_tokens": 11})).param == "max_tokens"
    assert (await gate.complete()).status == 200
    assert (await gate.complete()).code == "requests_per_minute"
    other = {"model": "other", "max_tokens": 11}
    for _ in range(3):
        assert (await gate.complete(key=gate.other_key, body=other)).status == 200


async def test_limits_follow_the_table_and_what_was_used_stays_used(make_gate: MakesGate) -> None:
    gate = make_gate(requests_per_minute=10)
    for _ in range(8):
        assert (await gate.complete()).status == 200
    gate.app.reconfigure(table(["tiny"], {"requests_per_minute": 8}))
    assert (await gate.complete()).status == 429
    gate.app.reconfigure(table(["tiny"], {"requests_per_minute": 9}))
    assert (await gate.complete()).status == 200


async def test_two_gateways_that_share_a_limiter_are_as_exact_as_one(make_gate: MakesGate) -> None:
    gate = make_gate(requests_per_minute=30, tokens_per_day=120)
    other = App(
        table(("tiny", "other"), {"requests_per_minute": 30, "tokens_per_day": 120}),
        gate.keyring,
        FakeUpstream(),
        metrics=Metrics(),
        audit=Audit(None),
        clock=gate.clock,
        limiter=gate.app._allowance._limiter,
    )

    async def one(number: int) -> int:
        body = json.dumps({"model": "tiny", "prompt": "a", "max_tokens": 3}).encode()
        headers = [("authorization", f"Bearer {gate.key}")]
        app = (gate.app, other)[number % 2]
        return (await ask(app, "POST", "/v1/completions", headers=headers, chunks=[body])).status

    statuses = Counter(await asyncio.gather(*(one(number) for number in range(60))))
    assert statuses[200] + statuses[429] == 60
    assert 0 < statuses[200] <= 120 // 5
    assert used(gate) == 5 * statuses[200]


class Away:
    """A limiter that cannot be asked, from its second question on where it is told so."""

    def __init__(self, first: Standing | None = None) -> None:
        self.first = first
        self.settled: list[Tokens | None] = []

    async def admit(self, ask: Ask) -> Standing | Denied:
        del ask
        if self.first is None:
            raise LimiterGone
        return self.first

    async def reserve(self, ask: Ask, most: Tokens) -> Standing | Denied:
        del ask, most
        raise LimiterGone

    def settle(self, ask: Ask, used: Tokens | None) -> None:
        del ask
        self.settled.append(used)


@pytest.mark.parametrize("limiter", [Away(), Away(Standing())], ids=["at once", "later"])
async def test_nobody_is_let_in_while_the_limiter_cannot_be_asked(
    gate: Gate, limiter: Away
) -> None:
    gate.app._allowance._limiter = limiter
    gate.app.reconfigure(table(["tiny"], {"tokens_per_day": 1000}))
    reply = await gate.complete()
    assert (reply.status, reply.code) == (503, "limits_unknown")
    assert reply.headers["retry-after"] == "2"
    assert gate.upstream.requests == []
    assert limiter.settled == ([Tokens()] if limiter.first else [])
    assert (await gate.complete(key=gate.operator_key)).status == 200


async def test_beyond_what_replicas_take_keys_wait_by_turns(make_gate: MakesGate) -> None:
    class Slow(FakeUpstream):
        async def send(self, release: ReleaseRef, request: Any) -> Any:
            await asyncio.sleep(0.01)
            return await super().send(release, request)

    gate = make_gate(Slow(), in_flight=1, per_key={"team-c": {}})
    _, third = gate.make_key("tiny", "team-c")
    gate.app.turns.running({ReleaseRef("tiny", 3): 1}, 1)
    hog = [asyncio.create_task(gate.complete(body={"prompt": "hog"})) for _ in range(30)]
    await asyncio.sleep(0.005)
    single = await gate.complete(key=third, body={"prompt": "one"})
    done = sum(task.done() for task in hog)
    assert single.status == 200
    assert done <= 2, f"it waited for {done} turns of the other key"
    assert gate.app.state()["services"]["tiny"]["waiting"] >= 25
    assert {reply.status for reply in await asyncio.gather(*hog)} == {200}
    assert not gate.app.turns.of("tiny").busy


async def test_who_waits_and_hangs_up_leaves_nothing_behind(make_gate: MakesGate) -> None:
    gate = make_gate(FakeUpstream(Forever()), in_flight=1, concurrent_requests=5)
    gate.app.turns.running({ReleaseRef("tiny", 3): 1}, 1)
    first = asyncio.create_task(gate.complete())
    await gate.upstream.reached.wait()
    await gate.complete(hangs_up_after=0)
    assert gate.book.open("tiny/team-a") == 1
    assert gate.app.turns.of("tiny").waiting == 0
    assert len(gate.upstream.requests) == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert gate.book.open("tiny/team-a") == 0


async def test_gateways_share_what_replicas_take(make_gate: MakesGate) -> None:
    gate = make_gate(in_flight=10)
    turns = gate.app.turns
    assert turns.of("tiny").capacity is None
    turns.running({ReleaseRef("tiny", 3): 3, ReleaseRef("tiny", 4): 9}, 2)
    assert turns.of("tiny").capacity == 15, "a staged release takes no traffic"
    turns.running({ReleaseRef("tiny", 3): 0}, 2)
    assert turns.of("tiny").capacity is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0201, "21ms"), (0.9999, "1s"), (1, "1s"), (59.2, "1m0s"), (360, "6m0s"),
     (3600, "1h0m0s"), (3661.5, "1h1m2s")],
)  # fmt: skip
def test_times_are_written_as_clients_read_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
