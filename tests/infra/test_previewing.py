"""What a trial run of the engine is told as: objects, and what has to be said of them. Values."""

from __future__ import annotations

from infra.automation import Operation, StackChange
from infra.previewing import previewed

HEAD = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def change(kind: str, name: str, operation: Operation, *keys: str) -> StackChange:
    return StackChange(f"urn::{name}", kind, name, operation, keys)


def test_what_serves_and_would_be_made_anew_is_told_with_what_forces_it() -> None:
    [finding] = previewed([change(HEAD, "head", Operation.REPLACE, "subnetId")], None).findings
    assert finding.id == "target.replaces-serving"
    assert "head would be made anew, because of subnetId" in finding.message


def test_machines_that_run_and_stay_as_they_are_are_told() -> None:
    found = previewed([change(TEMPLATE, "pool", Operation.UPDATE, "imageId")], None)
    [finding] = found.findings
    assert finding.id == "target.machines-stay"
    assert "machines of pool that run stay as they are" in finding.message
    assert "imageId" in finding.message
    assert [one.action for one in found.changes] == ["update"]


def test_other_tags_alone_need_no_word() -> None:
    tagged = change(TEMPLATE, "pool", Operation.UPDATE, "tagSpecifications", "tags", "tagsAll")
    assert previewed([tagged], None).findings == ()


def test_a_first_stack_and_what_only_groups_need_no_word() -> None:
    made = [change(TEMPLATE, "pool", Operation.CREATE), change(HEAD, "head", Operation.CREATE)]
    found = previewed([*made, change("llmops:aws:Pool", "pool", Operation.CREATE)], (0.0, 1.0))
    assert found.findings == ()
    assert [one.name for one in found.changes] == ["LaunchTemplate/pool", "Instance/head"]
    assert found.price == (0.0, 1.0)
