"""The verbs, from a file to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.app import app
from cli.places import remembered
from infra.account import Account, Quota
from tests.infra.automation.stage import STACK
from tests.infra.cloud import REGION
from tests.infra.target.conftest import BUCKET, NotingAgent, Scene

pytestmark = pytest.mark.timeout(600)

SPEC = """name: chat
model: {{source: "hf://tests/tiny"}}
target: {{kind: aws, region: {region}, image: {image}, network: {{nat: true}}}}
"""


@pytest.fixture
def spec(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("infra.target.AgentTarget", NotingAgent)
    monkeypatch.setattr(NotingAgent, "handed", [], raising=False)
    quota = Quota("Running On-Demand G and VT instances", 64.0)
    monkeypatch.setattr(Account, "quotas", lambda _: (quota,))
    monkeypatch.setenv("LLMOPS_HOME", str(scene.home))
    file = scene.home.parent / "llmops.yaml"
    file.write_text(SPEC.format(region=REGION, image=scene.cloud.image()))
    return file


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_plan_shows_objects_and_the_difference_in_price(spec: Path, scene: Scene) -> None:
    document = json.loads(run("plan", "-f", str(spec), "-o", "json").stdout)
    actions = {change["name"]: change["action"] for change in document["changes"]}
    assert actions["Group/chat-gpu"] == "create"
    assert document["usd_per_hour"]["now"] == 0.0 < document["usd_per_hour"]["then"]
    assert scene.stage.calls("up") == []


def test_what_the_stack_is_made_of_is_printed(spec: Path, scene: Scene) -> None:
    document = json.loads(run("render", "-f", str(spec), "-o", "json").stdout)
    assert (document["project"], document["stack"]) == ("llmops", STACK)
    assert document["tags"]["llmops:service"] == "chat"
    assert document["machines"]["region"] == REGION
    assert {"name": "Group/chat-gpu", "action": "create"} in document["objects"]
    assert scene.stage.calls("up") == []


def test_from_the_first_deploy_until_nothing_is_left(spec: Path, scene: Scene) -> None:
    deployed = run("deploy", "--yes", "-f", str(spec)).output
    for part in ("+ Group/chat-gpu", "USD an hour", "done: create chat-gpu", "making 1 x"):
        assert part in deployed
    assert remembered()["chat"].stack == STACK
    scene.stage.script(preview=["replace.jsonl"])
    planned = run("plan", "-f", str(spec)).output
    assert "+- Instance/chat-head" in planned
    assert "warn: target.replaces-serving: chat-head would be made anew" in planned
    gone = run("destroy", "chat", "--yes", "--purge").output
    assert "none" in gone
    assert "nothing of it stays" in gone
    assert BUCKET not in {one["Name"] for one in _kept(scene)}


def _kept(scene: Scene) -> list[dict[str, str]]:
    """Buckets that hold something still: the scripted `pulumi` deletes none."""
    s3 = scene.cloud.client("s3")
    return [b for b in s3.list_buckets()["Buckets"]
            if "Versions" in s3.list_object_versions(Bucket=b["Name"])]  # fmt: skip
