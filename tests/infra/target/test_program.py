"""The program itself, run by the Automation API: what `deploy` makes is what it declares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.configured import planned
from llmops.events import ResourceProgress
from llmops.opening import recorded
from llmops.planning import make_plan
from llmops.policies import Applied, PolicyError, Shelf, effective
from llmops.spec import AgentTarget
from serving.local import LocalTarget
from tests.infra.making import deployment, facts
from tests.infra.target.conftest import Scene
from tests.infra.target.test_deploy import follow

pytestmark = pytest.mark.timeout(600)

CANARY = "canary-51d0-do-not-keep"


def test_deploy_makes_what_the_program_declares_and_nothing_the_second_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", CANARY)
    monkeypatch.setenv("HF_TOKEN", CANARY)
    scene.stage.script(up=["program"], preview=["program"])
    events, _ = follow(
        scene.target().deploy(scene.deployment(store="s3://chat-us-east-1-store/llmops"))
    )
    made = {e.kind for e in events if isinstance(e, ResourceProgress) and e.state == "done"}
    assert {"aws:autoscaling/group:Group", "aws:ec2/instance:Instance"} <= made
    ups = len(scene.stage.calls("up"))
    again, _ = follow(
        scene.target().deploy(scene.deployment(store="s3://chat-us-east-1-store/llmops"))
    )
    assert len(scene.stage.calls("up")) == ups
    assert not any(isinstance(event, ResourceProgress) for event in again)
    assert CANARY not in repr(events) + repr(again)
    assert [file for file in _written(scene) if CANARY in file.read_text(errors="replace")] == []


def _written(scene: Scene) -> list[Path]:
    """Every file that either deploy has left: the stack's record, calls, and this user's state."""
    found = [file for file in scene.stage.folder.rglob("*") if file.is_file()]
    assert any(file.name == "chat-us-east-1.json" for file in found)
    return found


POLICY = """apiVersion: llmops/v1
kind: Policy
name: {name}
applies_to: {{targets: [aws]}}
budget: {{usd_per_hour: {usd}}}
"""


def _shelf(name: str, usd: float) -> Shelf:
    return Shelf((Applied(name, 1, POLICY.format(name=name, usd=usd), 0.0, "anna"),))


def test_pulumis_own_command_is_bound_by_the_policies_that_bind_deploy(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First by those of the machine that makes the stack, then by the stack's own shelf."""
    monkeypatch.setenv("LLMOPS_HOME", str(scene.home))
    monkeypatch.setattr("pulumi.log.info", lambda _: None)
    monkeypatch.setattr("pulumi.log.warn", lambda _: None)
    LocalTarget(scene.home).policies.write(_shelf("here", 0.5), "")
    with pytest.raises(PolicyError, match=r"budget\.usd_per_hour"):
        planned(scene.deployment())
    _, version = LocalTarget(scene.home).policies.read()
    LocalTarget(scene.home).policies.write(_shelf("here", 50), version)
    deployment, plan, _ = planned(scene.deployment())
    assert (deployment.name, plan.service) == ("chat", "chat")
    follow(scene.target().deploy(scene.deployment()))
    there = scene.target().policies
    _, version = there.read()
    there.write(_shelf("there", 0.4), version)
    with pytest.raises(PolicyError, match=r"budget\.usd_per_hour"):
        planned(scene.deployment())
    assert scene.stage.calls("preview"), "deploy has asked what would change"


def test_policies_for_machines_of_the_cloud_bind_what_their_agent_does(scene: Scene) -> None:
    follow(scene.target().deploy(scene.deployment()))
    [handed] = scene.handed
    [policy] = _shelf("there", 0.4).current()
    bound = effective([policy], handed)
    assert bound.value("budget.usd_per_hour") == 0.4
    plan = replace(make_plan(deployment(), facts(deployment())), target={})
    recorded_plan = replace(plan, target={"kind": "aws", "region": "us-east-1"})
    assert effective([policy], recorded(recorded_plan)).policies == (policy,)
    assert effective([policy], recorded(plan)).policies == ()
    assert isinstance(handed.target, AgentTarget)
    assert handed.target.made_on is not None
    assert handed.target.made_on.region == "us-east-1"
