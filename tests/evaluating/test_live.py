"""Asking an endpoint: the fake server of the client's tests plays it, by the protocol alone."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import InputError, LlmopsError, RefusedError, TargetError
from llmops.evaluating import Item, ItemSet, Metric, Turn
from serving.client import Endpoint
from serving.evaluate import (
    Evaluation,
    Journal,
    Live,
    Record,
    Settings,
    Task,
    evaluate,
    read_evaluation,
    worst,
)
from serving.evaluate import live as module
from tests.client.server import DONE, KEY, Answer, Server, event, refusal

N = 12


def exam(n: int = N, *metrics: Metric) -> Task:
    items = tuple(Item(str(i), f"say {i}", references=(f"word{i}",), line=i + 1) for i in range(n))
    return Task(ItemSet("exam", items), metrics or (Metric.EXACT_MATCH,), max_tokens=8)


def say(body: dict[str, Any], **headers: str) -> Answer:
    """What a model that repeats the number answers; wrong for 3."""
    number = body["prompt"].split()[-1]
    text = "wrong" if number == "3" else f"word{number}"
    return Answer(
        [
            event({"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}),
            event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
            DONE,
        ],
        headers=headers,
    )


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.0)


def run(endpoint: Endpoint, folder: Path, task: Task | None = None, **settings: Any) -> Evaluation:
    return evaluate(Live(endpoint), [task or exam()], folder, lambda _: None, Settings(**settings))


def test_answers_are_scored_and_kept(server: Server, endpoint: Endpoint, tmp_path: Path) -> None:
    server.otherwise = say
    found = run(endpoint, tmp_path / "e")
    [scores] = found.scores
    assert scores.value == pytest.approx((N - 1) / N)
    assert found.tokens == {"prompt": 3 * N, "output": 2 * N}
    assert found.latency["ttft"].n == N
    assert [item["id"] for item in worst(tmp_path / "e", 1)] == ["3"]
    body = server.asked[0].body
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0, 17, 8)
    assert read_evaluation(tmp_path / "e") == found
    for path in (tmp_path / "e").iterdir():
        assert KEY not in path.read_text(), f"{path} holds the key"
        assert path.stat().st_mode & 0o077 == 0


def test_a_finished_evaluation_asks_nothing_again(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = say
    first = run(endpoint, tmp_path / "e")
    assert run(endpoint, tmp_path / "e") == first
    assert len(server.asked) == N


def test_no_more_is_asked_at_once_than_allowed(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = lambda body: Answer([0.02, *say(body).pieces])
    run(endpoint, tmp_path / "e", concurrency=3)
    assert 1 < server.most_flying <= 3


def test_what_may_pass_is_asked_again(server: Server, endpoint: Endpoint, tmp_path: Path) -> None:
    server.script.extend(
        [
            refusal(503, "busy", "overloaded"),
            refusal(429, "slow down", "rate", retry_after="0"),
            Answer([event({"choices": [{"text": "wo"}]})], dies=True),
        ]
    )
    server.otherwise = say
    found = run(endpoint, tmp_path / "e", concurrency=1)
    assert found.scores[0].missing == ()
    assert len(server.asked) == N + 3


def test_what_is_refused_for_what_it_says_is_missing(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = lambda body: (
        refusal(400, "too long", "length") if body["prompt"] == "say 5" else say(body)
    )
    found = run(endpoint, tmp_path / "e")
    assert found.scores[0].missing == ("5",)
    assert "too long" in found.lost["exam/5"]


@pytest.mark.parametrize("status", [401, 404])
def test_what_no_question_gets_past_ends_it_all(
    server: Server, endpoint: Endpoint, tmp_path: Path, status: int
) -> None:
    server.otherwise = lambda body: refusal(status, "no", "no")
    with pytest.raises(InputError):
        run(endpoint, tmp_path / "e", concurrency=2)
    assert len(server.asked) <= 2


def test_nobody_at_all_is_said_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="nobody answers"):
        run(Endpoint("http://127.0.0.1:9/v1", KEY, "tiny"), tmp_path / "e")


def test_an_interrupted_run_goes_on_and_asks_nothing_twice(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = lambda body: (
        refusal(401, "gone", "gone") if len(server.asked) > 5 else say(body)
    )
    with pytest.raises(InputError):
        run(endpoint, tmp_path / "e", concurrency=1)
    journal = tmp_path / "e" / "answers.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])  # a kill in the middle of the last line
    server.otherwise = say
    before = len(server.asked)
    found = run(endpoint, tmp_path / "e", concurrency=1)
    assert found.scores[0].n == N
    prompts = [asked.body["prompt"] for asked in server.asked[before:]]
    assert prompts == [f"say {i}" for i in range(4, N)]


def test_the_budget_of_tokens_is_kept_and_a_larger_one_goes_on(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = say
    with pytest.raises(RefusedError, match="budget of 60 tokens"):
        run(endpoint, tmp_path / "e", token_budget=60)
    used = 5 * len(server.asked)
    assert 0 < used <= 60
    found = run(endpoint, tmp_path / "e", token_budget=10_000)
    assert len(server.asked) == N
    assert sum(found.tokens.values()) == 5 * N


def test_a_folder_of_another_evaluation_is_refused(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = say
    run(endpoint, tmp_path / "e")
    with pytest.raises(InputError, match="differs in settings"):
        run(endpoint, tmp_path / "e", seed=18)


def test_chats_go_to_the_chat_route(server: Server, endpoint: Endpoint, tmp_path: Path) -> None:
    item = Item("1", "", (Turn("user", "Hi"),), ("Hello",))
    server.otherwise = lambda body: Answer(
        [*(event({"choices": [{"delta": {"content": part}}]}) for part in ("Hel", "lo")), DONE]
    )
    found = run(endpoint, tmp_path / "e", Task(ItemSet("exam", (item,)), (Metric.EXACT_MATCH,)))
    assert server.asked[0].path == "/v1/chat/completions"
    assert found.scores[0].value == 1.0


def test_the_release_is_named_and_another_one_is_refused(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = lambda body: say(body, **{"x-llmops-release": "4"})
    found = evaluate(Live(endpoint, 4), [exam()], tmp_path / "e", lambda _: None)
    assert server.asked[0].headers["llmops-release"] == "4"
    assert found.releases == (4,)
    with pytest.raises(TargetError, match="release 5 was to answer"):
        evaluate(Live(endpoint, 5), [exam()], tmp_path / "f", lambda _: None)


def echo(tokens: list[str], values: list[float | None]) -> Callable[[dict[str, Any]], Answer]:
    said = {"tokens": tokens, "token_logprobs": values}
    return lambda body: Answer([event({"choices": [{"text": "x", "logprobs": said}]}), DONE])


def test_a_perplexity_is_of_the_references_tokens_only(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    item = Item("1", "The capital is ", references=("Paris now",))
    tokens = ["<s>", "The", " capital", " is", " Par", "is", " now", "!"]
    values = [None, -9.0, -9.0, -9.0, -1.0, -2.0, -3.0, -9.0]
    server.otherwise = echo(tokens, values)
    task = Task(ItemSet("exam", (item,)), (Metric.PERPLEXITY,))
    found = run(endpoint, tmp_path / "e", task)
    assert found.scores[0].rows == ((6.0, 3.0),)
    assert found.scores[0].value == pytest.approx(math.exp(2))
    assert server.asked[0].body["prompt"] == "The capital is Paris now"


def test_an_endpoint_without_log_likelihoods_has_no_perplexity(
    server: Server, endpoint: Endpoint, tmp_path: Path
) -> None:
    server.otherwise = say
    with pytest.raises(InputError, match="no log-likelihoods"):
        run(endpoint, tmp_path / "e", exam(1, Metric.PERPLEXITY))


def test_the_perplexity_of_a_chat_is_not_guessed(endpoint: Endpoint, tmp_path: Path) -> None:
    item = Item("1", "", (Turn("user", "Hi"),), ("Hello",), line=1)
    task = Task(ItemSet("exam", (item,)), (Metric.PERPLEXITY,))
    with pytest.raises(LlmopsError, match="line 1 is a chat"):
        run(endpoint, tmp_path / "e", task)


def test_a_damaged_journal_is_named(server: Server, endpoint: Endpoint, tmp_path: Path) -> None:
    server.otherwise = say
    run(endpoint, tmp_path / "e")
    journal = tmp_path / "e" / "answers.jsonl"
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], "{", *lines[2:]]) + "\n")
    (tmp_path / "e" / "result.json").unlink()
    with pytest.raises(InputError, match="is damaged"):
        run(endpoint, tmp_path / "e")


def test_items_file_has_what_was_said(server: Server, endpoint: Endpoint, tmp_path: Path) -> None:
    server.otherwise = say
    run(endpoint, tmp_path / "e")
    lines = [json.loads(line) for line in (tmp_path / "e" / "items.jsonl").read_text().splitlines()]
    assert len(lines) == N
    assert lines[0]["answer"] == "wrong"
    assert lines[0]["scores"] == {"exact_match": 0.0}


def test_a_key_is_no_part_of_what_an_endpoint_is(endpoint: Endpoint) -> None:
    assert KEY not in json.dumps(Live(replace(endpoint)).document())


def test_a_full_disk_is_said_and_not_thrown_as_a_group(
    server: Server, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.otherwise = say

    def full(_journal: Journal, record: Record) -> None:
        file = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails, as writing does
        try:
            Journal(file).put(record.document())
        finally:
            with contextlib.suppress(OSError):  # closing writes once more
                file.close()

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", full)
        with pytest.raises(TargetError, match="No space left"):
            run(endpoint, tmp_path / "e")
    assert run(endpoint, tmp_path / "e").scores[0].n == N


def test_a_folder_that_cannot_be_is_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="cannot be used"):
        run(endpoint, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
