"""Updates while clients ask: each request is answered whole by one release, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.kubernetes.traffic import Traffic
from tests.support.hub import HubServer
from tests.support.program import Done

FEW = 5
"""Answers that traffic must have had before and after: fewer would show nothing."""
SECURITY = {"requests_per_minute": 100_000}


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    before = standin.latency.token
    standin.latency.token = 0.02
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("site")) as made:
        yield made
    standin.latency.token = before


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    done = deploy(site)
    assert done.code == 0, done.text
    return site


@pytest.fixture(scope="module")
def key(served: Site) -> str:
    made = served.desk.run("keys", "create", "chat", "-k", "clients", "-o", "json")
    return str(made.json()["key"])


@pytest.fixture
def settled(served: Site) -> Site:
    """The service as the first deploy had it: what an earlier test changed is taken back."""
    done = deploy(served)
    assert done.code == 0, done.text
    return served


def deploy(site: Site, **sections: Any) -> Done:
    wanted = {**sections, "security": {**SECURITY, **sections.get("security", {})}}
    return site.desk.deploy(site.desk.spec(**wanted))


def runtimes(site: Site) -> set[str]:
    return {one["metadata"]["labels"]["llmops/runtime"] for one in site.items("rayservices")}


def active(site: Site) -> str:
    found: str = site.one("service", "chat")["spec"]["selector"]["llmops/runtime"]
    return found


def newest(site: Site) -> int:
    """Number of the newest release, failed ones too."""
    told = site.desk.run("history", "chat", "-o", "json").json()["releases"]
    return int(told[-1]["number"])


def live(site: Site) -> int:
    [number] = [r["number"] for r in site.desk.status()["releases"] if r["share"] == 100]
    return int(number)


@contextmanager
def traffic(site: Site, key: str) -> Iterator[Traffic]:
    """Clients that have asked a few times before the block, and ask a few times after it."""
    with Traffic(site, key) as asking:

        def more(than: int) -> None:
            until("answers", lambda: len(asking.answers) >= than + FEW)

        more(0)
        yield asking
        more(len(asking.answers))
        more(len(asking.answers))


@contextmanager
def watched(site: Site) -> Iterator[list[tuple[int, str]]]:
    """How many RayServices there were, and which one the Service led to, looked at meanwhile."""
    seen: list[tuple[int, str]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            where = f"/namespaces/{site.namespace}"
            found = site.plane.look(f"/apis/ray.io/v1{where}/rayservices")
            door = site.plane.look(f"/api/v1{where}/services/chat")
            if found is not None and door is not None:
                leads = door["spec"]["selector"]["llmops/runtime"]
                seen.append((len(found["items"]), leads))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(30)


def test_a_change_of_limits_moves_traffic_inside_the_runtime(settled: Site, key: str) -> None:
    before, number, new = active(settled), live(settled), newest(settled) + 1
    with watched(settled) as seen, traffic(settled, key) as asking:
        done = deploy(settled, security={"max_tokens": 100})
    assert done.code == 0, done.text
    assert asking.problems == []
    assert asking.releases == [number, new]
    assert asking.went_back() == []
    assert set(seen) == {(1, before)}
    assert runtimes(settled) == {before}


def test_a_change_of_pods_moves_traffic_to_a_second_runtime(settled: Site, key: str) -> None:
    before, number, new = active(settled), live(settled), newest(settled) + 1
    with watched(settled) as seen, traffic(settled, key) as asking:
        done = deploy(settled, hardware={"cores": 3})
    assert done.code == 0, done.text
    after = active(settled)
    assert after != before
    assert asking.problems == []
    assert asking.releases == [number, new]
    assert asking.went_back() == []
    assert [leads for _, leads in seen] == sorted((s[1] for s in seen), key=(before, after).index)
    assert {2} <= {count for count, _ in seen} <= {1, 2}
    assert runtimes(settled) == {after}
    assert not settled.items("pods", f"llmops/runtime={before}")


def test_a_rollback_across_runtimes_loses_nothing_either(settled: Site, key: str) -> None:
    first, number, new = active(settled), live(settled), newest(settled) + 1
    done = deploy(settled, hardware={"cores": 4})
    assert done.code == 0, done.text
    with traffic(settled, key) as asking:
        back = settled.desk.run("rollback", "chat", "--yes")
    assert back.code == 0, back.text
    assert f"release {new + 1} repeats release {number}" in back.out
    assert asking.problems == []
    assert asking.releases == [new, new + 1]
    assert asking.went_back() == []
    assert active(settled) == first
    assert runtimes(settled) == {first}


@pytest.mark.parametrize(
    "change",
    [{"security": {"max_tokens": 101}}, {"hardware": {"cores": 5}}],
    ids=["inside the runtime", "in a second runtime"],
)
def test_a_release_that_fails_is_not_noticed(
    settled: Site, key: str, change: dict[str, Any]
) -> None:
    number, before, bad = live(settled), objects(settled), newest(settled) + 1
    name = f"chat-r{bad}"
    settled.standin.fail(name, "ValueError: the weights are cursed")
    try:
        with traffic(settled, key) as asking:
            done = deploy(settled, **change)
    finally:
        settled.standin.heal(name)
    assert done.code == 4, done.text
    assert "the weights are cursed" in done.err
    assert f"release {number} still serves" in done.err
    assert asking.problems == []
    assert asking.releases == [number]
    until("what there was before", lambda: objects(settled) == before)
    told = settled.desk.run("history", "chat", "-o", "json").json()["releases"][-1]
    assert (told["number"], told["state"]) == (bad, "failed")
    assert "the weights are cursed" in told["reason"]


def objects(site: Site) -> set[str]:
    """What is in the namespace but for events, and pods by role, since they may be replaced."""
    names = {n for n in site.names() if not n.startswith(("Event/", "Pod/", "Lease/"))}
    pods = [one["metadata"]["labels"] for one in site.items("pods")]
    roles = sorted(f"{one['llmops/runtime']} {one['llmops/role']}" for one in pods)
    return names | {f"{role} {at}" for at, role in enumerate(roles)}


def test_recreate_never_holds_two_and_says_so_to_clients(settled: Site, key: str) -> None:
    number = newest(settled) + 1
    with watched(settled) as seen, Traffic(settled, key) as asking:
        change = {"hardware": {"cores": 6}, "maintenance": {"strategy": "recreate"}}
        done = deploy(settled, **change)
        until("answers of the new release", lambda: number in asking.releases, 60)
    assert done.code == 0, done.text
    assert {count for count, _ in seen} <= {0, 1}
    assert asking.went_back() == []
    bad = [answer for answer in asking.answers if answer.problem]
    # A stream that had begun when its release went is told so: its head was sent before.
    told = [answer for answer in bad if answer.stream and '"error"' in answer.ending]
    assert {answer.status for answer in bad if answer not in told} <= {0, 502, 503, 404}, bad
    assert live(settled) == number
