"""What breaks while a deploy runs: it says so, with the right code, and the next run goes on."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from clusters import steps
from clusters.target import ClusterTarget
from llmops import workflow
from llmops.errors import TargetError
from llmops.spec import load
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer

pytestmark = pytest.mark.timeout(300)

LONG = 120
"""Seconds in which any command has ended."""
STILL_SERVES, NOTHING_SERVES, INTERRUPTED = 4, 5, 130
KEPT = {"ConfigMap/chat-releases", "Lease/chat-llmops"}
GIVEN = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}


@pytest.fixture
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """A namespace for each test: what a fault leaves is nobody else's trouble."""
    hub.use(monkeypatch)
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("faults")) as made:
        monkeypatch.setenv("KUBECONFIG", str(made.desk.kubeconfig))
        yield made
        standin.thaw()
        standin.delay(0.1)
        standin.delays.tables.clear()
        for number in (1, 2):
            standin.heal(f"chat-r{number}")


@pytest.fixture
def served(site: Site) -> Site:
    """With the service deployed."""
    assert_deployed(site)
    return site


def assert_deployed(site: Site, **sections: Any) -> None:
    """The deploy goes through, and its release serves alone."""
    done = site.desk.deploy(site.desk.spec(**sections))
    assert done.code == 0, done.text
    status = site.desk.status()
    shown = {one["number"]: (one["state"], one["share"]) for one in status["releases"]}
    assert list(shown.values()) == [("live", 100)], status


def assert_serves(site: Site, number: int) -> None:
    """The release has all traffic, and answers."""
    shares = {one["number"]: one["share"] for one in site.desk.status()["releases"]}
    assert shares[number] == 100
    key = site.desk.run(
        "keys", "create", "chat", "-k", f"probe-{time.time_ns()}", "-o", "json"
    ).json()
    answer = site.ask(key["key"])
    assert answer.status_code == 200, answer.text
    assert f"r{number}." in answer.json()["choices"][0]["text"]


def assert_clear(text: str, *words: str) -> None:
    """A message for people, that says what happened."""
    assert "Traceback" not in text
    assert "unexpected" not in text
    for word in words:
        assert word in text, text


def start(site: Site, **sections: Any) -> subprocess.Popen[str]:
    return site.desk.start("deploy", "-f", site.desk.spec(**sections), "--yes")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=LONG)
    return process.returncode, text


def states(site: Site) -> list[tuple[int, str]]:
    found = site.desk.run("history", "chat", "-o", "json").json()["releases"]
    return [(one["number"], one["state"]) for one in found]


def stages(site: Site, number: int) -> bool:
    """Whether the release has been written into a RayService."""
    found = site.items("rayservices")
    return any(f"chat-r{number}" in one["spec"]["serveConfigV2"] for one in found)


def left(site: Site) -> set[str]:
    """Everything in the namespace but events and what it came with."""
    found = {name for name in site.names() if not name.startswith("Event/")}
    return found - GIVEN


# The API server


def test_a_first_deploy_whose_api_server_dies_says_so_and_is_gone_on_with(site: Site) -> None:
    site.standin.delay(5.0)
    process = start(site)
    until("the RayService", lambda: stages(site, 1), LONG)
    print("killed the API server, pid", site.plane.stop_api_server())
    try:
        code, text = ended(process)
    finally:
        site.plane.start_api_server()
    assert code == NOTHING_SERVES, text
    assert_clear(text, "the API server", "hint:")
    site.standin.delay(0.1)
    assert_deployed(site)
    assert states(site) == [(1, "live")]


def test_an_update_whose_api_server_dies_leaves_the_last_good_release(served: Site) -> None:
    served.standin.delay(5.0)
    process = start(served, security={"requests_per_minute": 50})
    until("the new release", lambda: stages(served, 2), LONG)
    print("killed the API server, pid", served.plane.stop_api_server())
    try:
        code, text = ended(process)
    finally:
        served.plane.start_api_server()
    assert code == STILL_SERVES, text
    assert_clear(text, "the API server", "hint:")
    until("the release", lambda: served.desk.run("status", "chat").code == 0)
    assert_serves(served, 1)
    served.standin.delay(0.1)
    assert_deployed(served, security={"requests_per_minute": 50})
    assert states(served) == [(1, "retired"), (2, "live")]


# KubeRay


def test_a_first_deploy_without_an_operator_ends_at_its_deadline(site: Site) -> None:
    site.standin.freeze()
    done = site.desk.deploy(site.desk.spec(maintenance={"start_deadline": "6s"}))
    assert done.code == NOTHING_SERVES, done.text
    assert_clear(done.text, "KubeRay", "stage took more than 6 s", "nothing serves")
    assert left(site) == KEPT
    site.standin.thaw()
    assert_deployed(site, maintenance={"start_deadline": "3min"})


