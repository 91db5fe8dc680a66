"""When it does not work: the real reason within seconds, what to do, and nothing left behind."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.certificates import Pair
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.desk import IMAGE
from tests.kubernetes.filtered import without
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.kubernetes.users import User
from tests.support.hub import HubServer
from tests.support.program import Done

Json = dict[str, Any]
SOON = 180.0
"""Seconds until the reason has to be told. On a machine that does nothing else it takes five to
ten; a release that waits for its deadline instead would take `PATIENT`."""
PATIENT = "10min"
NOT_THERE = "ErrImagePull: rpc error: code = NotFound desc = manifest unknown: not found"
GPU: Json = {"gpus": 4, "cpu": 32, "memory": "256Gi"}
PLAIN: Json = {"cpu": 32, "memory": "128Gi"}


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Two nodes with four GPUs each, and a plain one."""
    folder, nodes = tmp_path_factory.mktemp("site"), (GPU, GPU, PLAIN)
    with open_site(control_plane, standin, hub, folder, nodes=nodes) as made:
        yield made


def spec(site: Site, name: str = "chat", **sections: Any) -> Path:
    """A spec whose releases would wait for long."""
    patient = {"maintenance": {"start_deadline": PATIENT}}
    return site.desk.spec(name, **{**patient, **sections})


def on_gpus(site: Site, replicas: int, gpus: int, deadline: str = PATIENT) -> Path:
    """A spec with so many replicas of so many GPUs."""
    more: Json = {"scaling": {"replicas": replicas}, "maintenance": {"start_deadline": deadline}}
    path = spec(site, hardware={"device": "gpu", "count": gpus}, **more)
    document = yaml.safe_load(path.read_text())
    document["hardware"].pop("cores")
    document["engine"].pop("kv_cache")
    path.write_text(yaml.safe_dump(document))
    return path


def soon(act: Callable[[], Done]) -> Done:
    """Do it, and see that it took no longer than a reason may take."""
    begun = time.monotonic()
    done = act()
    assert time.monotonic() - begun < SOON, done.text
    return done


def left(site: Site) -> set[str]:
    """What is in the namespace, but for what is always there and the records."""
    found = {n for n in site.names() if not n.startswith("Event/")}
    return {n for n in found if not n.endswith(("/default", "/kube-root-ca.crt"))} - {
        "ConfigMap/chat-releases", "Lease/chat-llmops",
    }  # fmt: skip


# Before anything is made


def test_a_plan_without_room_does_the_sum(site: Site) -> None:
    done = soon(lambda: site.desk.run("plan", "-f", spec(site, engine={"kv_cache": "300GiB"})))
    assert done.code == 3, done.text
    assert "+ 300GiB KV cache) = 303GiB, and 254GiB can be had of 255GiB" in done.err
    assert "hint: set engine.kv_cache to " in done.err


def test_a_plan_without_the_gpu_that_is_asked_for_names_it(site: Site) -> None:
    path = on_gpus(site, 1, 4)
    document = yaml.safe_load(path.read_text())
    document["hardware"]["gpu"] = "A100"
    path.write_text(yaml.safe_dump(document))
    done = soon(lambda: site.desk.run("plan", "-f", path))
    assert done.code == 3, done.text
    assert "A100" in done.err


def test_a_gang_that_cannot_fit_is_refused_with_the_sum(site: Site) -> None:
    done = soon(lambda: site.desk.deploy(on_gpus(site, 3, 4)))
    assert done.code == 3, done.text
    assert "4 nvidia.com/gpu more are needed" in done.err
    assert "set scaling.replicas to 2" in done.err
    assert left(site) == set()


@pytest.mark.parametrize("verb", ["plan", "deploy"])
def test_a_namespace_that_is_not_there_is_named(site: Site, verb: str) -> None:
    yes = ["--yes"] if verb == "deploy" else []
    done = site.desk.run(verb, "-f", spec(site, target={"namespace": "nowhere"}), *yes)
    assert done.code == 2, done.text
    assert re.search("there is no namespace '?nowhere", done.err)
    assert "kubectl create namespace nowhere" in done.err


def test_a_context_that_is_not_there_is_named(site: Site) -> None:
    done = site.desk.deploy(spec(site, target={"context": "production"}))
    assert done.code == 2, done.text
    assert "production" in done.err
    assert "tests" in done.err, "the contexts that there are"


@pytest.mark.parametrize("how", ["token", "certificate"])
def test_credentials_that_have_ended_say_so(site: Site, how: str) -> None:
    late = timedelta(days=-1)
    who: User | Pair = User("nobody", "a-token-that-has-ended")
    if how == "certificate":
        who = site.plane.certificate("late", "system:masters", valid=late)
    desk = site.desk_of(who, f"ended-{how}")
    done = soon(lambda: desk.deploy(spec(site)))
    assert done.code == 2, done.text
    assert "expired" in done.err
    assert "a-token-that-has-ended" not in done.text
    assert "Traceback" not in done.text


