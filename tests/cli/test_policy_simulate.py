"""`llmops policy simulate` as a user runs it: a table, data, a picture, clear refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

LLMOPS = Path(sys.executable).with_name("llmops")
SPEC = """\
name: chat
model: {source: "hf://HuggingFaceTB/SmolLM2-135M-Instruct"}
scaling: {replicas: 1..3, target_in_flight: 8, objective: {ttft: 2s, tpot: 80ms}}
"""
MADE_UP = ("--generate", "1", "--hours", "0.1", "--rate", "2", "--startup", "20s")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "llmops.yaml").write_text(SPEC)
    (tmp_path / "policy.yaml").write_text(
        "kind: Policy\nname: acme\nscaling: {warm: 1, objective: {ttft: 1s}}\n"
    )
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LLMOPS), "policy", "simulate", *arguments], cwd=folder, capture_output=True, text=True,
        timeout=100, env={"LLMOPS_HOME": str(folder / "home"), "PATH": "/usr/bin"},
    )  # fmt: skip


def test_a_table_of_every_policy_with_the_settings_as_they_were_seen(folder: Path) -> None:
    done = run(folder, "-f", "policy.yaml", *MADE_UP, "--plot", "out.svg")
    assert done.returncode == 0, done.stderr
    assert "chat: 1 to 3 replicas, 8 requests in flight aimed at" in done.stdout
    assert "warm 1" in done.stdout
    assert "starts in 20 s" in done.stdout
    for name in ("ours", "fixed", "ray default", "ray tuned", "optimum"):
        assert f"\n{name} " in done.stdout
    assert "which no policy stays below" in done.stdout
    assert "none that was measured" in done.stderr
    assert (folder / "out.svg").read_text().startswith("<svg ")


def test_a_trace_that_was_written_gives_the_same_figures_again(folder: Path) -> None:
    first = run(folder, *MADE_UP, "--quick", "-o", "json", "--write-trace", "t.csv")
    again = run(folder, "--trace", "t.csv", "--quick", "-o", "json", "--startup", "20s")
    one, two = json.loads(first.stdout), json.loads(again.stdout)
    assert one["policies"] == two["policies"]
    assert one["settings"] == two["settings"]
    assert one["policies"][0]["name"] == "ours"
    assert one["bound_gpu_hours"] is None


def test_what_the_policies_would_refuse_is_told(folder: Path) -> None:
    (folder / "policy.yaml").write_text("kind: Policy\nname: acme\nscaling: {replicas: 1..2}\n")
    done = run(folder, "-f", "policy.yaml", *MADE_UP, "--quick")
    assert done.returncode == 0, done.stderr
    assert "a deploy would be refused: scaling.replicas" in done.stderr


def test_a_price_gives_a_cost(folder: Path) -> None:
    done = run(folder, *MADE_UP, "--quick", "--usd-per-hour", "10", "-o", "yaml")
    assert "usd: " in done.stdout
    assert "usd: null" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected --trace or --generate, found neither"),
        (("--trace", "bad.csv", "--generate", "1"), "bad.csv:3:1: arrival: expected 1 or later"),
        (("--trace", "none.csv"), "none.csv: expected a trace, found none"),
        (("--generate", "1", "--shape", "square"), "expected steady, diurnal, bursty, on-off"),
        (("--generate", "1", "--startup", "60"), "--startup: expected a number and a unit"),
        ((*MADE_UP, "--begins", "monday"), "expected a time after --begins, found 'monday'"),
        ((*MADE_UP, "--begins", "2026-03-02T08:00"), "expected a time with its zone"),
        ((*MADE_UP, "--profile", "none.yaml"), "none.yaml: expected a file, found none"),
        ((*MADE_UP, "--write-trace", "no/t.csv"), "no/t.csv cannot be written"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_simulated(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    (folder / "bad.csv").write_text("arrival,input_tokens,output_tokens\n1,1,1\n0.5,1,1\n")
    done = run(folder, *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "hint: " in done.stderr
    assert done.stdout == ""
