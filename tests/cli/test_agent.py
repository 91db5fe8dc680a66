"""`llmops agent` and the verbs of a service behind a store, as a person says them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.places import Place, remembered
from llmops.errors import InputError, LlmopsError, UnreachableError

SPEC = """
name: chat
model: {{source: 'file:///models/none'}}
target: {{kind: agent, store: '{store}'}}
"""


def run(tmp_path: Path, *arguments: str, **environment: str) -> Result:
    env = {"LLMOPS_HOME": str(tmp_path / "home"), **environment}
    return CliRunner().invoke(app, list(arguments), env=env)


def error(done: Result) -> LlmopsError:
    assert isinstance(done.exception, LlmopsError), done.output
    return done.exception


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """An agent listens to signals for as long as its process lives; here that is the tests' own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    file = tmp_path / "llmops.yaml"
    file.write_text(SPEC.format(store=f"file://{tmp_path}/store"))
    return file


@pytest.mark.parametrize("verb", ["plan", "deploy"])
def test_without_an_agent_that_is_said_and_how_to_start_one(
    tmp_path: Path, spec: Path, verb: str
) -> None:
    more = ["--yes"] if verb == "deploy" else []
    told = error(run(tmp_path, verb, "-f", str(spec), *more))
    assert isinstance(told, UnreachableError)
    assert "no agent has ever worked for" in told.message
    assert f"llmops agent --store file://{tmp_path}/store" in told.hint
    assert remembered() == {}, "nothing was deployed, so nothing is noted"


def test_a_service_is_found_by_the_store_that_the_environment_names(tmp_path: Path) -> None:
    told = error(run(tmp_path, "status", "chat", LLMOPS_STORE=f"file://{tmp_path}/store"))
    assert f"no service 'chat' in file://{tmp_path}/store" in told.message


def test_what_looks_into_the_runtime_says_that_it_cannot(tmp_path: Path, spec: Path) -> None:
    told = error(run(tmp_path, "render", "-f", str(spec)))
    assert "does not reach through" in told.message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "gs://bucket/x"], "is no store"),
        (["--store", "file:///tmp/x", "--worker"], "--worker needs --address and --token-file"),
        (["--store", "file:///tmp/x", "--address", "10.0.0.4"], "both on each"),
        (
            ["--store", "file:///tmp/x", "--address", "10.0.0.4", "--token-file", "/none"],
            "the token file /none cannot be read",
        ),
    ],
)
def test_an_agent_that_cannot_work_says_why(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    told = error(run(tmp_path, "agent", *arguments))
    assert isinstance(told, InputError)
    assert message in told.message


def test_an_agent_with_nothing_to_do_ends_when_it_is_told_to_do_it_once(tmp_path: Path) -> None:
    done = run(tmp_path, "agent", "--store", f"file://{tmp_path}/store", "--once")
    assert done.exit_code == 0, done.output
    told = error(run(tmp_path, "status", "chat", LLMOPS_STORE=f"file://{tmp_path}/store"))
    assert "no service 'chat'" in told.message


def test_a_place_behind_a_store_is_remembered_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cli.places import remember

    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    remember("chat", Place("agent", store="s3://bucket/team"))
    assert remembered() == {"chat": Place("agent", store="s3://bucket/team")}
