"""A scaling law is found again where it is known, and its intervals hold the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from cli.app import app
from llmops.errors import InputError, RefusedError
from llmops.finetuning import Law, Point, Varied, best_split
from serving.finetune.estimating import estimate, points_of_file
from serving.finetune.estimating.points import parameters_of
from tests.support.tiny_model import make_tiny_model

HOFFMANN = Law(1.69, 406.4, 0.34, 410.7, 0.28)
"""As fitted by Hoffmann et al. (2022), equation 10."""
DATA = Law(1.8, 0.0, 1.0, 60.0, 0.3)
SIZES = (1e5, 2e5, 4e5, 8e5, 1.6e6, 3.2e6)


def runs(
    law: Law, sizes: Sequence[tuple[float, float]], noise: float, seed: int = 0
) -> tuple[Point, ...]:
    rng = np.random.default_rng(seed)
    return tuple(
        Point(str(at), int(n), int(d), law.loss(n, d) * float(np.exp(rng.normal(0, noise))))
        for at, (n, d) in enumerate(sizes)
    )


def growing(noise: float, seed: int = 0) -> tuple[Point, ...]:
    return runs(DATA, [(1e8, size) for size in SIZES], noise, seed)


GRID = [(n, d) for n in (1e7, 4e7, 16e7) for d in (2e8, 8e8, 32e8)]


def test_a_law_without_noise_is_found_again() -> None:
    found = estimate(growing(0.0))
    assert found.varied is Varied.TOKENS
    assert found.law.floor == pytest.approx(1.8, rel=1e-3)
    assert found.law.beta == pytest.approx(0.3, rel=1e-2)
    [more] = found.bought
    truth = DATA.loss(1e8, SIZES[-1]) - DATA.loss(1e8, 2 * SIZES[-1])
    assert more.gain == pytest.approx(truth, rel=1e-2)


def test_hoffmanns_law_is_found_again_and_splits_compute_as_theirs() -> None:
    found = estimate(runs(HOFFMANN, GRID, 0.0))
    assert found.varied is Varied.BOTH
    assert found.law.alpha == pytest.approx(0.34, rel=0.02)
    assert found.law.beta == pytest.approx(0.28, rel=0.02)
    assert [entry.step.what for entry in found.bought] == ["tokens", "parameters", "compute"]
    tokens, parameters, compute = found.bought
    assert compute.gain >= max(tokens.gain, parameters.gain) - 1e-6
    split = best_split(HOFFMANN, 16e7, 32e8, 2.0)
    assert split.parameters * split.tokens == pytest.approx(2 * 16e7 * 32e8)


def test_the_interval_of_a_gain_holds_the_truth_as_often_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("serving.finetune.estimating.fitting.DRAWS", 30)
    rounds, confidence, noise = 40, 0.8, 0.004
    rng = np.random.default_rng(21)
    held, found = 0, []
    for seed in range(rounds):
        entry = estimate(growing(noise, seed), confidence=confidence, seed=seed).bought[0]
        shown = DATA.loss(1e8, 2 * SIZES[-1]) * float(np.exp(rng.normal(0, noise)))
        held += entry.low <= DATA.loss(1e8, SIZES[-1]) - shown <= entry.high
        found.append(entry)
    # One failure in 10,000 for an interval that keeps its word; as few draws as here lose some.
    assert held >= binom.ppf(1e-4, rounds, confidence - 0.05)
    assert any(entry.known for entry in found)


def test_noise_that_hides_the_bend_is_told_as_unknown() -> None:
    flat = Law(2.0, 0.0, 1.0, 1e-6, 0.3)
    points = runs(flat, [(1e8, size) for size in SIZES], 0.02, 3)
    [more] = estimate(points).bought
    assert not more.known


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (growing(0.0)[:4], "5 different sizes"),
        (runs(DATA, [(1e8, 1e5)] * 6, 0.01), "have 1 different"),
        (runs(DATA, [(1e8, 1e5 * s) for s in (1, 1.2, 1.4, 1.6, 1.8)], 0.0), "factor of 1.8"),
        (runs(HOFFMANN, GRID[:7], 0.0), "needs 8 runs"),
        (runs(HOFFMANN, [(1e7 * (1 + i % 2), 2e8 * 2**i) for i in range(8)], 0.0), "3 sizes"),
    ],
    ids=["few", "same", "close", "few-of-both", "few-sizes-of-one"],
)
def test_runs_that_cannot_carry_a_law_are_refused(points: tuple[Point, ...], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        estimate(points)


def test_asking_far_beyond_the_runs_is_refused() -> None:
    with pytest.raises(RefusedError, match="5 times the largest run"):
        estimate(growing(0.0), times=5.0)
    with pytest.raises(InputError):
        estimate(growing(0.0), times=1.0)


def test_points_are_read_and_a_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    path.write_text('{"parameters": 10, "tokens": 20, "loss": 2.5}\n{"parameters": 10}\n')
    with pytest.raises(InputError, match=r"points\.jsonl:2: expected"):
        points_of_file(path)


def test_parameters_are_counted_from_the_headers(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    model = make_tiny_model(tmp_path / "m")
    whole = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model))
    assert parameters_of(model) == sum(p.numel() for p in whole.parameters())


def test_the_verb_prints_a_law_and_refuses_what_is_not_supported(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    for noise, code in ((0.0001, 0), (0.2, 3)):
        text = [
            json.dumps({"parameters": p.parameters, "tokens": p.tokens, "loss": p.loss})
            for p in growing(noise, 5)
        ]
        path.write_text("\n".join(text))
        done = CliRunner().invoke(app, ["finetune", "estimate", "--points", str(path)])
        found = getattr(done.exception, "exit_code", done.exit_code)
        assert found == code, done.output
        assert "2 x tokens" in done.output
        assert ("cannot tell" in done.output) is (code == 3)
