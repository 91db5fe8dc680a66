"""The one owner of the Automation API, over recorded event logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.automation import Operation, ResourceEvent, StackEvent, StackFailed, Unread, Waiting
from tests.infra.automation.stage import STACK, Stage, failing, follow

pytestmark = pytest.mark.timeout(600)

CASES = sorted((Path(__file__).parents[2] / "cases/stacks").glob("*.yaml"))


def said(events: list[StackEvent]) -> list[str]:
    return [f"{e.name} {e.operation} {e.state}" for e in events if isinstance(e, ResourceEvent)]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_an_update_tells_what_happens_and_ends_as_recorded(case: Path, stage: Stage) -> None:
    expected: dict[str, Any] = yaml.safe_load(case.read_text())
    stage.script(up=[expected["log"]])
    if expected["succeeds"]:
        events, outputs = follow(stage.engine().up())
        for name, value in expected["outputs"].items():
            assert outputs.values[name] == value
    else:
        events, error = failing(stage.engine().up())
        _check_failure(expected, error)
    assert [line for line in expected.get("told", []) if line not in said(events)] == []
    assert sum(e.count for e in events if isinstance(e, Unread)) == expected.get("unread", 0)
    everything = repr(events)
    assert [one for one in expected.get("hidden", []) if one in everything] == []


def _check_failure(expected: dict[str, Any], error: Any) -> None:
    text = f"{error.message} {error.hint}"
    assert [part for part in expected["error"] if part not in text] == []
    assert expected["hint"] in error.hint
    assert error.exit_code == expected.get("exit_code", 5)
    assert [part for part in expected.get("hidden", []) if part in text] == []
    if isinstance(error, StackFailed):
        assert [failure.cause for failure in error.failures] == expected["causes"]
        assert error.another_offer_may_do is expected["another_offer_may_do"]


def test_a_preview_of_a_stack_that_is_not_there_makes_nothing(stage: Stage) -> None:
    stage.script(preview=["first.jsonl"])
    _, changes = follow(stage.engine().preview())
    assert {change.operation for change in changes} == {Operation.CREATE}
    assert len(changes) == 10
    assert not stage.engine().exists()
    assert not list((stage.folder / "backend").rglob("*.json"))


def test_a_preview_says_what_is_replaced_and_by_which_property(stage: Stage) -> None:
    stage.script(up=["first.jsonl"], preview=["replace.jsonl"])
    follow(stage.engine().up())
    before = stage.stored()
    _, changes = follow(stage.engine().preview())
    found = {change.name: (change.operation, change.keys) for change in changes}
    assert found["chat-head"] == (Operation.REPLACE, ("instanceType",))
    assert found["chat-gpu"][0] is Operation.UPDATE
    assert found["chat-nat"][0] is Operation.DELETE
    assert stage.stored() == before


def test_a_wait_without_events_is_told(stage: Stage) -> None:
    """Nobody has to guess what an update that says nothing is waiting for."""
    stage.script(up=["slow.jsonl"])
    flow = stage.engine().up()
    for event in flow:
        if isinstance(event, Waiting) and event.resources:
            assert [name for name, _ in event.resources][-1] == "chat-head"
            break
    (stage.folder / "go").touch()
    _, outputs = follow(flow)
    assert outputs.text("machine") == "p5.48xlarge"


def test_whoever_stops_following_ends_the_engine_in_order(stage: Stage) -> None:
    stage.script(up=["slow.jsonl"])
    flow = stage.engine().up()
    for event in flow:
        if isinstance(event, ResourceEvent) and event.name == "chat-head":
            break
    while not (stage.folder / "go.reached").exists():
        next(flow)
    flow.close()
    assert stage.stored()["history"][-1]["result"] == "failed"
    assert stage.locks() == []


def test_the_engines_of_one_stack_see_its_history(stage: Stage) -> None:
    follow(stage.engine().up("release 1"))
    follow(stage.engine().refresh())
    newest, oldest = stage.engine().history()
    assert (oldest.kind, oldest.result, oldest.message) == ("update", "succeeded", "release 1")
    assert oldest.changes["create"] == 10
    assert newest.kind == "refresh"


def test_what_holds_data_stays_unless_it_is_to_go(stage: Stage) -> None:
    follow(stage.engine().up())
    follow(stage.engine().destroy())
    kept = {urn.rsplit("::", 1)[-1] for urn in stage.engine().state().resources}
    assert kept == {"chat-store", f"llmops-{STACK}"}


def test_a_destroyed_stack_leaves_no_record(stage: Stage) -> None:
    follow(stage.engine().up())
    follow(stage.engine().destroy(keep_data=False))
    assert not stage.engine().exists()
    assert stage.engine().outputs().values == {}
    follow(stage.engine().destroy())


def test_no_secret_is_asked_for_by_any_command(stage: Stage) -> None:
    follow(stage.engine().up())
    stage.engine().outputs()
    stage.engine().state()
    clear = [call for call in stage.calls("--show-secrets") if "output" not in call]
    assert clear == []
