"""Each file in tests/cases/plans/clusters: a model, nodes, a spec; what is planned or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.errors import RefusedError
from llmops.planning import Facts, make_plan, plan_document
from llmops.planning.refusal import apply
from llmops.spec.models import Deployment
from tests.planning.cluster_worlds import cluster, cluster_facts, on_cluster
from tests.planning.test_cases import at
from tests.planning.worlds import CASES, CPU

FILES = sorted((CASES / "clusters").glob("*.yaml"))
KEYS = {"what", "model", "facts", "nodes", "passed_over", "live", "engine", "spec", "plan", "notes",
        "refused"}  # fmt: skip


def read(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load(path.read_text())
    assert case.keys() <= KEYS, f"{path.name}: unknown keys {case.keys() - KEYS}"
    assert ("plan" in case) != ("refused" in case), f"{path.name}: either plan or refused"
    return case


def world(case: dict[str, Any]) -> tuple[Deployment, Facts]:
    where = cluster(*case["nodes"], passed_over=case.get("passed_over"))
    facts = cluster_facts(
        case["model"], where, live=case.get("live"), engine=case.get("engine", CPU),
        **case.get("facts", {}),
    )  # fmt: skip
    return on_cluster(**case.get("spec", {})), facts


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in FILES if kind in read(path)]


def test_there_are_cases() -> None:
    assert len(FILES) >= 25


@pytest.mark.parametrize("path", of_kind("plan"))
def test_a_plan_is_what_the_case_says(path: Path) -> None:
    case = read(path)
    document = plan_document(make_plan(*world(case)))
    assert {key: at(document, key) for key in case["plan"]} == case["plan"], case["what"]
    for words in case.get("notes", []):
        assert any(words in note for note in document["notes"]), (words, document["notes"])
    if case.get("notes") == []:
        assert document["notes"] == []


@pytest.mark.parametrize("path", of_kind("refused"))
def test_a_refusal_is_what_the_case_says(path: Path) -> None:
    case = read(path)
    spec, facts = world(case)
    with pytest.raises(RefusedError) as caught:
        make_plan(spec, facts)
    refused, wanted = caught.value, case["refused"]
    assert refused.path == wanted["path"], refused.message
    for words in wanted["says"]:
        assert words in refused.message
    assert refused.hint
    if "hint" in wanted:
        assert wanted["hint"] in refused.hint, refused.message
    changes = {key: str(value) for key, value in refused.changes.items()}
    assert changes == wanted.get("changes", {}), refused.hint
    if refused.changes:
        make_plan(apply(spec, refused.changes), facts)  # what was suggested fits
