"""Several writers at once: one wins, others are told who, and no edit is written over unseen."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusters.client import Client
from clusters.kubeconfig import find
from clusters.store import ConfigMapReleaseStore
from clusters.target import ClusterTarget
from llmops import workflow
from llmops.errors import BusyError, LlmopsError
from llmops.events import Planned
from llmops.releases import Conflict, History, State
from llmops.spec import load
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.releases.plans import SERVICE, release
from tests.support.hub import HubServer

pytestmark = pytest.mark.timeout(300)

WRITERS, WRITES = 8, 5
BUSY = 3
LONG = 120
"""Seconds in which any command has ended."""


@pytest.fixture(scope="module")
def shared(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("races")) as made:
        yield made


@pytest.fixture
def site(shared: Site, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The namespace, reached by this process too; without the service and its record at the end."""
    hub.use(monkeypatch)
    monkeypatch.setenv("KUBECONFIG", str(shared.desk.kubeconfig))
    yield shared
    shared.standin.delay(0.1)
    shared.desk.run("destroy", SERVICE, "--yes")
    shared.kubectl("delete", "configmap,lease", "--selector=llmops/service", "--ignore-not-found")


@pytest.fixture
def served(site: Site) -> Site:
    """With the service deployed."""
    done = site.desk.deploy(site.desk.spec())
    assert done.code == 0, done.text
    return site


def target_of(site: Site) -> ClusterTarget:
    return ClusterTarget(site.desk.home, None, site.namespace)


def holder(site: Site) -> str:
    """Who holds the lock, as kubectl shows it; empty when nobody does."""
    leases = site.items("leases")
    return str(leases[0]["spec"].get("holderIdentity", "")) if leases else ""


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    text, _ = process.communicate(timeout=LONG)
    return process.returncode, text


