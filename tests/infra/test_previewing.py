"""What a trial run of the engine is told as: objects, and what has to be said of them. Values."""

from __future__ import annotations

from dataclasses import replace

from infra.account import Group, Started
from infra.automation import Operation, StackChange
from infra.previewing import previewed
from infra.standing import Standing
from llmops.policies import Severity

HEAD = "aws:ec2/instance:Instance"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


def change(kind: str, name: str, operation: Operation, *keys: str) -> StackChange:
    return StackChange(f"urn::{name}", kind, name, operation, keys)


def test_what_serves_and_would_be_made_anew_is_told_with_what_forces_it() -> None:
    [finding] = previewed([change(HEAD, "head", Operation.REPLACE, "subnetId")], None).findings
    assert finding.id == "target.replaces-serving"
    assert "head would be made anew, because of subnetId" in finding.message


def machine(number: int, template: str = "lt-1:1", kind: str = "g6e.xlarge") -> Started:
    return Started(f"i-{number}", kind, f"10.0.0.{number}", template, there=True, since=0.0)


def standing(*machines: Started, roll: bool = False, template: str = "lt-1:1") -> Standing:
    group = Group(template, machines, len(machines))
    return Standing(group, ("1", "1"), "g6e.xlarge", roll, len(machines))


NEW_IMAGE = change(TEMPLATE, "pool", Operation.UPDATE, "imageId")


def test_machines_that_run_and_stay_as_they_are_are_counted() -> None:
    found = previewed([NEW_IMAGE], None, standing(machine(1), machine(2)))
    [finding] = found.findings
    assert (finding.id, finding.severity) == ("target.machines-stay", Severity.WARN)
    assert "2 of 2 machines with GPUs were started from an older" in finding.message
    assert "(imageId) and stay as they are" in finding.message
    assert "target.roll: auto" in finding.fix
    assert [one.action for one in found.changes] == ["update"]


def test_machines_that_are_replaced_are_changes_of_the_plan() -> None:
    found = previewed([NEW_IMAGE], None, standing(machine(1), machine(2), roll=True))
    [finding] = found.findings
    assert (finding.id, finding.severity) == ("target.machines-roll", Severity.INFO)
    assert [(one.name, one.action) for one in found.changes] == [
        ("LaunchTemplate/pool", "update"), ("Machine/i-1", "replace"), ("Machine/i-2", "replace"),
    ]  # fmt: skip


def test_those_of_an_earlier_deploy_are_found_without_any_change_of_the_stack() -> None:
    old = (machine(1), machine(2, "lt-1:2"))
    stays = previewed([], None, standing(*old, template="lt-1:2"))
    assert "1 of 2 machines" in stays.findings[0].message
    goes = previewed([], None, standing(*old, template="lt-1:2", roll=True))
    assert [one.name for one in goes.changes] == ["Machine/i-1"]
    none = previewed([], None, standing(machine(1), machine(2), roll=True))
    assert (none.changes, none.findings) == ((), ())


def test_machines_that_are_too_many_are_changes_of_the_plan() -> None:
    old = machine(2, "lt-1:0")
    three = replace(standing(machine(1), old, machine(3), roll=True), planned=1)
    found = previewed([], None, three)
    assert [(one.name, one.action) for one in found.changes] == [
        ("Machine/i-2", "delete"), ("Machine/i-1", "delete"),
    ]  # fmt: skip
    [finding] = found.findings
    assert (finding.id, finding.severity) == ("target.machines-end", Severity.INFO)
    assert "2 of 3 machines with GPUs are more than planned" in finding.message
    both = previewed([NEW_IMAGE], None, three)
    assert [(one.name, one.action) for one in both.changes if one.action == "replace"] == [
        ("Machine/i-3", "replace"),
    ], "what ends is not replaced as well"  # fmt: skip


def test_machines_that_are_too_many_and_of_another_type_stay() -> None:
    two = replace(standing(machine(1), machine(2, kind="p5.48xlarge")), planned=1)
    found = previewed([], None, two)
    [finding] = found.findings
    assert (found.changes, finding.id) == ((), "target.machines-stay")
    assert "1 of 2 machines with GPUs are more than planned and stay" in finding.message


def test_machines_of_a_replica_on_several_neither_end_nor_are_replaced() -> None:
    """One of them that leaves takes the replica with it."""
    two = replace(standing(machine(1), machine(2), roll=True), planned=1, spans=True)
    for changes in ([], [NEW_IMAGE]):
        found = previewed(changes, None, two)
        assert not any(one.name.startswith("Machine/") for one in found.changes)
        assert {one.id for one in found.findings} == {"target.machines-stay"}
        assert all("a replica that stands on several" in one.fix for one in found.findings)


def test_a_group_of_another_number_than_the_stack_says_is_a_change() -> None:
    """The engine compares with its record, and sees none."""
    left = replace(standing(machine(1), machine(2)), declared=3)
    [change_] = previewed([], None, left).changes
    assert (change_.name, change_.action) == ("Group/pool", "update")
    seen = change("aws:autoscaling/group:Group", "pool", Operation.UPDATE, "maxSize")
    assert len(previewed([seen], None, left).changes) == 1, "once"
    assert previewed([], None, replace(left, declared=2)).changes == ()


def test_machines_of_another_type_are_never_replaced() -> None:
    """The release that serves was planned for theirs."""
    both = previewed([NEW_IMAGE], None, standing(machine(1, kind="p5.48xlarge"), roll=True))
    [finding] = both.findings
    assert finding.id == "target.machines-stay"
    assert "none is replaced by another" in finding.fix
    assert [one.name for one in both.changes] == ["LaunchTemplate/pool"]


def test_the_head_stays_as_it_is_and_every_plan_says_so() -> None:
    now = previewed([change(TEMPLATE, "head", Operation.UPDATE, "userData")], None)
    later = previewed([], None, Standing(None, ("1", "2")))
    for found in (now, later):
        [finding] = found.findings
        assert finding.id == "target.head-stays"
        assert "llmops destroy and a new deploy" in finding.fix
    assert "(userData)" in now.findings[0].message
    assert previewed([], None, Standing(None, ("2", "2"))).findings == ()


def test_a_head_that_is_made_anew_does_not_stay() -> None:
    anew = change(HEAD, "head", Operation.REPLACE, "subnetId")
    [finding] = previewed([anew], None, Standing(None, ("1", "2"))).findings
    assert finding.id == "target.replaces-serving"


def test_machines_that_nobody_could_look_at_are_told_without_a_number() -> None:
    [finding] = previewed([NEW_IMAGE], None).findings
    assert finding.id == "target.machines-stay"
    assert "machines with GPUs that run stay as they are (imageId)" in finding.message


def test_tags_of_a_template_itself_need_no_word() -> None:
    tagged = change(TEMPLATE, "pool", Operation.UPDATE, "tags", "tagsAll")
    assert previewed([tagged], None, standing(machine(1))).findings == ()


def test_a_first_stack_and_what_only_groups_need_no_word() -> None:
    made = [change(TEMPLATE, "pool", Operation.CREATE), change(HEAD, "head", Operation.CREATE)]
    found = previewed([*made, change("llmops:aws:Pool", "pool", Operation.CREATE)], (0.0, 1.0))
    assert found.findings == ()
    assert [one.name for one in found.changes] == ["LaunchTemplate/pool", "Instance/head"]
    assert found.price == (0.0, 1.0)
