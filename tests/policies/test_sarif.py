"""SARIF 2.1.0: what the standard requires of a log, and what a review tool needs of ours."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.policies import Finding, Layer, Severity, Waiver, to_sarif
from llmops.spec import read_text
from llmops.spec.loader import SPEC

TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "minLength": 1}},
}
# Of the standard, by its sections: 3.13 log, 3.14 run, 3.18 tool, 3.19 component, 3.49 rule,
# 3.27 result, 3.28 location, 3.29 physical location, 3.30 region, 3.33 logical location,
# 3.35 suppression.
PHYSICAL = {
    "type": "object",
    "required": ["artifactLocation"],
    "properties": {
        "artifactLocation": {
            "type": "object",
            "required": ["uri"],
            "properties": {"uri": {"type": "string", "pattern": r"^[!#-;=?-Z_a-z~%@]+$"}},
        },
        "region": {
            "type": "object",
            "properties": {
                "startLine": {"type": "integer", "minimum": 1},
                "startColumn": {"type": "integer", "minimum": 1},
            },
        },
    },
}
RESULT = {
    "type": "object",
    "required": ["message", "ruleId"],
    "properties": {
        "message": TEXT,
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "locations": {
            "type": "array",
            "items": {"type": "object", "properties": {"physicalLocation": PHYSICAL}},
        },
        "suppressions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kind"],
                "properties": {
                    "kind": {"enum": ["inSource", "external"]},
                    "status": {"enum": ["accepted", "underReview", "rejected"]},
                },
            },
        },
    },
}
RULE = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "shortDescription": TEXT, "help": TEXT},
}
DRIVER = {
    "type": "object",
    "required": ["name"],
    "properties": {"rules": {"type": "array", "uniqueItems": True, "items": RULE}},
}
LOG = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {"driver": DRIVER},
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {"type": "array", "items": RESULT},
                },
            },
        },
    },
}

WAIVER = Waiver.model_validate(
    {
        "rule": "rules.own", "services": ["chat"], "reason": "why", "owner": "me",
        "expires": date(2026, 12, 24),
    }
)  # fmt: skip
TEXTS = st.text(min_size=1, max_size=20)
FINDINGS = st.builds(
    Finding,
    st.sampled_from(["security.pinned", "rules.own", "waivers.unused"]),
    st.sampled_from(Severity),
    st.sampled_from(["", "model.source", "engine.args.x"]),
    TEXTS,
    st.text(max_size=9),
    st.text(max_size=9),
    layer=st.sampled_from([*Layer, None]),
    waiver=st.sampled_from([None, WAIVER]),
)


def checked(log: dict[str, Any]) -> dict[str, Any]:
    """A log that has what the standard requires, and its only run."""
    jsonschema.validate(log, LOG)
    json.dumps(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    return dict(run)


@given(st.lists(FINDINGS, max_size=6), TEXTS, st.integers(1, 99))
def test_any_findings_make_a_log_that_the_standard_allows(
    findings: list[Finding], file: str, line: int
) -> None:
    run = checked(to_sarif(findings, lambda path: (file, line, 3) if path else None))
    assert len(run["results"]) == len(findings)


def test_a_finding_is_at_the_line_that_it_is_about() -> None:
    spec = read_text(SPEC, "name: chat\nmodel:\n  source: hf://a/b\n", "deploy/llmops.yaml")
    finding = Finding(
        "security.sources", Severity.BLOCK, "model.source", "not allowed", "hf://a/b", "use another"
    )
    (result,) = checked(to_sarif([finding], spec.where, version="1.2.3"))["results"]
    assert result["level"] == "error"
    assert result["message"]["text"] == "not allowed\nFound: hf://a/b\nFix: use another"
    (location,) = result["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "deploy/llmops.yaml"},
        "region": {"startLine": 3, "startColumn": 11},
    }
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "model.source"


@pytest.mark.parametrize("path", ["", "scaling.replicas"])
def test_what_is_about_nothing_that_was_written_is_at_the_name(path: str) -> None:
    spec = read_text(SPEC, "model: {source: hf://a/b}\nname: chat\n", "llmops.yaml")
    finding = Finding("maintenance.window", Severity.BLOCK, path, "closed")
    (result,) = checked(to_sarif([finding], spec.where))["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 7}


@pytest.mark.parametrize(
    ("file", "uri"),
    [("a b/ü.yaml", "a%20b/%C3%BC.yaml"), ("a\\b.yaml", "a/b.yaml"), ("<stdin>", "%3Cstdin%3E")],
)
def test_a_file_s_name_is_a_uri(file: str, uri: str) -> None:
    log = to_sarif([Finding("rules.own", Severity.WARN, "name", "m")], lambda _: (file, 1, 1))
    (result,) = checked(log)["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_a_waived_finding_is_suppressed_with_its_reason() -> None:
    waived = Finding("rules.own", Severity.BLOCK, "", "m", waiver=WAIVER)
    (result,) = checked(to_sarif([waived], lambda _: None))["results"]
    assert result["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "why (owner: me; until 2026-12-24)",
        }
    ]


def test_no_findings_make_a_run_without_results() -> None:
    run = checked(to_sarif([], lambda _: None, version="1.0"))
    assert run["results"] == []
    assert run["tool"]["driver"] == {"name": "llmops", "version": "1.0", "rules": []}
