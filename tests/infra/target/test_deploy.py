"""`llmops deploy` and `destroy` on machines of a cloud: a stack first, then the release."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest

from infra.automation import Outputs, StackFailed
from infra.handing import awake
from llmops.errors import InputError, LlmopsError, RefusedError
from llmops.events import (
    Event,
    Flow,
    Planned,
    Previewed,
    Progress,
    ResourceProgress,
    StepEnded,
    Warned,
)
from llmops.policies import Applied, PolicyError, Shelf
from llmops.spec import AgentTarget
from llmops.waiting import wait
from serving.local import LocalTarget
from tests.infra.making import deployment, planned
from tests.infra.target.conftest import BUCKET, NotingAgent, Scene, words

pytestmark = pytest.mark.timeout(600)

T = TypeVar("T")


def follow(flow: Generator[Event, None, T]) -> tuple[list[Event], T]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(flow))
        except StopIteration as end:
            return events, end.value


def failing(flow: Generator[Event, None, Any]) -> tuple[list[Event], LlmopsError]:
    events: list[Event] = []
    try:
        while True:
            events.append(next(flow))
    except LlmopsError as error:
        return events, error


def noting(asked: list[Planned]) -> Callable[[Planned], bool]:
    """Says yes, and notes what was asked."""

    def confirm(planned: Planned) -> bool:
        asked.append(planned)
        return True

    return confirm


def test_the_stack_is_made_and_its_agent_is_handed_the_release(scene: Scene) -> None:
    asked: list[Planned] = []
    flow = scene.target().deploy(scene.deployment(), confirm=noting(asked))
    events, finished = follow(flow)
    assert finished.url == "https://chat.example.com/v1"
    assert len(asked) == 1
    kinds = [type(event).__name__ for event in events]
    assert kinds.index("Planned") < kinds.index("Previewed") < kinds.index("ResourceProgress")
    made = [e.name for e in events if isinstance(e, ResourceProgress) and e.state == "done"]
    assert "chat-gpu" in made
    [handed] = scene.handed
    assert isinstance(handed.target, AgentTarget)
    assert handed.target.store == f"s3://{BUCKET}/llmops"
    assert handed.target.reach == "machine", "no load balancer: only a session reaches it"
    assert (handed.target.host, handed.target.port) == ("10.0.0.5", 8000), "the head's own address"
    previewed = next(event for event in events if isinstance(event, Previewed))
    assert previewed.price is not None
    assert previewed.price[0] == 0.0 < previewed.price[1]


def test_the_agent_is_waited_for_first_and_then_every_machine_of_the_plan(scene: Scene) -> None:
    made = scene.deployment(spare=2)
    events, _ = follow(scene.target().deploy(made))
    waits = [(e.phase, e.reason) for e in events if isinstance(e, Progress)]
    assert waits.index(("agent", "waiting")) < waits.index(("machines", "waiting for 3"))


def test_machines_that_do_not_come_are_told_with_the_way_to_look_at_them(scene: Scene) -> None:
    class Alone(NotingAgent):
        def await_machines(self, count: int, seconds: float) -> Flow[None]:
            yield from wait("machines", lambda: f"0 of {count} machines give signs of life", 0.0)

    outputs = Outputs({"head": "i-0head"})
    agent = Alone(scene.home, f"s3://{BUCKET}/llmops")
    _, error = failing(awake(agent, outputs, planned(deployment(spare=1))))
    assert "0 of 2 machines give signs of life" in error.message
    assert "aws ssm start-session --target i-0head" in error.hint
    assert error.exit_code == 5, "nothing serves there"


def test_a_second_deploy_makes_nothing_and_asks_nothing(scene: Scene) -> None:
    follow(scene.target().deploy(scene.deployment()))
    scene.stage.script(preview=["same.jsonl"])
    calls = len(scene.stage.calls("up"))
    events, _ = follow(scene.target().deploy(scene.deployment()))
    assert len(scene.stage.calls("up")) == calls
    assert not any(isinstance(event, ResourceProgress) for event in events)
    assert len(scene.handed) == 2, "the agent looks whether the release is as it should be"


def test_whoever_says_no_has_changed_nothing(scene: Scene) -> None:
    _, error = failing(scene.target().deploy(scene.deployment(), confirm=lambda _: False))
    assert isinstance(error, RefusedError)
    assert scene.stage.calls("up") == []
    assert not scene.target().stands("chat")


def test_everything_that_is_missing_is_told_before_anybody_is_asked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    asked: list[Planned] = []
    flow = scene.target().deploy(
        scene.deployment(image="ami-0123456789abcdef0"),
        confirm=noting(asked),
    )
    _, error = failing(flow)
    assert isinstance(error, InputError)
    assert "passphrase: it is empty" in error.message
    assert "ami-0123456789abcdef0 is not there" in error.message
    assert (asked, scene.stage.calls("up")) == ([], [])


def test_a_plan_needs_no_pulumi_program(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmops import workflow

    monkeypatch.setenv("PATH", "/nowhere")
    events, planned = follow(workflow.plan(scene.target(), scene.deployment()))
    assert planned.plan.machines is not None
    warned = [event.text for event in events if isinstance(event, Warned)]
    assert any("no `pulumi` program" in text for text in warned)


def test_where_there_are_no_machines_the_next_offer_is_taken_if_it_costs_no_more(
    scene: Scene,
) -> None:
    scene.stage.script(up=["no_capacity.jsonl", "first.jsonl"])
    flow = scene.target().deploy(
        scene.deployment(machine="g6e.xlarge", market="spot"), unattended=True
    )
    events, finished = follow(flow)
    assert finished.url
    said = words(events)
    assert "cannot be had" in said
    assert "InsufficientInstanceCapacity" in said
    assert "g6e.xlarge (on demand)" in said


def test_a_dearer_offer_is_refused_where_nobody_can_be_asked(scene: Scene) -> None:
    scene.stage.script(up=["no_capacity.jsonl", "first.jsonl"])
    events, error = failing(scene.target().deploy(scene.deployment(), unattended=True))
    assert isinstance(error, RefusedError)
    assert error.exit_code == 3
    assert "USD an hour" in error.message
    assert "--yes" in error.hint
    assert len(scene.stage.calls("up")) == 1
    assert scene.handed == []
    assert "cannot be had" in words(events)


def test_an_offer_beyond_the_budget_is_not_taken_whoever_agrees(scene: Scene) -> None:
    scene.stage.script(up=["no_capacity.jsonl", "first.jsonl"])
    target = scene.deployment(budget={"usd_per_hour": 0.8})
    asked: list[Planned] = []
    _, error = failing(scene.target().deploy(target, confirm=noting(asked)))
    assert isinstance(error, StackFailed)
    assert "InsufficientInstanceCapacity" in error.message
    assert len(asked) == 1, "only the plan itself"
    assert len(scene.stage.calls("up")) == 1


def test_a_dearer_offer_is_asked_for_again(scene: Scene) -> None:
    scene.stage.script(up=["no_capacity.jsonl", "first.jsonl"])
    prices: list[float] = []

    def confirm(planned: Planned) -> bool:
        assert planned.plan.machines is not None
        prices.append(float(planned.plan.machines.usd_per_hour.value))
        return True

    follow(scene.target().deploy(scene.deployment(), confirm=confirm))
    assert len(prices) == 2
    assert prices[1] > prices[0]


def test_a_failure_that_another_machine_does_not_cure_is_told_as_it_is(scene: Scene) -> None:
    scene.stage.script(up=["partial.jsonl"])
    _, error = failing(scene.target().deploy(scene.deployment(), unattended=True))
    assert isinstance(error, StackFailed)
    assert "MalformedPolicyDocument" in error.message
    assert error.exit_code == 5, "nothing serves yet"
    assert scene.handed == []


def test_destroy_takes_the_stack_and_counts_what_is_left(scene: Scene) -> None:
    follow(scene.target().deploy(scene.deployment()))
    events, finished = follow(scene.target().destroy("chat"))
    assert finished.changed
    said = words(events)
    assert f"kept, because it holds data: {BUCKET}" in said
    assert any(isinstance(e, StepEnded) and e.text.endswith("none") for e in events)


def test_destroy_with_purge_leaves_nothing_at_all(scene: Scene) -> None:
    follow(scene.target().deploy(scene.deployment()))
    target = scene.target()
    target.purge = True
    events, _ = follow(target.destroy("chat"))
    assert not scene.target().stands("chat")
    assert "object versions" in words(events)
    left = scene.cloud.client("s3").list_object_versions(Bucket=BUCKET)
    assert "Versions" not in left


def test_what_destroy_did_not_take_is_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.leaving.PATIENCE", 0.0)
    follow(scene.target().deploy(scene.deployment()))
    lost = scene.cloud.machine({"llmops:project": "llmops", "llmops:stack": "chat-us-east-1"})
    events, _ = follow(scene.target().destroy("chat"))
    assert f"still listed: ec2:instance {lost}" in words(events)


def test_a_stack_that_is_not_there_is_not_destroyed(scene: Scene) -> None:
    _, error = failing(scene.target().destroy("chat"))
    assert "no stack chat-us-east-1" in error.message


POLICY = """apiVersion: llmops/v1
kind: Policy
name: cheap
budget: {usd_per_hour: 0.5}
"""


def applied(scene: Scene, text: str) -> None:
    shelf = Shelf((Applied("cheap", 1, text, 0.0, "anna"),))
    LocalTarget(scene.home).policies.write(shelf, "")


def test_a_first_deploy_is_bound_by_the_policies_of_the_machine_that_makes_it(
    scene: Scene,
) -> None:
    applied(scene, POLICY)
    _, error = failing(scene.target().deploy(scene.deployment(), unattended=True))
    assert isinstance(error, PolicyError)
    assert "budget.usd_per_hour" in error.message
    assert scene.stage.calls("up") == []


def test_a_stack_begins_with_the_policies_of_the_machine_that_made_it(scene: Scene) -> None:
    applied(scene, POLICY.replace("0.5", "50"))
    follow(scene.target().deploy(scene.deployment(), unattended=True))
    [entry] = scene.target().policies.read()[0].entries
    assert (entry.name, entry.applied_by) == ("cheap", "anna")
