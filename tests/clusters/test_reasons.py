"""Each file in tests/cases/reasons: what a cluster shows, and what its user is told."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters import scheduling
from clusters.reasons import Found, Reason, explain

FILES = sorted((Path(__file__).parents[1] / "cases" / "reasons").glob("*.yaml"))


def found(case: dict[str, Any]) -> Found:
    known = {field.name for field in fields(Found)}
    unknown = set(case) - known - {"what", "reason"}
    assert not unknown, f"the case has {unknown}, which nobody looks at"
    return Found(**{key: case[key] for key in known & set(case)})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_reason_is_told(file: Path) -> None:
    case = yaml.safe_load(file.read_text())
    assert explain(found(case)) == Reason(**case["reason"]), case["what"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_reason_is_short_and_on_one_line(file: Path) -> None:
    reason = explain(found(yaml.safe_load(file.read_text())))
    assert reason.text
    assert "\n" not in reason.text + reason.hint
    assert len(reason.text) < 450, reason.text
    assert not reason.hopeless or reason.hint, "who is told to give up must know what to do"


def test_there_is_a_case_for_each_way_to_fail() -> None:
    assert len(FILES) >= 25, "the folder of cases was not found"


PREEMPTION = "preemption: 0/5 nodes are available: 5 No preemption victims found for incoming pod."
ENDS = ["", ".", "..", f". {PREEMPTION}", f". no new claims to deallocate, {PREEMPTION}"]
MANY = "1 node(s) were unschedulable, 2 Insufficient cpu, 4 Insufficient x/y"


@pytest.mark.parametrize(
    ("causes", "told"),
    [
        (MANY, "4 nodes have too few free x/y, 2 have too few free CPUs, 1 is cordoned"),
        ("1 node(s) had untolerated taint {a/c: d}", "1 node has an untolerated taint a/c=d"),
        ("1 Insufficient ephemeral-storage", "1 node has too little free ephemeral-storage"),
        ('persistentvolumeclaim "w" not found', 'persistentvolumeclaim "w" not found'),
        (
            "5 node(s) didn't have free ports for the requested pod ports",
            "5 nodes have the pod's port in use",
        ),
    ],
)
@pytest.mark.parametrize("end", ENDS)
def test_the_schedulers_words_are_put_into_ours(causes: str, told: str, end: str) -> None:
    assert scheduling.told(f"0/5 nodes are available: {causes}{end}") == told


@pytest.mark.parametrize("message", ["no nodes available to schedule pods", "", "0/x nodes"])
def test_other_words_stay_as_they_are(message: str) -> None:
    assert scheduling.told(message) == message
    assert not scheduling.causes(message)


def test_a_long_message_is_cut() -> None:
    pod = {
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"llmops/role": "head"}},
        "status": {
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "x" * 5000}]
        },
    }
    assert len(explain(Found(pods=[pod])).text) < 400
