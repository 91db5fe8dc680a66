"""A load is measured by value, and what fails is counted."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest

from llmops.errors import InputError, TargetError
from serving.client import Endpoint, Figures, Spread, bench, figures_document
from serving.client.sse import Parser
from tests.client.server import KEY, SERVICE, Answer, Server, error, event, generate, refusal


def run(endpoint: Endpoint, **options: Any) -> Figures:
    given: dict[str, Any] = {
        "clients": 2, "requests": 6, "prompt_tokens": 100, "max_tokens": 4,
        "progress": lambda done, total: None,
    }  # fmt: skip
    return bench(endpoint, **given | options)


def test_times_are_at_least_what_the_server_took(server: Server, endpoint: Endpoint) -> None:
    server.otherwise = partial(generate, first=0.1, between=0.03)
    figures = run(endpoint)
    assert (figures.ok, figures.failed, figures.failures) == (6, 0, {})
    for spread, least in ((figures.ttft, 0.1), (figures.latency, 0.19)):
        assert spread.n == 6
        assert least <= spread.p50 <= spread.p90 <= spread.p99
    assert figures.ttft.p50 < figures.latency.p50 - 0.03, "TTFT has the time of later tokens"
    assert figures.tpot.n == 6
    assert 0.025 <= figures.tpot.p99 <= figures.latency.p99 / 3, "TPOT is not between two tokens"
    assert figures.duration >= 3 * 0.19
    assert figures.requests_per_second == pytest.approx(6 / figures.duration)
    assert figures.output_tokens == 24
    assert figures.output_tokens_per_second == pytest.approx(24 / figures.duration)


def test_clients_share_the_requests_and_the_warm_up_is_not_counted(
    server: Server, endpoint: Endpoint
) -> None:
    seen: list[tuple[int, int]] = []
    server.otherwise = partial(generate, first=0.1)
    figures = run(endpoint, clients=3, requests=7, progress=lambda *told: seen.append(told))
    assert len(server.asked) == 1 + 7
    assert server.most_flying == 3
    assert seen == [(done, 7) for done in range(1, 8)]
    assert (figures.clients, figures.ok) == (3, 7)


def test_no_more_clients_than_requests_are_at_work(server: Server, endpoint: Endpoint) -> None:
    server.otherwise = generate
    assert run(endpoint, clients=9, requests=2).clients == 2


def test_prompts_differ_and_have_the_tokens_that_were_asked_for(
    server: Server, endpoint: Endpoint
) -> None:
    server.otherwise = generate
    figures = [run(endpoint), run(endpoint)]
    prompts = [asked.body["prompt"] for asked in server.asked]
    assert len(set(prompts)) == len(prompts) == 14, "a prefix cache could have answered"
    assert [f.prompt_tokens for f in figures] == [600, 600]
    sent = server.asked[-1]
    assert sent.path == "/v1/completions"
    del sent.body["prompt"]
    assert sent.body == {
        "model": SERVICE, "max_tokens": 4, "temperature": 0, "ignore_eos": True, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_failures_are_counted_by_reason_and_not_hidden(server: Server, endpoint: Endpoint) -> None:
    body = {"max_tokens": 4, "prompt": "a b"}
    cut = generate(body).pieces[:-1]
    server.script += [
        generate(body),
        refusal(429, "too often", "rate_limit_exceeded", retry_after="1"),
        refusal(429, "too often, really", "rate_limit_exceeded", retry_after="2"),
        Answer(cut),
        Answer([*cut, event(error("it died", "stream_cut"))]),
        generate(body, usage=False),
        Answer(cut, dies=True),
    ]
    server.otherwise = generate
    figures = run(endpoint, clients=1, requests=10)
    assert figures.failures == {
        "HTTP 429 rate_limit_exceeded": 2,
        "the stream stopped before its end": 2,
        "error event stream_cut": 1,
        "the answer does not tell its tokens": 1,
    }
    assert (figures.ok, figures.failed) == (4, 6)
    assert (figures.ttft.n, figures.latency.n, figures.output_tokens) == (4, 4, 16)
    assert len(server.asked) == 11, "a request that failed was sent again"


def test_a_load_of_failures_alone_has_no_times(server: Server, endpoint: Endpoint) -> None:
    server.script.append(generate({"max_tokens": 4, "prompt": "a b"}))
    server.otherwise = lambda body: refusal(502, f"failed for {KEY}", "engine_failed")
    figures = run(endpoint)
    assert (figures.ok, figures.failed) == (0, 6)
    document = figures_document(figures)
    assert document["requests"] == {
        "ok": 0, "failed": 6, "failures": {"HTTP 502 engine_failed": 6},
    }  # fmt: skip
    assert document["ttft"] == {"p50": None, "p90": None, "p99": None, "mean": None, "n": 0}
    assert KEY not in json.dumps(document, allow_nan=False)


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (refusal(401, "a key is needed", "bad"), InputError, "refused the key"),
        (refusal(503, "none now", "no_release"), TargetError, "no release serves"),
        (Answer([event(error("it died", "stream_cut"))]), TargetError, "it died"),
    ],
)
def test_a_warm_up_that_fails_ends_the_load(
    server: Server, endpoint: Endpoint, answer: Answer, kind: type[Exception], told: str
) -> None:
    server.script.append(answer)
    with pytest.raises(kind, match=told):
        run(endpoint)
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", ["clients", "requests", "prompt_tokens", "max_tokens"])
@pytest.mark.parametrize("value", [0, -1, 10**9])
def test_numbers_out_of_bounds_are_refused_before_anything_is_asked(
    server: Server, endpoint: Endpoint, name: str, value: int
) -> None:
    with pytest.raises(InputError, match=f"{name} must be from 1 to "):
        run(endpoint, **{name: value})
    assert server.asked == []


def test_connections_are_used_again(server: Server, endpoint: Endpoint) -> None:
    ports: set[int] = set()
    verify = server.verify_request

    def note(request: Any, address: Any) -> bool:
        ports.add(address[1])
        return verify(request, address)

    server.verify_request = note  # type: ignore[method-assign, assignment]
    server.otherwise = generate
    run(endpoint, clients=2, requests=20)
    assert len(ports) <= 2, "connecting was measured as part of the time to the first token"


def test_percentiles_are_values_that_were_measured() -> None:
    assert Spread.of([*range(100, 0, -1)]) == Spread(50, 90, 99, 50.5, 100)
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 3.0, 3.0, 2.0, 3)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 7.0, 1)
    assert math.isnan(Spread.of([]).p50)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_read_whatever_ends_their_lines(end: bytes) -> None:
    lines = b": hello|event: x|data: one|data:two|||id: 3|data: x|".split(b"|")
    text = end.join([*lines, b""])
    assert Parser().feed(text) == ["one\ntwo", "x"]
    parser = Parser()
    each = [event for n in range(len(text)) for event in parser.feed(text[n : n + 1])]
    assert each == ["one\ntwo", "x"]