def test_an_update_without_an_operator_leaves_the_last_good_release(served: Site) -> None:
    served.standin.freeze()
    short = {"start_deadline": "6s"}
    done = served.desk.deploy(served.desk.spec(maintenance=short, hardware={"memory": "6GiB"}))
    assert done.code == STILL_SERVES, done.text
    assert_clear(done.text, "KubeRay", "stage took more than 6 s", "release 1 still serves")
    assert_serves(served, 1)
    assert len(served.items("rayservices")) == 1
    served.standin.thaw()
    assert_deployed(served, hardware={"memory": "6GiB"})


# The gateways


def test_a_gateway_that_never_takes_the_table_over_stops_the_update(
    served: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "HANDOVER_SECONDS", 4.0)
    stuck = served.items("pods", "llmops/role=gateway")[0]["metadata"]["name"]
    served.standin.delays.tables[stuck] = 1e9
    changed: dict[str, Any] = {"security": {"requests_per_minute": 51}}
    deployment = load([served.desk.spec(**changed)])
    target = ClusterTarget(served.desk.home, None, served.namespace)
    with pytest.raises(TargetError) as failed:
        for _ in workflow.deploy(target, deployment):
            pass
    assert failed.value.exit_code == STILL_SERVES
    assert_clear(failed.value.message, "took more than 4 s", "gateways", "release 1 still serves")
    assert_serves(served, 1)
    served.standin.delays.tables.clear()
    assert_deployed(served, **changed)


# The engine


def test_a_first_release_that_does_not_start_leaves_its_record_and_the_lock(site: Site) -> None:
    site.standin.fail("chat-r1", "Traceback…\nValueError: no room for the KV cache")
    done = site.desk.deploy(site.desk.spec())
    assert done.code == NOTHING_SERVES, done.text
    assert "ValueError: no room for the KV cache; nothing serves" in done.err
    assert left(site) == KEPT
    assert states(site) == [(1, "failed")]
    site.standin.heal("chat-r1")
    assert_deployed(site)
    assert states(site) == [(1, "failed"), (2, "live")]


# The desk


def test_the_lock_of_a_process_that_was_killed_is_free_at_once(site: Site) -> None:
    site.standin.delay(5.0)
    process = start(site)
    until("the RayService", lambda: stages(site, 1), LONG)
    process.send_signal(signal.SIGKILL)
    process.wait(LONG)
    print("killed the deploy, pid", process.pid)
    [lease] = site.items("leases")
    assert f"/{process.pid}/" in lease["spec"]["holderIdentity"]
    gone = site.desk.run("destroy", "chat", "--yes")
    assert gone.code == 0, gone.text
    assert "waiting" not in gone.err  # for a sign of life
    assert left(site) == KEPT


def test_one_interrupt_takes_back_what_was_half_done(served: Site) -> None:
    served.standin.delay(20.0)
    process = start(served, hardware={"memory": "6GiB"})
    until("the new release", lambda: stages(served, 2), LONG)
    process.send_signal(signal.SIGINT)
    code, text = ended(process)
    assert code == INTERRUPTED, text
    assert_clear(text, "interrupted: taking back what was half done")
    assert states(served) == [(1, "live"), (2, "failed")]
    assert len(served.items("rayservices")) == 1
    served.standin.delay(0.1)
    assert_deployed(served, hardware={"memory": "6GiB"})
    assert states(served) == [(1, "retired"), (2, "failed"), (3, "live")]


def test_two_interrupts_end_it_at_once_and_the_next_run_goes_on(site: Site) -> None:
    site.standin.delay(20.0)
    process = start(site)
    until("the RayService", lambda: stages(site, 1), LONG)
    site.standin.freeze()  # so that taking back takes its time
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    code, text = ended(process)
    assert code == INTERRUPTED, text
    assert_clear(text, "interrupted")
    site.standin.thaw()
    site.standin.delay(0.1)
    assert_deployed(site)


# The namespace


def test_a_namespace_that_is_deleted_under_a_deploy_is_named(site: Site) -> None:
    site.standin.delay(20.0)
    process = start(site)
    until("the RayService", lambda: stages(site, 1), LONG)
    site.plane.kubectl("delete", "namespace", site.namespace, "--wait=false")
    code, text = ended(process)
    assert code == NOTHING_SERVES, text
    assert_clear(text, site.namespace)
    refused = site.desk.deploy(site.desk.spec())
    assert refused.code in (2, 3, NOTHING_SERVES), refused.text
    assert_clear(refused.text, site.namespace)
    path = f"/api/v1/namespaces/{site.namespace}"
    until("the namespace's end", lambda: site.plane.look(path) is None, LONG)
    site.plane.kubectl("create", "namespace", site.namespace)
    site.standin.delay(0.1)
    assert_deployed(site)
