"""What Serve's words for an application mean for a release."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmops.releases import Phase, State
from serving.local.runtime import missing, phase_of
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