def history(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.desk.run("history", SERVICE, "-o", "json").json()["releases"]
    return found


# The lock


def test_of_two_deploys_at_once_one_wins_and_the_other_is_told_who(site: Site) -> None:
    site.standin.delay(4.0)
    spec = site.desk.spec()
    both = [site.desk.start("deploy", "-f", spec, "--yes") for _ in range(2)]
    (lost, told), (won, text) = sorted(map(ended, both), reverse=True)
    assert (won, lost) == (0, BUSY), told + text
    winner = next(process for process in both if process.returncode == 0)
    assert f"{SERVICE} is being deployed by" in told
    assert f"(pid {winner.pid})" in told
    assert "Traceback" not in told
    assert [(one["number"], one["state"]) for one in history(site)] == [(1, "live")]
    assert holder(site) == ""


def test_whoever_comes_second_is_told_at_once(site: Site) -> None:
    site.standin.delay(6.0)
    first = site.desk.start("deploy", "-f", site.desk.spec(), "--yes")
    until("the RayService", lambda: site.names("rayservices") != set(), LONG)
    assert f"/{first.pid}/" in holder(site)
    late = target_of(site)
    late.client.version()  # the connection is there, as is the program
    began = time.monotonic()
    with pytest.raises(BusyError, match=rf"\(pid {first.pid}\)"), late.lock(SERVICE, "destroyed"):
        pytest.fail("two hold the lock")
    assert time.monotonic() - began < 10
    refused = site.desk.run("destroy", SERVICE, "--yes")
    again = site.desk.run("rollback", SERVICE, "--yes")
    assert (refused.code, again.code) == (BUSY, BUSY), refused.text + again.text
    assert f"(pid {first.pid})" in refused.err
    code, text = ended(first)
    assert code == 0, text
    gone = site.desk.run("destroy", SERVICE, "--yes")
    assert gone.code == 0, gone.text


def test_of_many_threads_that_deploy_one_gets_through(served: Site) -> None:
    start, results = threading.Barrier(4), []
    specs = [load([served.desk.spec(security={"requests_per_minute": 70 + n})]) for n in range(4)]

    def deploy(index: int) -> None:
        mine = target_of(served)
        start.wait(30)
        try:
            for _ in workflow.deploy(mine, specs[index]):
                pass
            results.append("done")
        except BusyError as error:
            results.append(error.message)

    threads = [threading.Thread(target=deploy, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    refused = [text for text in results if text.startswith(f"{SERVICE} is being deployed by")]
    assert len(refused) + results.count("done") == len(results) == 4, results
    states = [one["state"] for one in history(served)]
    assert states == ["retired"] * results.count("done") + ["live"]


def test_writers_at_the_same_time_lose_no_release(site: Site) -> None:
    """Without the lock: the record itself gives each number once."""
    access = find(None, site.desk.environment)

    def write(index: int) -> None:
        kept = ConfigMapReleaseStore(Client.of(access), site.namespace)
        for _ in range(WRITES):
            _append(kept, f"writer {index}")

    threads = [threading.Thread(target=write, args=(index,)) for index in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    found = ConfigMapReleaseStore(Client.of(access), site.namespace).read("racing")[0].releases
    assert [one.number for one in found] == list(range(1, WRITERS * WRITES + 1))
    wrote = [one.reason for one in found]
    assert {wrote.count(f"writer {index}") for index in range(WRITERS)} == {WRITES}


def _append(kept: ConfigMapReleaseStore, reason: str) -> None:
    """Record a release as the flow does: read, edit, and again when another was quicker."""
    for _ in range(500):
        now, version = kept.read("racing")
        made = release(now.next_number, State.FAILED, service="racing", reason=reason)
        try:
            kept.write(History("racing", (*now.releases, made)), version)
        except Conflict:
            continue
        return
    pytest.fail("never got through")


# Edits behind our back


def edit_between(site: Site, edit: Callable[[], object], **sections: Any) -> LlmopsError | None:
    """Deploy, with an edit by somebody else after the plan was shown; why it was refused."""

    def confirm(_: Planned) -> bool:
        edit()
        return True

    deployment = load([site.desk.spec(**sections)])
    try:
        for _ in workflow.deploy(target_of(site), deployment, confirm=confirm):
            pass
    except LlmopsError as error:
        return error
    return None


def runtime(site: Site) -> str:
    return str(site.items("rayservices")[0]["metadata"]["name"])


def test_a_release_edited_since_the_plan_is_not_written_over(served: Site) -> None:
    name = runtime(served)
    config = served.one("rayservice", name)["spec"]["serveConfigV2"]
    edited = config.replace("requests_per_minute: 600", "requests_per_minute: 6")
    assert edited != config
    patch = json.dumps({"spec": {"serveConfigV2": edited}})

    def edit() -> None:
        served.kubectl("patch", "rayservice", name, "--type=merge", "-p", patch)

    refused = edit_between(served, edit, security={"requests_per_minute": 42})
    assert refused is not None
    assert refused.exit_code == 3
    assert "has changed" in refused.message
    assert served.one("rayservice", name)["spec"]["serveConfigV2"] == edited
    assert [one["state"] for one in history(served)] == ["live"]
    assert "serveConfigV2" in served.desk.run("diff", SERVICE).text


def test_a_field_that_others_took_since_the_plan_is_named_and_kept(served: Site) -> None:
    budget = f"{runtime(served)}-replica"
    patch = '{"spec": {"minAvailable": 0}}'

    def edit() -> None:
        served.kubectl("patch", "pdb", budget, "--type=merge", "-p", patch)

    refused = edit_between(served, edit, security={"requests_per_minute": 43})
    assert refused is not None
    assert refused.exit_code == 4
    assert "minAvailable" in refused.message
    assert "kubectl-patch" in refused.message
    assert "release 1 still serves" in refused.message
    assert served.one("pdb", budget)["spec"]["minAvailable"] == 0
    assert "minAvailable" in served.desk.run("diff", SERVICE).text
    assert {one["number"]: one["share"] for one in served.desk.status()["releases"]}[1] == 100


def test_what_others_add_since_the_plan_stays_and_the_deploy_goes_on(served: Site) -> None:
    def edit() -> None:
        served.kubectl("label", "service", SERVICE, "team=blue")
        served.kubectl("annotate", "networkpolicy", f"{SERVICE}-dns", "looked-at=today")

    refused = edit_between(served, edit, security={"requests_per_minute": 44})
    assert refused is None, refused
    assert served.one("service", SERVICE)["metadata"]["labels"]["team"] == "blue"
    policy = served.one("networkpolicy", f"{SERVICE}-dns")
    assert policy["metadata"]["annotations"]["looked-at"] == "today"
    assert [one["state"] for one in history(served)] == ["retired", "live"]


class Meddler:
    """A client before whose first write of an object somebody else writes it."""

    def __init__(self, client: Any, name: str, edit: Callable[[], object]) -> None:
        self._client = client
        self._name = name
        self._edit = edit
        self.edited = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def apply(self, manifest: dict[str, Any], **options: Any) -> Any:
        if manifest["metadata"]["name"] == self._name and not self.edited.is_set():
            self.edited.set()
            self._edit()
        return self._client.apply(manifest, **options)


def test_an_edit_in_the_very_moment_of_writing_is_not_written_over(served: Site) -> None:
    budget = f"{runtime(served)}-replica"
    patch = '{"spec": {"minAvailable": 0}}'

    def edit() -> None:
        served.kubectl("patch", "pdb", budget, "--type=merge", "-p", patch)

    mine = target_of(served)
    meddler = Meddler(mine.client, budget, edit)
    mine.client = meddler
    deployment = load([served.desk.spec(security={"requests_per_minute": 45})])
    with pytest.raises(LlmopsError) as refused:
        for _ in workflow.deploy(mine, deployment):
            pass
    assert meddler.edited.is_set()
    assert refused.value.exit_code == 4
    assert "release 1 still serves" in refused.value.message
    assert served.one("pdb", budget)["spec"]["minAvailable"] == 0
    assert {one["number"]: one["share"] for one in served.desk.status()["releases"]}[1] == 100
