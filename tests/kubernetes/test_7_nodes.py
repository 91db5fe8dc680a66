"""`llmops cluster`: nodes looked at, cordoned, and emptied without losing a request.

One service walks from node to node: its replicas stand on two nodes that only they may use, head
and gateways on two others.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from serving.serve_config import application_name
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Json, Site, open_site
from tests.kubernetes.standin import StandIn
from tests.kubernetes.traffic import Traffic
from tests.support.hub import HubServer
from tests.support.program import Done

POOL = "replicas-of-test-7"
TAINT = {"key": "pool", "value": POOL, "effect": "NoSchedule"}
OWN: Json = {"cpu": 16, "memory": "64Gi", "labels": {"pool": POOL}, "taints": [TAINT]}
PLAIN: Json = {"cpu": 32, "memory": "128Gi", "labels": {"pool": "plain-of-test-7"}}
TARGET = {"node_selector": {"pool": POOL}, "tolerations": [{"key": "pool"}]}
REPLICAS = 2
FEW = 5
"""Answers that traffic must have had before, during and after."""


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    nodes = (OWN, OWN, PLAIN, PLAIN)
    folder = tmp_path_factory.mktemp("site")
    with open_site(control_plane, standin, hub, folder, nodes=nodes) as made:
        yield made


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    """The service, with all its replicas on one node."""
    _, second = nodes(site, POOL)
    site.kubectl("cordon", second)
    spec = site.desk.spec(
        target={"namespace": site.namespace, **TARGET},
        scaling={"replicas": REPLICAS},
        security={"requests_per_minute": 100_000},
    )
    done = site.desk.deploy(spec)
    assert done.code == 0, done.text
    return site


@pytest.fixture(scope="module")
def key(served: Site) -> str:
    made = served.desk.run("keys", "create", "chat", "-k", "clients", "-o", "json")
    return str(made.json()["key"])


@pytest.fixture
def walker(served: Site) -> Iterator[Site]:
    """The service at rest, and every node of the test open to pods."""
    served.kubectl("uncordon", *nodes(served, POOL), *nodes(served, "plain-of-test-7"))
    yield served
    assert served.standin.problems == []


def nodes(site: Site, pool: str) -> tuple[str, str]:
    found = site.plane.api("GET", f"/api/v1/nodes?labelSelector=pool%3D{pool}")["items"]
    first, second = sorted(node["metadata"]["name"] for node in found)
    return first, second


def pods(site: Site, service: str = "chat") -> list[Json]:
    where = f"/api/v1/namespaces/{site.namespace}/pods"
    found = site.plane.api("GET", f"{where}?labelSelector=llmops%2Fservice%3D{service}")
    return list(found["items"])


def on(site: Site, node: str, role: str = "") -> list[str]:
    """Names of the service's pods on a node."""
    return [
        pod["metadata"]["name"]
        for pod in pods(site)
        if pod["spec"].get("nodeName") == node
        and role in ("", pod["metadata"]["labels"]["llmops/role"])
    ]


def head(site: Site, service: str) -> Json:
    [found] = [p for p in pods(site, service) if p["metadata"]["labels"]["llmops/role"] == "head"]
    return found


def where(site: Site) -> tuple[str, str]:
    """The node that all replicas are on, and the other one that they may use."""
    first, second = nodes(site, POOL)
    there, other = (first, second) if on(site, first, "replica") else (second, first)
    assert len(on(site, there, "replica")) == REPLICAS
    assert on(site, other) == []
    return there, other


def busy(site: Site) -> str:
    """A node with replicas: where a runtime was made anew, each may have a node of its own."""
    return max(nodes(site, POOL), key=lambda node: len(on(site, node, "replica")))


def drain(site: Site, node: str, *more: str) -> Done:
    return site.desk.run("cluster", "drain", node, "--yes", *more)


def is_cordoned(site: Site, node: str) -> bool:
    return bool(site.plane.api("GET", f"/api/v1/nodes/{node}")["spec"].get("unschedulable"))


def releases(site: Site) -> list[Json]:
    found: list[Json] = site.desk.run("history", "chat", "-o", "json").json()["releases"]
    return found


def live(site: Site) -> Json:
    [found] = [release for release in releases(site) if release["state"] == "live"]
    return found


def test_replicas_are_verified_elsewhere_before_the_old_ones_go(
    walker: Site, key: str, standin: StandIn
) -> None:
    node, other = where(walker)
    old, since, before = on(walker, node, "replica"), walker.plane.audit.mark(), live(walker)
    before_latency, standin.latency.token = standin.latency.token, 0.02
    with Traffic(walker, key) as asking:
        until("answers", lambda: len(asking.answers) >= FEW)
        done = drain(walker, node)
        count = len(asking.answers)
        until("answers", lambda: len(asking.answers) >= count + 2 * FEW)
    standin.latency.token = before_latency
    assert done.code == 0, done.text

    assert asking.problems == []
    assert asking.releases == [before["number"], before["number"] + 1]
    assert asking.went_back() == []
    asked = standin.total(application_name("chat", before["number"]))
    assert (asked.finished > FEW, asked.died) == (True, 0)
    assert (on(walker, node), len(on(walker, other, "replica"))) == ([], REPLICAS)
    assert is_cordoned(walker, node)

    gone = {w.name: w.at for w in walker.plane.audit.writes(since=since, namespace=walker.namespace)
            if (w.verb, w.resource) == ("delete", "pods")}  # fmt: skip
    assert gone.keys() >= set(old)
    first_gone = min(datetime.fromisoformat(gone[pod]).timestamp() for pod in old)
    assert live(walker)["verified_at"] < first_gone


