"""What a real API server answered, and the error that stands for it.

The bodies are those of Kubernetes 1.36, but for `busy`, `etcd_timeout`, `shutting_down` and
`conflict_by_scale`, which are hard to bring about and are written after its source.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clusters import trouble
from clusters.trouble import About, Conflicted, Rejected, Unauthorised, refusal
from llmops.errors import LlmopsError

CASES = Path(__file__).parents[1] / "cases" / "api_errors"


def refused(case: dict[str, Any], ended: str = "") -> LlmopsError:
    body = case["body"]
    said = body if isinstance(body, str) else json.dumps(body)
    return refusal(case["code"], said.encode(), About(**case["about"]), ended)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.json")), ids=lambda path: path.stem)
def test_an_answer_becomes_an_error_that_says_what_to_do(path: Path) -> None:
    case = json.loads(path.read_text())
    error = refused(case)
    found = {"error": type(error).__name__, "exit_code": error.exit_code}
    found |= {"message": error.message, "hint": error.hint}
    if isinstance(error, Rejected) and error.reasons:
        found["reasons"] = list(error.reasons)
    if isinstance(error, Conflicted):
        found["owned"] = [[one.manager, one.field] for one in error.owned]
    assert found == {k: v for k, v in case.items() if k not in {"code", "body", "about"}}


def test_every_kind_of_refusal_has_a_case() -> None:
    known = {
        name
        for name, value in vars(trouble).items()
        if isinstance(value, type)
        and issubclass(value, LlmopsError)
        and value.__module__ == trouble.__name__
    }
    shown = {json.loads(path.read_text())["error"] for path in CASES.glob("*.json")}
    assert known - shown == {"Unreachable"}, "an error that no case shows"


def test_credentials_that_are_known_to_have_expired_say_so() -> None:
    case = json.loads((CASES / "unauthorised.json").read_text())
    error = refused(case, ended="the client certificate expired on 2026-01-01 00:00 UTC")
    assert isinstance(error, Unauthorised)
    assert "the client certificate expired on 2026-01-01" in error.message
