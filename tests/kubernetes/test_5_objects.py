"""The objects that llmops makes, before the real API server and the real scheduler."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer

Json = dict[str, Any]
CASES = Path(__file__).parents[1] / "cases"
TREES = sorted((CASES / "objects").glob("*/tree"), key=lambda path: path.parent.name)
RAYSERVICES = sorted((CASES / "rayservices").glob("*/expected.yaml"))
PODS = {
    kind: sorted((CASES / "pod_security" / kind).glob("*.yaml")) for kind in ("accepted", "refused")
}
RIGHTS = CASES / "rights"
UNKNOWN = {"Certificate", "HTTPRoute", "LocalQueue", "PodMonitor", "PrometheusRule"}
"""Kinds whose definitions are not installed here: of cert-manager, the Gateway API, Kueue and the
Prometheus Operator. Their objects are only compared with the golden files."""
OWN_NAMESPACE = {"production": "privileged"}
"""Trees that say themselves that their namespace must allow more: RDMA locks memory."""


def documents(file: Path) -> list[Json]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one]


def objects(tree: Path) -> list[Json]:
    """The objects of a tree that this API server can know."""
    found = [one for file in sorted(tree.glob("[0-9]*.yaml")) for one in documents(file)]
    return [one for one in found if one["kind"] not in UNKNOWN]


def moved(found: list[Json], namespace: str) -> list[Json]:
    """The same objects, in another namespace."""
    made = copy.deepcopy(found)
    for one in made:
        if "namespace" in one["metadata"]:
            one["metadata"]["namespace"] = namespace
        for subject in one.get("subjects", []):
            subject["namespace"] = namespace
    return made


def apply(plane: ControlPlane, found: list[Json], *more: str) -> str:
    text = yaml.safe_dump_all(found)
    strict = ("apply", "--server-side", "--validate=strict", "--field-manager=llmops")
    return plane.kubectl(*strict, *more, "--filename=-", input=text)


def templates(rayservice: Json) -> dict[str, Json]:
    """The pods' templates by role."""
    cluster = rayservice["spec"]["rayClusterConfig"]
    groups = {group["groupName"]: group["template"] for group in cluster["workerGroupSpecs"]}
    return {"head": cluster["headGroupSpec"]["template"], **groups}


def pod(template: Json, namespace: str) -> Json:
    """A pod of a template, as KubeRay makes it, but for what KubeRay adds."""
    spec = {**template["spec"], "serviceAccountName": "default"}
    for outside in ("priorityClassName", "runtimeClassName"):
        spec.pop(outside, None)
    metadata = {**template["metadata"], "name": "a", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def places(control_plane: ControlPlane) -> Iterator[dict[str, str]]:
    """A namespace of each level of Pod Security."""
    made = {
        level: control_plane.namespace(level) for level in ("restricted", "baseline", "privileged")
    }
    yield made
    for name in made.values():
        control_plane.remove_namespace(name)


def refusal(plane: ControlPlane, asked: Json) -> str:
    """What the API server says to a pod; empty when it would take it."""
    place = f"/api/v1/namespaces/{asked['metadata']['namespace']}/pods"
    try:
        plane.api("POST", f"{place}?dryRun=All&fieldValidation=Strict", asked)
    except httpx.HTTPStatusError as error:
        return str(error.response.json()["message"])
    return ""


def of_case(file: Path, places: dict[str, str]) -> tuple[Json, Json]:
    case = yaml.safe_load(file.read_text())
    [rayservice] = documents(CASES / case["rayservice"])
    made = pod(templates(rayservice)[case["role"]], places[case["level"]])
    made = copy.deepcopy(made)
    for change in case.get("set", []):
        *way, last = change["at"]
        at: Any = made
        for step in way:
            at = at[step]
        at[last] = change["to"]
    return case, made


@pytest.mark.parametrize("file", PODS["accepted"], ids=lambda file: file.stem)
def test_a_pod_is_accepted(control_plane: ControlPlane, places: dict[str, str], file: Path) -> None:
    assert refusal(control_plane, of_case(file, places)[1]) == ""


@pytest.mark.parametrize("file", PODS["refused"], ids=lambda file: file.stem)
def test_a_pod_is_refused(control_plane: ControlPlane, places: dict[str, str], file: Path) -> None:
    case, asked = of_case(file, places)
    said = refusal(control_plane, asked)
    assert f'violates PodSecurity "{case["level"]}:latest"' in said
    assert case["reason"] in said


@pytest.mark.parametrize("file", RAYSERVICES, ids=lambda file: file.parent.name)
def test_a_golden_rayservice_is_admitted(
    control_plane: ControlPlane, places: dict[str, str], file: Path
) -> None:
    apply(control_plane, moved(documents(file), places["restricted"]), "--dry-run=server")


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.parent.name)
def test_a_golden_tree_is_admitted_and_its_pods_are_made(
    control_plane: ControlPlane, standin: StandIn, tree: Path
) -> None:
    level = OWN_NAMESPACE.get(tree.parent.name, "restricted")
    namespace = control_plane.namespace(level)
    try:
        found = moved(objects(tree), namespace)
        if any("runtimeClassName" in str(one) for one in found):
            runtime_class(control_plane)
        told = apply(control_plane, found, "--dry-run=server")
        assert told.count("serverside-applied (server dry run)") == len(found)
        apply(control_plane, found)
        pods = sum(map(pods_of, (one for one in found if one["kind"] == "RayService")))
        until(f"{pods} pods of {tree.parent.name}", lambda: count(control_plane, namespace) == pods)
    finally:
        for one in found:
            if one["kind"] == "PriorityClass":
                control_plane.kubectl("delete", "priorityclass", one["metadata"]["name"])
        control_plane.remove_namespace(namespace)