def test_a_second_drain_writes_nothing(walker: Site) -> None:
    node, _ = where(walker)
    assert drain(walker, node).code == 0
    again: list[Done] = []
    assert walker.writes_during(lambda: again.append(drain(walker, node))) == []
    assert again[0].code == 0
    assert "was drained already" in again[0].out


def test_a_drain_without_room_elsewhere_is_refused_and_changes_nothing(walker: Site) -> None:
    node, other = where(walker)
    walker.plane.kubectl("apply", "-f", "-", input=json.dumps(_filler(other)))
    try:
        refused: list[Done] = []
        assert walker.writes_during(lambda: refused.append(drain(walker, node))) == []
    finally:
        walker.plane.kubectl("delete", "pod", "filler", "--grace-period=0", "--force")
    assert refused[0].code == 3
    assert f"1 of {REPLICAS} pods (replica of chat: " in refused[0].err
    assert f"{other} has " in refused[0].err
    assert "hint: free 1 x replica of chat" in refused[0].err
    assert not is_cordoned(walker, node)
    assert len(on(walker, node, "replica")) == REPLICAS


def _filler(node: str) -> Json:
    """Somebody else's pod, which leaves room for one replica and no more."""
    requests = {"cpu": "12"}
    container = {"name": "c", "image": "i", "resources": {"requests": requests}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "filler", "namespace": "default"},
        "spec": {
            "nodeName": node,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
        },
    }


MOMENTS = ("done: cordon", "stage: ", "done: stage", "done: verify", "done: shift")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_drain_that_was_killed_is_gone_on_with(walker: Site, moment: str) -> None:
    node, other = where(walker)
    before = live(walker)["number"]
    assert kill_at(walker, node, moment, signal.SIGKILL) == -signal.SIGKILL
    assert is_cordoned(walker, node)
    assert on(walker, node, "replica"), "nothing was left to do: the kill came too late"

    done = drain(walker, node)
    assert done.code == 0, done.text
    assert (on(walker, node), len(on(walker, other))) == ([], REPLICAS)
    assert live(walker)["number"] > before
    assert [r["state"] for r in releases(walker)].count("staging") == 0
    assert len(walker.items("rayservices")) == 1
    [status] = walker.desk.status()["releases"]
    assert (status["share"], status["replicas"]) == (100, REPLICAS)


def test_an_interrupt_takes_back_what_was_half_done_and_says_how_to_go_on(walker: Site) -> None:
    node, other = where(walker)
    before = live(walker)["number"]
    walker.standin.delay(30)
    try:
        told: list[str] = []
        assert kill_at(walker, node, "stage: ", signal.SIGINT, told) == 130
    finally:
        walker.standin.delay(0.1)
    assert f"llmops cluster uncordon {node}" in "".join(told)
    assert is_cordoned(walker, node)
    assert live(walker)["number"] == before
    until("its pods go", lambda: on(walker, other) == [])
    assert len(on(walker, node, "replica")) == REPLICAS


def kill_at(
    site: Site, node: str, moment: str, how: signal.Signals, told: list[str] | None = None
) -> int:
    """Begin a drain, and end its process when it says that it has come so far; its exit code."""
    process = site.desk.start("cluster", "drain", node, "--yes")
    assert process.stdout is not None
    for line in process.stdout:
        print(f"{process.pid}: {line}", end="")
        if line.startswith(moment):
            process.send_signal(how)
            break
    rest = process.stdout.read()
    if told is not None:
        told.append(rest)
    return process.wait(60)


def head_node(site: Site) -> tuple[str, str]:
    """The node that the head is on, and the other one that head and gateways may use."""
    first, second = nodes(site, "plain-of-test-7")
    return (first, second) if on(site, first, "head") else (second, first)


def test_gateways_leave_as_disruption_budgets_allow(walker: Site) -> None:
    _, node = head_node(walker)
    _have_gateway_on(walker, node)
    ours = on(walker, node, "gateway")
    before, since = live(walker)["number"], walker.plane.audit.mark()
    [budget] = [b for b in walker.names("poddisruptionbudgets") if b.endswith("-gateway")]
    keep(walker, budget, 2)
    until("the budget", lambda: _allowed(walker, budget) == 0)

    process = walker.desk.start("cluster", "drain", node, "--yes")
    assert process.stdout is not None
    refusal = next(line for line in process.stdout if "may not be evicted now" in line)
    assert "disruption budget" in refusal
    assert set(on(walker, node, "gateway")) == set(ours)
    keep(walker, budget, 1)
    rest = process.stdout.read()
    assert process.wait(60) == 0, rest

    assert on(walker, node) == []
    assert live(walker)["number"] == before, "gateways go without a new release"
    evictions = [w for w in walker.plane.audit.writes(since=since) if w.resource == "pods/eviction"]
    codes = [w.code for w in evictions if w.name in ours]
    assert codes[0] == 429
    assert codes.count(201) == len(ours)


