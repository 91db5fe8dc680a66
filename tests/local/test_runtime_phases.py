"""What Serve's words for an application mean for a release."""

from __future__ import annotations

import pytest

from llmops.releases import Phase
from serving.local.runtime import phase_of


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
