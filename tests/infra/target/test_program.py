"""The program itself, run by the Automation API: what `deploy` makes is what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmops.events import ResourceProgress
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
