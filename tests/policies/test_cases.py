"""Rules as case files: a policy or several, a deployment, and every finding that it has.

The cases are in tests/cases/policies, in the form that `llmops policy test` reads; no Python is
needed for more.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops.catalog import load_catalogue
from llmops.policies import (
    IDS,
    case_files,
    deployment_of,
    findings_of,
    judged,
    read_case,
)

CASES = case_files([Path(__file__).parents[1] / "cases" / "policies"])

ELSEWHERE = {"security.key_age", "records.asked", "target.replaces-serving"}
"""Ids that no plan has: of keys, records and previews, which are tested beside them."""


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_has_the_findings_that_it_says_and_no_others(path: Path) -> None:
    case = read_case(path).value
    found = findings_of(case, deployment_of(case, path), catalogue=load_catalogue([]))
    outcome = judged(path.stem, case, found)
    assert outcome.missing == ()
    assert outcome.surplus == ()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_finding_says_what_was_found_and_what_to_do(path: Path) -> None:
    case = read_case(path).value
    for finding in findings_of(case, deployment_of(case, path), catalogue=load_catalogue([])):
        assert finding.message
        assert finding.proof
        assert finding.fix or finding.id.startswith("rules.")


def test_there_are_enough_cases_and_each_says_why_it_is_there() -> None:
    assert len(CASES) >= 60
    for path in CASES:
        assert read_case(path).value.about, path


def test_every_id_is_found_by_some_case() -> None:
    expected = {one.id for path in CASES for one in read_case(path).value.expect}
    covered = {"rules.*" if one.startswith("rules.") else one for one in expected}
    assert set(IDS) - ELSEWHERE - covered == set()
    assert covered - set(IDS) == set()
