"""How far a start is, told from the engine's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.runtime.phases import TAIL, startup_phase

STEPS = [
    ("", "checking the weights"),
    ("11:00 llmops.replica weights verified after 0.1 s\n", "importing the engine"),
    (
        "INFO [core.py:134] Initializing a V1 LLM engine (v0.32.0)\n",
        "starting the engine's workers",
    ),
    ("INFO [cpu_model_runner.py:68] Starting to load model /m...\n", "loading weights"),
    ("INFO Loading weights took 0.05 seconds\n", "making the KV cache and warming up"),
    ("INFO init engine (profile, create kv cache, warmup model) took 1.2 s\n", "building the API"),
    ("11:01 llmops.replica engine ready after 20.1 s\n", "the engine answers"),
]


def test_each_step_is_told_when_it_begins(tmp_path: Path) -> None:
    log, text = tmp_path / "engine.log", ""
    for line, phase in STEPS:
        text += line
        log.write_text(text)
        assert startup_phase(log) == phase


def test_before_there_is_a_log_the_replica_is_being_started(tmp_path: Path) -> None:
    assert startup_phase(tmp_path / "engine.log") == "starting a replica"


def test_a_second_start_in_the_same_log_is_not_taken_for_the_first(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text("".join(line for line, _ in STEPS) + STEPS[1][0])
    assert startup_phase(log) == "importing the engine"


@pytest.mark.parametrize("noise", [10, TAIL - 500, 3 * TAIL])
def test_only_the_end_of_a_long_log_is_read(tmp_path: Path, noise: int) -> None:
    log = tmp_path / "engine.log"
    log.write_bytes(b"\xff" * noise + b"\n" + STEPS[3][0].encode())
    assert startup_phase(log) == "loading weights"