def keep(site: Site, budget: str, least: int) -> None:
    patch = json.dumps({"spec": {"minAvailable": least}})
    site.kubectl("patch", budget.lower(), "--type=merge", f"--patch={patch}")


def _allowed(site: Site, budget: str) -> int:
    found = site.one(*budget.lower().split("/"))["status"]
    return int(found["disruptionsAllowed"])


def _have_gateway_on(site: Site, node: str) -> None:
    """Have a gateway on a node by deleting one elsewhere, where the scheduler put none there."""
    elsewhere, _ = head_node(site)
    if on(site, node, "gateway"):
        return
    site.kubectl("cordon", elsewhere)
    site.kubectl("delete", "pod", on(site, elsewhere, "gateway")[0])
    until("a gateway there", lambda: len(on(site, node, "gateway")) == 1)
    site.kubectl("uncordon", elsewhere)


def test_a_head_on_the_node_has_the_release_move_into_another_runtime(
    walker: Site, key: str
) -> None:
    node, other = head_node(walker)
    [before] = walker.items("rayservices")
    with Traffic(walker, key) as asking:
        until("answers", lambda: len(asking.answers) >= FEW)
        done = drain(walker, node)
        count = len(asking.answers)
        until("answers", lambda: len(asking.answers) >= count + 2 * FEW)
    assert done.code == 0, done.text
    assert "moves into a new runtime (its head is here" in done.err
    assert asking.problems == []
    [after] = walker.items("rayservices")
    assert after["metadata"]["name"] != before["metadata"]["name"]
    assert on(walker, node) == []
    assert len(on(walker, other, "head")) == 1


def test_a_head_whose_state_is_in_redis_is_evicted(walker: Site) -> None:
    first, second = nodes(walker, "plain-of-test-7")
    walker.kubectl("cordon", second)
    spec = walker.desk.spec(
        "kept",
        target={
            "namespace": walker.namespace, **TARGET, "redis": {"address": "redis://redis.llm:6379"}
        },
    )  # fmt: skip
    deployed = walker.desk.deploy(spec)
    assert deployed.code == 0, deployed.text
    before = head(walker, "kept")
    assert before["spec"]["nodeName"] == first
    walker.kubectl("uncordon", second)

    done = drain(walker, first)
    assert done.code == 0, done.text
    moved = head(walker, "kept")
    assert moved["metadata"]["uid"] != before["metadata"]["uid"]
    assert moved["spec"]["nodeName"] == second
    assert [r["number"] for r in walker.desk.status("kept")["releases"]] == [1]
    assert walker.desk.run("destroy", "kept", "--yes").code == 0


def test_nodes_tell_what_is_on_them(walker: Site) -> None:
    node = busy(walker)
    listed: list[Any] = walker.desk.run("cluster", "nodes", "-o", "json").json()["nodes"]
    [mine] = [one for one in listed if one["name"] == node]
    replicas = len(on(walker, node, "replica"))
    assert replicas
    assert mine["pods"] == {f"{walker.namespace}/chat": {"replica": replicas}}
    assert (mine["ready"], mine["schedulable"], mine["gpus"]) == (True, True, 0)
    assert 0 < mine["memory_free"] < mine["memory"] == 64 * 2**30
    assert node in walker.desk.run("cluster", "nodes").out


def test_a_node_is_cordoned_and_released(walker: Site) -> None:
    node = busy(walker)
    said = [walker.desk.run("cluster", verb, node).out.strip() for verb in
            ("cordon", "cordon", "uncordon", "uncordon")]  # fmt: skip
    assert said == [
        f"{node} is cordoned", f"{node} was cordoned already",
        f"{node} takes pods again", f"{node} took pods already",
    ]  # fmt: skip
    unknown = walker.desk.run("cluster", "cordon", node + "x")
    assert (unknown.code, f"did you mean {node}" in unknown.err) == (2, True)


def test_who_may_not_drain_is_told_before_anything_is_changed(walker: Site) -> None:
    node = busy(walker)
    looks = {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list"]}
    desk = walker.desk_of(walker.plane.user(looks), "looker")
    refused = desk.run("cluster", "drain", node, "--yes")
    assert refused.code == 3
    assert "you may not patch nodes" in refused.err
    assert "kubectl auth can-i patch nodes" in refused.err
    assert not is_cordoned(walker, node)
    cordon = desk.run("cluster", "cordon", node)
    assert (cordon.code, "may not patch nodes" in cordon.err) == (3, True)
    nobody = walker.desk_of(walker.plane.user(), "nobody").run("cluster", "nodes")
    assert (nobody.code, "may not list nodes" in nobody.err) == (3, True)
