"""`plan -o json`: keys that others build on, and every figure beside its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from llmops.planning import Figure, Plan, make_plan, plan_document
from tests.planning.worlds import deployment, make_facts

KEYS = {
    "service", "identity", "facts_digest", "model", "memory", "layout", "options", "engine",
    "limits", "host", "port", "keys", "target_in_flight", "strategy", "drain_seconds",
    "start_deadline_seconds", "notes",
}  # fmt: skip


def made() -> Plan:
    spec = deployment(engine={"args": {"seed": 1, "limit": {"a": [1, 2]}}})
    return make_plan(spec, make_facts())


def figures(value: Any) -> Iterator[Figure]:
    if isinstance(value, Figure):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from figures(getattr(value, field.name))


def test_the_document_has_the_keys_that_others_build_on() -> None:
    document = plan_document(made())
    assert document.keys() == KEYS
    assert document["model"].keys() == {
        "source", "revision", "parameters", "weight_bytes", "kv_bytes_per_token", "context",
        "licence",
    }  # fmt: skip
    for name in ("parameters", "weight_bytes", "kv_bytes_per_token"):
        assert document["model"][name].keys() == {"value", "reason"}
    assert document["memory"]["per_device_bytes"].keys() == {"value", "reason"}
    assert isinstance(document["options"], list)
    assert document["options"][0].keys() == {
        "tensor", "pipeline", "fits", "chosen", "per_device_bytes", "reason",
    }  # fmt: skip


def test_the_document_is_plain_data() -> None:
    document = plan_document(made())
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_every_figure_has_a_reason() -> None:
    plan = made()
    found = list(figures(plan))
    assert len(found) >= 11
    assert all(figure.reason for figure in found)
    assert all(option.reason for option in plan.options)
    assert plan.layout.reason
