"""Predicted memory equals what the real vLLM reports: weights, blocks and tokens, to the byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.predictions import FILES, Predicted, case_of, measure, predict
from benchmarks.yardstick import Reported

USUAL = {"llama", "mixtral", "gemma3_text"}
"""Kinds of models in the usual tier: the engine looks into each kind anew, which takes long."""

ONE_RANK = [path for path in FILES if case_of(path).tensor == 1]
QUICK = [path for path in ONE_RANK if case_of(path).config["model_type"] in USUAL]
OTHERS = [path for path in ONE_RANK if path not in QUICK]
MORE_RANKS = [path for path in FILES if case_of(path).tensor > 1]
DEADLINE = 600.0


@pytest.fixture(scope="module")
def reported() -> dict[str, Reported]:
    """Cases of the usual tier, in one process."""
    return {one.name: one for one in measure([case_of(path) for path in QUICK])}


@pytest.fixture(scope="module")
def reported_others() -> dict[str, Reported]:
    """The other cases of one rank, in one process."""
    return {one.name: one for one in measure([case_of(path) for path in OTHERS])}


def compare(path: Path, real: Reported) -> None:
    ours = predict(case_of(path), real.in_flight)
    theirs = Predicted(real.weights[0], real.blocks, real.tokens)
    assert ours == theirs, f"{path.stem}: predicted {ours}, vLLM reports {theirs}"
    assert len(real.weights) == case_of(path).tensor, "a rank did not count its weights"
    assert len(set(real.weights)) == 1, "ranks hold different amounts"


def test_there_are_cases_of_many_kinds() -> None:
    assert len(FILES) >= 18
    assert len({case_of(path).config["model_type"] for path in FILES}) >= 10
    assert len(MORE_RANKS) >= 3


@pytest.mark.timeout(DEADLINE)
@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_a_prediction_equals_what_the_engine_reports(
    path: Path, reported: dict[str, Reported]
) -> None:
    compare(path, reported[path.stem])


@pytest.mark.engines
@pytest.mark.long
@pytest.mark.timeout(DEADLINE)
@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_a_prediction_for_another_kind_equals_what_the_engine_reports(
    path: Path, reported_others: dict[str, Reported]
) -> None:
    compare(path, reported_others[path.stem])


@pytest.mark.engines
@pytest.mark.long
@pytest.mark.timeout(DEADLINE)
@pytest.mark.parametrize("path", MORE_RANKS, ids=lambda path: path.stem)
def test_a_prediction_for_two_ranks_equals_what_the_engine_reports(path: Path) -> None:
    [real] = measure([case_of(path)])
    compare(path, real)
