"""Each file in tests/cases/recommend: a request, and what is recommended, why, and what else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.catalog import OpenModel, open_models
from llmops.recommend import Gpu, Option, Recommendation, Request, recommend

FOLDER = Path(__file__).parents[2] / "cases" / "recommend"
FILES = sorted(FOLDER.glob("*.yaml"))
KEYS = {
    "what", "request", "first", "way", "architecture", "served", "reasons", "reasons_of",
    "assumed", "passed_over", "changes", "ranked",
}  # fmt: skip
STEPS = ((20, 0.5), (40, 1.0), (80, 4.0), (320, 16.0), (1600, 60.0))
"""Gigabytes of weights up to which a machine of these tests costs so many dollars an hour."""


def cost(model: OpenModel) -> float | None:
    """Prices that no offer can change: what a case says stays true."""
    return next((price for most, price in STEPS if model.weight_bytes <= most * 10**9), None)


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    assert case.keys() <= KEYS, f"{path.name}: unknown keys {case.keys() - KEYS}"
    return case


def ask(request: dict[str, Any]) -> Recommendation:
    given = dict(request)
    if "gpu" in given:
        given["gpu"] = Gpu(**given["gpu"])
    given["languages"] = tuple(given.get("languages", ()))
    return recommend(Request(**given), catalogue=open_models(), cost=cost)


def every(request: dict[str, Any]) -> dict[str, Option]:
    """All options, not the shown ones only, by name."""
    from llmops.recommend.search import rank

    given = dict(request)
    if "gpu" in given:
        given["gpu"] = Gpu(**given["gpu"])
    given["languages"] = tuple(given.get("languages", ()))
    return {option.name: option for option in rank(Request(**given), open_models(), cost)[0]}


def said(option: Option) -> str:
    return " | ".join(reason.text for reason in option.reasons)


def test_there_are_cases_for_every_task() -> None:
    assert len(FILES) >= 15
    assert len({read(path)["request"]["task"] for path in FILES}) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_recommendation_is_what_the_case_says(path: Path) -> None:
    case = read(path)
    found = ask(case["request"])
    first = found.options[0] if found.options else None
    if "first" in case:
        assert (first.name if first else None) == case["first"], case["what"]
    for key, value in (
        ("way", first and first.way),
        ("architecture", first and first.architecture),
    ):
        assert case.get(key, value) == value, case["what"]
    if "served" in case:
        assert first is not None
        assert ("does not serve" not in first.served) == case["served"], first.served
    for words in case.get("reasons", []):
        assert first is not None
        assert words in said(first)
    for words in case.get("assumed", []):
        assert any(words in sentence for sentence in found.assumed), found.assumed


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_else_the_case_says_is_so(path: Path) -> None:
    case = read(path)
    found = ask(case["request"])
    why = {one.name: one.reason for one in found.passed_over}
    for name, words in case.get("passed_over", {}).items():
        assert words in why.get(name, ""), f"{name} was passed over because: {why.get(name)}"
    then = {change.when: change.then for change in found.changes}
    for when, name in case.get("changes", {}).items():
        assert then.get(when, "").startswith(name), f"{when}: {then.get(when)}; told: {list(then)}"
    options = every(case["request"])
    for name, words in case.get("reasons_of", {}).items():
        for sentence in words:
            assert sentence in said(options[name]), said(options[name])
    assert set(case.get("ranked", [])) <= set(options)
