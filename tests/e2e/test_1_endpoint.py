"""A deployed service, as its clients meet it."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import CANARY, Service
from tests.e2e.stage import Stage, until


def chat(stage: Stage, service: Service, **fields: Any) -> httpx.Response:
    body = {
        "model": service.name,
        "messages": [{"role": "user", "content": f"hello {CANARY}"}],
        "max_tokens": 8,
        "temperature": 0,
    } | fields
    headers = {"authorization": f"Bearer {service.key}"}
    return httpx.post(f"{stage.url}/v1/chat/completions", json=body, headers=headers, timeout=120)


def test_a_completion_comes_with_usage_and_the_release_number(
    stage: Stage, service: Service
) -> None:
    answer = stage.complete(service.name, service.key)
    assert answer.status_code == 200, answer.text
    usage = answer.json()["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer.headers["x-llmops-release"] == str(stage.live(service.name))


def test_a_stream_ends_with_done_and_brings_usage_only_when_asked(
    stage: Stage, service: Service
) -> None:
    silent = chat(stage, service, stream=True).text
    asked = chat(stage, service, stream=True, stream_options={"include_usage": True}).text
    assert silent.rstrip().endswith("data: [DONE]")
    assert '"usage":{' not in silent
    events = [line.removeprefix("data: ") for line in asked.splitlines() if line]
    assert json.loads(events[-2])["usage"]["completion_tokens"] > 0


def test_the_same_seed_gives_the_same_sample(stage: Stage, service: Service) -> None:
    fields = {"temperature": 1.0, "seed": 7, "top_k": 50, "top_p": 0.9, "max_tokens": 12}
    first = stage.complete(service.name, service.key, **fields).json()["choices"][0]["text"]
    second = stage.complete(service.name, service.key, **fields).json()["choices"][0]["text"]
    other = stage.complete(service.name, service.key, **fields | {"seed": 8})
    assert first == second
    assert other.json()["choices"][0]["text"] != first


def test_stop_penalties_and_logprobs_reach_the_engine(stage: Stage, service: Service) -> None:
    greedy = stage.complete(service.name, service.key, temperature=0, logprobs=2).json()
    choice = greedy["choices"][0]
    assert len(choice["logprobs"]["token_logprobs"]) == greedy["usage"]["completion_tokens"]
    stop = choice["logprobs"]["tokens"][1]
    stopped = stage.complete(service.name, service.key, temperature=0, stop=[stop]).json()
    assert stopped["choices"][0]["finish_reason"] == "stop"
    punished = stage.complete(
        service.name, service.key, temperature=0, repetition_penalty=1.9, frequency_penalty=2.0
    )
    assert punished.status_code == 200


def test_an_answer_follows_a_json_schema(stage: Stage, service: Service) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
        "required": ["ok", "kind"],
        "additionalProperties": False,
    }
    answer = chat(
        stage,
        service,
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    )
    assert answer.status_code == 200, answer.text
    document = json.loads(answer.json()["choices"][0]["message"]["content"])
    assert isinstance(document["ok"], bool)
    assert document["kind"] in ("a", "b")


def test_a_named_tool_is_called_with_arguments_of_its_schema(
    stage: Stage, service: Service
) -> None:
    parameters = {
        "type": "object",
        "properties": {"size": {"enum": ["small", "large"]}},
        "required": ["size"],
        "additionalProperties": False,
    }
    function = {"name": "order", "strict": True, "parameters": parameters}
    answer = chat(
        stage,
        service,
        max_tokens=150,
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "order"}},
    )
    assert answer.status_code == 200, answer.text
    [call] = answer.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "order"
    assert json.loads(call["function"]["arguments"])["size"] in ("small", "large")


@pytest.mark.parametrize(
    "path",
    "/ /v1/models /metrics /-/routes /-/healthz /docs /tokenize /v1/../metrics //v1/models".split(),
)
def test_without_a_key_every_path_is_401(stage: Stage, service: Service, path: str) -> None:
    for headers in ({}, {"host": "a/?x="}, {"authorization": "Bearer llmops-0-x"}):
        answer = httpx.get(stage.url + path, headers=headers)
        assert answer.status_code == 401, (path, headers)


@pytest.mark.parametrize("path", ["/metrics", "/tokenize", "/-/routes", "/docs", "/openapi.json",
                                  "/v1/embeddings", "/invocations", "/pause", "/load"])  # fmt: skip
def test_with_a_key_what_is_not_listed_is_404(stage: Stage, service: Service, path: str) -> None:
    headers = {"authorization": f"Bearer {service.key}"}
    assert httpx.get(stage.url + path, headers=headers).status_code == 404
    assert httpx.post(stage.url + path, headers=headers, json={}).status_code == 404


def test_what_asks_too_much_is_refused_in_openais_shape(stage: Stage, service: Service) -> None:
    for fields, status in (
        ({"n": 1000}, 400),
        ({"max_tokens": 10**9}, 400),
        ({"chat_template": "{{ 1 }}"}, 400),
        ({"prompt_embeds": "AAAA"}, 400),
        ({"model": "another"}, 404),
        ({"logit_bias": {"1": "x" * (2**20)}}, 413),
    ):
        answer = chat(stage, service, **fields)
        assert answer.status_code == status, (fields, answer.text)
        assert {"message", "type", "param", "code"} <= answer.json()["error"].keys()
        assert "Traceback" not in answer.text


def test_a_revoked_key_stops_working_without_a_restart(stage: Stage, service: Service) -> None:
    key = stage.key(service.name, "short-lived")
    assert stage.complete(service.name, key).status_code == 200
    listed = stage.run("keys", "list", service.name, "-o", "json")
    assert key not in listed.text
    assert "short-lived" in listed.text
    assert stage.run("keys", "revoke", service.name, "short-lived").code == 0
    assert stage.complete(service.name, key).status_code == 401
    assert stage.complete(service.name, service.key).status_code == 200


def test_hanging_up_ends_the_generation(stage: Stage, service: Service) -> None:
    body = {"model": service.name, "prompt": "x", "max_tokens": 400, "stream": True,
            "ignore_eos": True}  # fmt: skip
    headers = {"authorization": f"Bearer {service.key}"}
    with httpx.stream(
        "POST", f"{stage.url}/v1/completions", json=body, headers=headers, timeout=60
    ) as answer:
        next(answer.iter_lines())
    until(lambda: all(r["in_flight"] == 0 for r in stage.status(service.name)["releases"]), 20)


def test_health_tells_of_a_real_generation(stage: Stage, service: Service) -> None:
    assert stage.complete(service.name, service.key).status_code == 200
    assert httpx.get(f"{stage.url}/health").status_code == 200
    assert stage.status(service.name)["last_generation_at"] > time.time() - 60


def test_metrics_are_on_loopback_by_service_release_and_key(stage: Stage, service: Service) -> None:
    assert stage.complete(service.name, service.key, stream=True).status_code == 200
    text = httpx.get(stage.status(service.name)["metrics_url"]).text
    labels = f'key="tests",model="tiny",release="{stage.live(service.name)}",service="tiny"'
    for metric in ("llmops_requests_total", "llmops_completion_tokens_total", "llmops_in_flight",
                   "llmops_ttft_seconds_count", "llmops_tpot_seconds_count"):  # fmt: skip
        assert any(line.startswith(metric) and labels in line for line in text.splitlines()), metric


def test_chat_and_bench_answer_from_the_command_line(stage: Stage, service: Service) -> None:
    said = stage.run("chat", service.name, "hello there", "--max-tokens", "6")
    assert said.code == 0, said.text
    assert said.out.strip()
    figures = stage.run("bench", service.name, "--clients", "2", "--requests", "4",
                        "--max-tokens", "6", "-o", "json")  # fmt: skip
    assert figures.code == 0, figures.text


def test_logs_history_and_render_show_the_release_and_no_secret(
    stage: Stage, service: Service
) -> None:
    for arguments in (("logs", service.name), ("history", service.name),
                      ("render", "-f", str(service.spec))):  # fmt: skip
        done = stage.run(*arguments)
        assert done.code == 0, done.text
        assert done.out.strip()
        assert service.key not in done.text


def test_deploying_again_changes_nothing_and_says_so(stage: Stage, service: Service) -> None:
    before = stage.status(service.name)["releases"]
    again = stage.deploy(service.spec)
    assert again.code == 0, again.text
    assert "nothing changed" in again.text.lower() or "unchanged" in again.text.lower()
    after = stage.status(service.name)["releases"]
    assert [r["number"] for r in after] == [r["number"] for r in before]