def test_a_cluster_without_kuberay_is_told_what_to_install(site: Site) -> None:
    with without(site.plane, "ray.io") as server:
        desk = site.desk_of(None, "no-kuberay")
        document = yaml.safe_load(desk.kubeconfig.read_text())
        document["clusters"][0]["cluster"] = {"server": server}
        desk.kubeconfig.write_text(yaml.safe_dump(document))
        done = soon(lambda: desk.run("deploy", "-f", spec(site), "--yes"))
    assert done.code == 2, done.text
    assert "tests has no KubeRay" in done.err
    assert "kuberay-operator" in done.err


# While it starts


def failed(site: Site, done: Done) -> None:
    """A first release that failed: nothing serves, and nothing is left."""
    assert done.code == 5, done.text
    assert "nothing serves" in done.err
    until("an empty namespace", lambda: left(site) == set())
    assert site.standin.problems == []


def test_a_gang_whose_node_was_taken_since_the_plan_names_what_is_missing(site: Site) -> None:
    site.standin.freeze()
    try:
        running = site.desk.start("deploy", "-f", on_gpus(site, 2, 4, "30s"), "--yes")
        until("a RayService", lambda: bool(site.items("rayservices")), SOON)
        site.kubectl("apply", "--filename=-", input=yaml.safe_dump(HOG))
        until("the other pod has a node", lambda: "nodeName" in site.one("pod", "hog")["spec"])
    finally:
        site.standin.thaw()
    try:
        done = soon(lambda: ended(running))
    finally:
        site.kubectl("delete", "pod", "hog", "--now")
    # It may still get room, so it waits for its deadline; but it says at once what it waits for.
    waits = "1 of 2 replica pods waits for a node"
    first = next(line for line in done.text.splitlines() if waits in line)
    assert "nvidia.com/gpu" in first
    assert int(re.search(r"\((\d+) s of at most 30 s\)", first)[1]) <= 25  # type: ignore[index]
    error = next(line for line in done.text.splitlines() if line.startswith("error: "))
    assert waits in error
    failed(site, done)


HOG = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "hog"},
    "spec": {
        "containers": [
            {
                "name": "a",
                "image": "registry.example/other",
                "resources": {"limits": {"nvidia.com/gpu": 4}},
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }
        ]
    },
}


def ended(running: subprocess.Popen[str]) -> Done:
    """A started `llmops` at its end; its two streams are one."""
    out, _ = running.communicate(timeout=300)
    return Done(running.returncode, "", out)


def test_an_image_that_does_not_come_is_named(site: Site) -> None:
    site.standin.delay(300)
    try:
        running = site.desk.start("deploy", "-f", spec(site), "--yes")
        until("a replica's pod", lambda: bool(replicas(site)), SOON)
        [pod] = replicas(site)
        hold(site, pod, "ImagePullBackOff", f'Back-off pulling image "{IMAGE}": {NOT_THERE}')
        done = soon(lambda: ended(running))
    finally:
        site.standin.delay(0.1)
    assert f"the replica pod cannot pull image {IMAGE}: manifest unknown: not found" in done.text
    failed(site, done)


def replicas(site: Site) -> list[str]:
    found = site.items("pods", "llmops/role=replica")
    return [p["metadata"]["name"] for p in found if p["status"].get("podIP")]


def hold(site: Site, pod: str, reason: str, message: str) -> None:
    """Write what a kubelet writes whose image does not come."""
    [container] = site.one("pod", pod)["status"]["containerStatuses"]
    waiting = {"waiting": {"reason": reason, "message": message}}
    now = {**container, "ready": False, "started": False, "state": waiting}
    holds = {"PodScheduled": "True", "Initialized": "True"}
    kinds = (*holds, "ContainersReady", "Ready")
    conditions = [{"type": kind, "status": holds.get(kind, "False")} for kind in kinds]
    status = {"phase": "Pending", "conditions": conditions, "containerStatuses": [now]}
    text = yaml.safe_dump({"status": status})
    site.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "--patch", text)


def test_a_quota_that_is_too_small_does_the_sum(site: Site) -> None:
    site.kubectl("create", "quota", "small", "--hard=pods=2")
    try:
        done = soon(lambda: site.desk.deploy(spec(site)))
        assert "ResourceQuota small lets no more pods in" in done.text
        assert "pods: 1 more asked for, 2 of 2 used" in done.text
    finally:
        site.kubectl("delete", "quota", "small")
    failed(site, done)


def test_pods_that_the_namespace_forbids_are_told_from_those_that_only_wait(site: Site) -> None:
    rdma = {"rdma": {"resource": "rdma/hca", "count": 1}}
    path = on_gpus(site, 1, 1)
    document = yaml.safe_load(path.read_text())
    document["target"] |= rdma
    path.write_text(yaml.safe_dump(document))
    done = soon(lambda: site.desk.deploy(path))
    assert "Pod Security level restricted" in done.text
    assert "IPC_LOCK" in done.text
    failed(site, done)