def runtime_class(plane: ControlPlane) -> None:
    head = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}
    apply(plane, [{**head, "handler": "nvidia"}])


def pods_of(rayservice: Json) -> int:
    groups = rayservice["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return 1 + sum(int(group["replicas"]) for group in groups)


def count(plane: ControlPlane, namespace: str) -> int:
    return len(plane.api("GET", f"/api/v1/namespaces/{namespace}/pods")["items"])


@pytest.mark.parametrize(("name", "tree"), [("plain", "minimal"), ("autoscaled", "autoscaled")])
def test_the_rights_of_the_pods_account(
    control_plane: ControlPlane, places: dict[str, str], name: str, tree: str
) -> None:
    namespace = places["restricted"]
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    found = [o for o in objects(CASES / "objects" / tree / "tree") if o["kind"] in kinds]
    apply(control_plane, moved(found, namespace))
    account = next(one["metadata"]["name"] for one in found if one["kind"] == "ServiceAccount")
    who = f"--as=system:serviceaccount:{namespace}:{account}"
    group = (f"--as-group=system:serviceaccounts:{namespace}", "--as-group=system:authenticated")
    asked = ("auth", "can-i", "--list", "--no-headers", f"--namespace={namespace}", who, *group)

    def listed() -> list[str]:
        lines = control_plane.kubectl(*asked).splitlines()
        return sorted(re.sub(r" {2,}", "  ", line.strip()) for line in lines)

    if name == "autoscaled":  # A binding holds a moment after it was made.
        until("rights on Ray clusters", lambda: any("ray.io" in line for line in listed()))
    assert listed() == (RIGHTS / f"{name}.txt").read_text().splitlines()


GPU_NODE: Json = {
    "gpus": 1,
    "cpu": 32,
    "memory": "256Gi",
    "taints": [
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
        {"key": "team", "value": "models", "effect": "NoSchedule"},
    ],
}
PLAIN: Json = {"cpu": 16, "memory": "64Gi"}


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Two plain nodes; two GPU nodes with taints, of which one has the label that is asked for."""
    nodes = (
        PLAIN,
        PLAIN,
        {**GPU_NODE, "labels": {"pool": "served"}},
        {**GPU_NODE, "labels": {"pool": "other"}},
    )
    folder = tmp_path_factory.mktemp("site")
    with open_site(control_plane, standin, hub, folder, nodes=nodes) as made:
        yield made


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    """A service with a GPU, as `llmops deploy` makes it."""
    target = {
        "node_selector": {"pool": "served"},
        "tolerations": [{"key": "team", "operator": "Equal", "value": "models"}],
    }
    spec = site.desk.spec(hardware={"device": "gpu"}, target=target)
    text = yaml.safe_load(spec.read_text())
    text["hardware"].pop("cores")
    text["engine"].pop("kv_cache")
    spec.write_text(yaml.safe_dump(text))
    versions = site.standin.versions
    site.standin.versions = {**versions, "engine": versions["engine"].replace("-cpu", "")}
    done = site.desk.deploy(spec)
    site.standin.versions = versions
    assert done.code == 0, done.text
    return site


def nodes_of(site: Site, role: str) -> list[Json]:
    names = [p["spec"]["nodeName"] for p in site.items("pods", f"llmops/role={role}")]
    return [site.one("node", name) for name in names]


def test_the_scheduler_puts_replicas_on_the_gpus_that_were_asked_for(served: Site) -> None:
    [node] = nodes_of(served, "replica")
    assert node["metadata"]["labels"]["pool"] == "served"
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "1"


def test_the_scheduler_keeps_gateways_apart_and_off_the_gpus(served: Site) -> None:
    gateways, heads = nodes_of(served, "gateway"), nodes_of(served, "head")
    assert len({node["metadata"]["name"] for node in gateways}) == 2
    assert not any("taints" in node["spec"] for node in [*gateways, *heads])


def test_kubectl_get_shows_the_service(served: Site) -> None:
    shown = served.kubectl("get", "rayservice,pods,svc,netpol,pdb")
    print(shown)
    tables = [table.splitlines() for table in shown.strip().split("\n\n")]
    heads = {table[1].split("/")[0]: table[0].split() for table in tables}
    assert heads["rayservice.ray.io"][:3] == ["NAME", "SERVICE", "STATUS"]
    assert set(heads) == {
        "rayservice.ray.io", "pod", "service", "networkpolicy.networking.k8s.io",
        "poddisruptionbudget.policy",
    }  # fmt: skip
    rows = {row.split()[0]: row for table in tables for row in table[1:]}
    [ray] = [row for name, row in rows.items() if name.startswith("rayservice.")]
    assert "Running" in ray
    pods = [row for name, row in rows.items() if name.startswith("pod/")]
    assert len(pods) == 4
    assert all(re.search(r" 1/1 +Running +0 ", row) for row in pods)
    assert re.search(r"service/chat +ClusterIP +\S+ +<none> +8000/TCP", shown)
    budgets = {n.split("-")[-1]: r.split()[1:4] for n, r in rows.items() if "budget" in n}
    assert budgets["gateway"][0] == "1"
    assert budgets["gateway"][2] == "1", "one gateway may be moved at any time"
    policies = [name for name in rows if name.startswith("networkpolicy")]
    assert "networkpolicy.networking.k8s.io/chat-deny" in policies


def test_describe_tells_which_releases_there_are(served: Site) -> None:
    [name] = [one["metadata"]["name"] for one in served.items("rayservices")]
    told = served.kubectl("describe", "rayservice", name)
    assert re.search(r"llmops/releases: r1=100", told)
    table = served.one("configmap", "chat-releases")["data"]["summary"]
    assert re.search(r"1 +live", table)
    assert json.loads(served.one("configmap", "chat-releases")["data"]["release-1.json"])
