"""`llmops eval`, as a user gives it, against the fake server that plays an endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from llmops.errors import InputError
from tests.client.server import KEY, SERVICE, Server
from tests.evaluating.test_live import say

N = 30


@pytest.fixture
def exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EVAL_KEY", KEY)
    path = tmp_path / "exam.jsonl"
    items = [{"prompt": f"say {n}", "reference": f"word{n}"} for n in range(N)]
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


def ask(server: Server, exam: Path, *more: object) -> Result:
    server.otherwise = say
    where = ("--url", server.url, "--model", SERVICE, "--key-env", "EVAL_KEY")
    return run("run", *where, "--set", exam, *more)


def test_a_run_prints_figures_and_the_worst_item(server: Server, exam: Path) -> None:
    done = ask(server, exam, "-m", "exact_match", "--worst", "1")
    assert done.exit_code == 0, done.output
    assert "exam  exact_match  0.9667  30" in done.output
    assert "exam 4 (line 4): exact_match 0" in done.output
    assert "answer:  wrong" in done.output
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in done.output


def test_json_has_stable_keys(server: Server, exam: Path) -> None:
    done = ask(server, exam, "-m", "exact_match", "-o", "json")
    document = json.loads(done.stdout)
    assert set(document) == {
        "format", "model", "settings", "scores", "latency", "tokens", "releases", "cut", "lost",
        "folder", "gate",
    }  # fmt: skip
    [score] = document["scores"]
    assert score["metric"] == "exact_match"
    assert score["value"] == pytest.approx(29 / 30)
    assert document["gate"] == {"passed": True, "verdicts": []}
    assert {"p50", "p99"} <= set(document["latency"]["ttft"])
    assert (Path(document["folder"]) / "result.json").exists()


@pytest.mark.parametrize(("least", "code"), [("0.9", 0), ("0.99", 3)])
def test_a_gate_ends_with_3_when_it_refuses(
    server: Server, exam: Path, least: str, code: int
) -> None:
    done = ask(server, exam, "-m", "exact_match", "--min", f"exact_match={least}")
    assert done.exit_code == code, done.output
    assert f"at least {least} is asked" in done.output


def test_a_run_against_another_is_held_to_it(server: Server, exam: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert ask(server, exam, "-m", "rougeL", "--out", tmp_path / name).exit_code == 0
    for margin, code in (("0.2", 0), ("0.02", 3)):
        done = run("compare", tmp_path / "one", tmp_path / "two", "--gate", "--margin", margin)
        assert done.exit_code == code, done.output
        assert "cannot tell" in done.output
        assert "gain over other +0" in done.output
    assert "30 items cannot tell, about" in done.output
    as_data = run("compare", tmp_path / "one", tmp_path / "two", "-o", "json")
    [found] = json.loads(as_data.stdout)["comparisons"]
    assert (found["gain"], found["items"]) == (0.0, N)


def test_a_second_run_measures_anew_and_keeps_the_first(server: Server, exam: Path) -> None:
    folders = {
        json.loads(ask(server, exam, "-m", "exact_match", "-o", "json").stdout)["folder"]
        for _ in range(2)
    }
    assert len(folders) == 2
    assert len(server.asked) == 2 * N


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name one model"),
        (("svc", "--weights", "x"), "name one model"),
        (("--adapter", "x", "--url", "http://127.0.0.1:1/v1"), "--adapter needs --weights"),
        (("--url", "http://127.0.0.1:1/v1"), "needs --url and --model"),
        (("--weights", "nowhere"), "holds no model"),
        (("--url", "http://127.0.0.1:1/v1", "--model", "m", "--key-env", "NONE"), "holds no key"),
        (("--metric", "bleurt", "--weights", "x"), "'bleurt' is not a valid Metric"),
    ],
)
def test_what_makes_no_sense_is_refused(exam: Path, arguments: tuple[str, ...], said: str) -> None:
    done = run("run", "--set", exam, *arguments)
    assert isinstance(done.exception, InputError)
    assert said in done.exception.message


def test_a_bound_must_be_of_a_metric(server: Server, exam: Path) -> None:
    done = ask(server, exam, "-m", "exact_match", "--min", "exact_match")
    assert isinstance(done.exception, InputError)
    assert "METRIC=VALUE" in done.exception.message
