"""What is read from a cluster's own objects, and what is refused when they were damaged."""

from __future__ import annotations

import copy

import pytest

from clusters.desired import with_release
from clusters.live import read_live
from clusters.model import Manifest
from llmops.errors import TargetError
from llmops.releases import Phase
from tests.clusters.test_desired import TWO, serving, shown


def found(**statuses: str) -> list[Manifest]:
    rayservices, _ = shown(with_release(serving(), TWO))
    for one in rayservices:
        applications = {
            name.replace("_", "-"): {"status": status, "message": f"{status}!"}
            for name, status in statuses.items()
        }
        one["status"] = {
            "activeServiceStatus": {"rayClusterName": "c", "applicationStatuses": applications}
        }
    return rayservices


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("RUNNING", Phase.READY),
        ("DEPLOYING", Phase.STARTING),
        ("NOT_STARTED", Phase.STARTING),
        ("DEPLOY_FAILED", Phase.FAILED),
        ("UNHEALTHY", Phase.STARTING),
        ("SOMETHING_NEW", Phase.STARTING),
    ],
)
def test_a_serve_applications_state_is_a_releases_phase(status: str, phase: Phase) -> None:
    (runtime,) = read_live("chat", found(chat_r1=status), None).runtimes
    release = runtime.find(1)
    assert release is not None
    assert release.phase is phase
    assert release.message == f"{status}!"


def test_a_release_that_kuberay_does_not_show_yet_is_starting() -> None:
    (runtime,) = read_live("chat", found(chat_r1="RUNNING"), None).runtimes
    assert runtime.find(2).phase is Phase.STARTING  # type: ignore[union-attr]


def test_an_application_that_nobody_wants_any_more_is_on_its_way_out() -> None:
    (runtime,) = read_live("chat", found(chat_r9="DELETING"), None).runtimes
    assert runtime.find(9).phase is Phase.ABSENT  # type: ignore[union-attr]
    assert runtime.numbers == (1, 2)


def test_the_gateways_application_is_no_release() -> None:
    (runtime,) = read_live("chat", found(llmops_gateway="RUNNING"), None).runtimes
    assert {release.number for release in runtime.releases} == {1, 2}


def test_the_service_says_which_runtime_clients_reach() -> None:
    rayservices, door = shown(serving())
    assert read_live("chat", rayservices, door).active == serving().active
    assert read_live("chat", rayservices, None).active == ""
    elsewhere = copy.deepcopy(door)
    elsewhere["spec"]["selector"]["llmops/runtime"] = "gone"
    assert read_live("chat", rayservices, elsewhere).active == ""


@pytest.mark.parametrize("text", ["", "[", "applications: 3", "{}", "other: []"])
def test_a_config_that_was_edited_by_hand_is_not_guessed_at(text: str) -> None:
    rayservices, door = shown(serving())
    rayservices[0]["spec"]["serveConfigV2"] = text
    with pytest.raises(TargetError, match="cannot be read: it was edited by hand"):
        read_live("chat", rayservices, door)
