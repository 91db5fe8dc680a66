"""What one adapter has left in the prefix cache never answers for another, on the real engine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from serving.finetune.artefacts import base_of
from tests.support.adapters import lineage, make_adapter, make_run
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1800)]


def answers(model: Path, home: Path, *order: str) -> list[tuple[str, int]]:
    """What a fresh engine answers, asked in this order; and how much came from its cache."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.finetuning.serving.two_adapters",
         str(model), str(home), ",".join(order)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
        start_new_session=True,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=700)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its engine and fork server too
    assert process.returncode == 0, err[-3000:]
    return [(text, cached) for text, cached in json.loads(out.splitlines()[-1])]


def test_answers_in_one_engine_are_those_of_fresh_ones(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny")
    base = base_of(model, f"file://{model}", "a" * 64)
    first, second = (
        f"{number}:{make_run(tmp_path, lineage('style', number, base), made).digest}"
        for number, made in (
            (n, make_adapter(tmp_path / f"made-{n}", model, seed=n)) for n in (1, 2)
        )
    )
    shared = answers(model, tmp_path, "base", first, second, first, second, "base")
    fresh = answers(model, tmp_path, second, first)
    texts = [text for text, _ in shared]
    assert len(set(texts[:3])) == 3, "the adapters make no difference, so nothing is shown"
    assert texts[3:] == [texts[1], texts[2], texts[0]]
    assert [text for text, _ in fresh] == [texts[2], texts[1]]
    cached = [tokens for _, tokens in shared]
    assert cached[:3] == [0, 0, 0], "one's blocks answered for another"
    assert min(cached[3:]) > 0, "the cache was not used at all, so nothing is shown"
