"""The evaluator means what the Kubernetes documentation says of NetworkPolicies."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.clusters.objects.states import CASES
from tests.clusters.reachability import Place, Port, allowed

DOCUMENT = yaml.safe_load((CASES / "semantics.yaml").read_text())
PLACES = {name: Place(**place) for name, place in DOCUMENT["places"].items()}


def _connections(case: dict[str, Any], answer: str) -> list[tuple[str, str, Port]]:
    return [(a, b, Port(*port)) for a, b, *port in case.get(answer, ())]


@pytest.mark.parametrize("case", DOCUMENT["cases"], ids=lambda case: str(case["what"]))
def test_policies_mean_what_is_documented(case: dict[str, Any]) -> None:
    policies = [{"metadata": {"namespace": "shop"}, "spec": spec} for spec in case["specs"]]
    wrong = [
        f"{source} -> {target} {port} should be {answer}"
        for answer, expected in (("open", True), ("shut", False))
        for source, target, port in _connections(case, answer)
        if allowed(PLACES[source], PLACES[target], port, policies) is not expected
    ]
    assert not wrong, f"{case['what']}: {wrong}"


def test_every_case_says_something() -> None:
    assert all(case.get("open") or case.get("shut") for case in DOCUMENT["cases"])
