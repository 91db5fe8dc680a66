"""The probe against real servers: it believes a generation of this release, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from llmops.errors import TargetError
from serving.client import probe
from serving.client.probe import TOKENS, Probe, count_tokens, count_tokens_as_engine
from tests.e2e.stage import free_port
from tests.local import servers
from tests.local.servers import Faithful, serving
from tests.support.tiny_model import make_tiny_model

KEY = "llmops-test-key-8c1f0d4e"
PATIENT = 20.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(autouse=True)
def _engine_counts_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own way to count takes seconds to import; it has a test of its own below."""
    monkeypatch.setattr(probe, "count_tokens_as_engine", count_tokens)


def asking(url: str, model: Path, *, timeout: float = PATIENT, tokens: int = TOKENS) -> Probe:
    return Probe(url, KEY, "chat", 3, model, tokens, timeout)


def problem_with(kind: type[Faithful], model: Path, *, timeout: float = PATIENT) -> str:
    with serving(kind, model) as (url, _), pytest.raises(TargetError) as caught:
        asking(url, model, timeout=timeout).ask()
    assert KEY not in caught.value.message, "the key would be printed and recorded"
    return caught.value.message


def test_a_faithful_server_is_believed(model: Path) -> None:
    with serving(Faithful, model) as (url, requests):
        asking(url, model).ask()
    assert len(requests) == 2
    for request in requests:
        assert request["path"] == "/v1/completions"
        assert request["headers"]["authorization"] == f"Bearer {KEY}"
        assert request["headers"]["llmops-release"] == "3"
        assert request["body"]["model"] == "chat"
        assert request["body"]["max_tokens"] == TOKENS


def test_every_prompt_is_new_and_the_two_of_a_probe_differ_in_length(model: Path) -> None:
    with serving(Faithful, model) as (url, requests):
        for _ in range(5):
            asking(url, model).ask()
    prompts = [request["body"]["prompt"] for request in requests]
    assert len(set(prompts)) == 10
    lengths = [count_tokens(model, prompt) for prompt in prompts]
    assert all(one != other for one, other in zip(lengths[::2], lengths[1::2], strict=True))


def test_a_probe_fits_into_the_least_context_there_is(model: Path) -> None:
    """`model.context` takes 16 and more; the tiny model's tokenizer makes the most of a text."""
    with serving(Faithful, model) as (url, requests):
        asking(url, model).ask()
    longest = max(count_tokens(model, request["body"]["prompt"]) for request in requests)
    assert longest + TOKENS <= 16


def test_a_service_that_allows_less_is_asked_for_less(model: Path) -> None:
    with serving(Faithful, model) as (url, requests):
        asking(url, model, tokens=1).ask()
    assert [request["body"]["max_tokens"] for request in requests] == [1, 1]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (servers.Echo, "the answer is not a completion"),
        (servers.OldRelease, "the answer came from release 2"),
        (servers.OtherTokenizer, "prompt tokens, not"),
        (servers.InventedCounts, "log-probabilities for other than 6 tokens"),
        (servers.Cache, "prompt tokens, not"),
        (servers.DeadEngine, "HTTP 503"),
        (servers.Redirecting, "HTTP 307"),
        (servers.HangingUp, "did not answer the probe"),
        (servers.Endless, "the answer came from release none"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_no_generation_of_this_release_is_refused(
    kind: type[Faithful], says: str, model: Path
) -> None:
    assert says in problem_with(kind, model)


@pytest.mark.parametrize("kind", [servers.Hanging, servers.Dripping])
def test_a_server_that_does_not_come_to_an_end_is_left(kind: type[Faithful], model: Path) -> None:
    began = time.monotonic()
    assert "within 0.5 s" in problem_with(kind, model, timeout=0.5)
    assert time.monotonic() - began < PATIENT


def test_a_dead_endpoint_is_refused_at_once(model: Path) -> None:
    with pytest.raises(TargetError, match=r"did not answer the probe: .*refused"):
        asking(f"http://127.0.0.1:{free_port()}/v1", model).ask()


def test_the_key_goes_to_no_proxy_of_the_environment(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(servers.DeadEngine, model) as (proxy, seen), serving(Faithful, model) as (url, _):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        asking(url, model).ask()
    assert seen == []


def test_a_token_that_only_the_engine_adds_is_allowed_for(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_more(model: Path, text: str) -> int:
        return count_tokens(model, text) + 1

    monkeypatch.setattr(probe, "count_tokens_as_engine", one_more)
    with serving(servers.OtherTokenizer, model) as (url, _):
        asking(url, model).ask()


def test_tokens_are_counted_as_the_engine_counts_them(model: Path) -> None:
    text = "0123456789abcdef is a number"
    assert count_tokens_as_engine(model, text) == count_tokens(model, text) > 8


def test_a_model_without_a_tokenizer_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="tokenizer"):
        count_tokens_as_engine(tmp_path, "x")
