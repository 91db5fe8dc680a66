"""What Serve's words for an application mean for a release."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmops.releases import History, Phase, State
from serving.local import members
from serving.local.members import Members
from serving.local.runtime import Runtime, missing, phase_of
from serving.local.store import FileReleaseStore
from serving.serve_config import application_name
from tests.local.releases import release


@pytest.mark.parametrize(
    ("status", "failure", "phase"),
    [
        ("RUNNING", False, Phase.READY),
        ("RUNNING", True, Phase.READY),
        ("DEPLOYING", False, Phase.STARTING),
        ("DEPLOY_FAILED", False, Phase.FAILED),
        ("UNHEALTHY", False, Phase.STARTING),
        ("UNHEALTHY", True, Phase.FAILED),
        ("DELETING", False, Phase.ABSENT),
    ],
)
def test_a_replica_that_died_is_started_anew_before_the_release_has_failed(
    status: str, failure: bool, phase: Phase
) -> None:
    assert phase_of(status, failure) is phase


@pytest.mark.parametrize(
    ("state", "running", "wanted", "missed"),
    [
        (State.STAGING, 1, 3, "1 of 3 replicas answer"),
        (State.STAGING, 3, 3, None),
        (State.STAGING, 1, None, None),
        (State.LIVE, 1, 3, None),
    ],
)
def test_a_release_on_its_way_is_not_there_before_all_its_replicas_are(
    state: State, running: int, wanted: int | None, missed: str | None
) -> None:
    states = ["RUNNING"] * running + ["STARTING"]
    scaling = None if wanted is None else {"replicas": wanted}
    app = {"replicas": [{"state": one} for one in states], "scaling": scaling}
    assert missing(app, replace(release("chat", 4), state=state)) == missed


@pytest.mark.parametrize(
    ("table", "phase"),
    [
        ({"3": 100, "4": 0}, Phase.READY),
        ({"3": 100}, Phase.STARTING),
        (None, Phase.READY),
    ],
    ids=["known", "not yet known", "no gateway tells"],
)
def test_a_release_that_the_gateway_has_not_heard_of_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: dict[str, int] | None, phase: Phase
) -> None:
    """Serve runs it, and the command that would have waited for the gateway was killed."""
    store = FileReleaseStore(tmp_path / "releases")
    history = History(
        "chat", (release("chat", 3), replace(release("chat", 4), state=State.STAGING))
    )
    store.write(history, store.read("chat")[1])
    members.write(tmp_path / "members.json", Members({("chat", 3): 100, ("chat", 4): 0}, 7))
    apps = {application_name("chat", number): {"status": "RUNNING", "message": "", "replicas": []}
            for number in (3, 4)}  # fmt: skip
    gateway = None if table is None else {"services": {"chat": {"releases": table}}}
    runtime = Runtime(tmp_path, store, lambda: "1")
    monkeypatch.setattr(runtime, "state", lambda: {"applications": apps, "gateway": gateway})
    assert {seen.number: seen.phase for seen in runtime.seen("chat")}[4] is phase
