"""The stage itself: the declared programs, alone in their network, doing what tests rest on."""

from __future__ import annotations

import ipaddress
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.engines.programs import PROGRAMS, find, says_version
from tests.kubernetes import namespace
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane

AddNode = Callable[..., str]
READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
SECURE: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def pod(gpus: int = 0, **security: Any) -> dict[str, Any]:
    """A pod that `restricted` admits, unless told otherwise."""
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    container = {
        "name": "main",
        "image": "example.invalid/nothing",
        "securityContext": SECURE | security,
        "resources": {"limits": limits},
    }
    spec = {"containers": [container], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}


def run_pod(plane: ControlPlane, where: str, gpus: int = 0) -> dict[str, Any]:
    """The pod once it is ready."""
    path = f"/api/v1/namespaces/{where}/pods"
    plane.api("POST", path, pod(gpus))
    until("a ready pod", lambda: is_ready(plane.api("GET", f"{path}/probe")))
    return plane.api("GET", f"{path}/probe")


def is_ready(found: dict[str, Any]) -> bool:
    conditions = found["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_of_the_declared_versions(name: str) -> None:
    assert says_version(PROGRAMS[name], find(name))


def test_the_api_server_says_the_declared_version(control_plane: ControlPlane) -> None:
    declared = PROGRAMS["kube-apiserver"].version
    assert control_plane.api("GET", "/version")["gitVersion"] == f"v{declared}"


def test_rays_resources_are_served(control_plane: ControlPlane) -> None:
    found = control_plane.api("GET", "/apis/ray.io/v1")["resources"]
    assert {"rayclusters", "rayclusters/status", "rayservices"} <= {r["name"] for r in found}


def test_a_pod_lands_on_a_gpu_node_and_gets_ready(
    control_plane: ControlPlane, namespace_of_test: str, add_node: AddNode
) -> None:
    add_node()
    gpus = add_node(gpus=8)
    found = run_pod(control_plane, namespace_of_test, gpus=8)
    assert found["spec"]["nodeName"] == gpus
    assert found["status"]["phase"] == "Running"
    assert ipaddress.ip_address(found["status"]["podIP"]) in ipaddress.ip_network(namespace.PODS)


def test_a_pod_that_no_node_can_take_says_what_is_missing(
    control_plane: ControlPlane, namespace_of_test: str, add_node: AddNode
) -> None:
    add_node(gpus=4)
    path = f"/api/v1/namespaces/{namespace_of_test}/pods"
    control_plane.api("POST", path, pod(gpus=8))

    def says() -> str:
        conditions = control_plane.api("GET", f"{path}/probe")["status"].get("conditions", [])
        return "".join(c.get("message", "") for c in conditions)

    until("a reason", lambda: "Insufficient nvidia.com/gpu" in says(), within=10)


def test_the_labels_of_a_gpu_node_tell_its_product(
    control_plane: ControlPlane, add_node: AddNode
) -> None:
    name = add_node(gpus=2, gpu_product="NVIDIA-L4", gpu_memory_mib=23034, labels={"rack": "b"})
    labels = control_plane.api("GET", f"/api/v1/nodes/{name}")["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-L4"
    assert labels["nvidia.com/gpu.memory"] == "23034"
    assert (labels["nvidia.com/gpu.count"], labels["rack"]) == ("2", "b")


def test_a_privileged_pod_is_refused(control_plane: ControlPlane, namespace_of_test: str) -> None:
    privileged = pod(privileged=True, allowPrivilegeEscalation=True)
    with pytest.raises(httpx.HTTPStatusError, match="violates PodSecurity") as refused:
        control_plane.api("POST", f"/api/v1/namespaces/{namespace_of_test}/pods", privileged)
    assert refused.value.response.status_code == httpx.codes.FORBIDDEN


def test_a_user_may_do_what_it_was_given_and_no_more(
    control_plane: ControlPlane, namespace_of_test: str
) -> None:
    user = control_plane.user(READ_PODS, namespace=namespace_of_test)
    file = control_plane.kubeconfig(user, namespace=namespace_of_test, context="readers")
    assert kubectl(file, "get", "pods").returncode == 0
    refused = kubectl(file, "get", "secrets")
    assert f'User "{user.name}" cannot list resource "secrets"' in refused.stderr


def kubectl(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(find("kubectl")), f"--kubeconfig={file}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_certificate_names_a_user_too(control_plane: ControlPlane) -> None:
    file = control_plane.kubeconfig(control_plane.certificate("mary", "system:masters"))
    assert "mary" in kubectl(file, "auth", "whoami").stdout


def test_writes_are_written_down_and_reads_are_not(
    control_plane: ControlPlane, namespace_of_test: str
) -> None:
    mark = control_plane.audit.mark()
    path = f"/api/v1/namespaces/{namespace_of_test}/configmaps"
    control_plane.api("POST", path, {"metadata": {"name": "a"}})
    control_plane.api("GET", f"{path}/a")
    control_plane.api("DELETE", f"{path}/a")
    writes = control_plane.audit.writes(since=mark, namespace=namespace_of_test, user="admin")
    found = [(w.verb, w.resource, w.name, w.code) for w in writes]
    assert found == [("create", "configmaps", "a", 201), ("delete", "configmaps", "a", 200)]


def test_the_api_server_reaches_what_answers_for_a_pod(
    control_plane: ControlPlane, namespace_of_test: str, add_node: AddNode
) -> None:
    add_node()
    address = run_pod(control_plane, namespace_of_test)["status"]["podIP"]
    with HTTPServer((address, 9090), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        path = f"/api/v1/namespaces/{namespace_of_test}/pods/probe:9090/proxy/state"
        assert control_plane.api("GET", path) == {"played": True}
        server.shutdown()


class Echo(BaseHTTPRequestHandler):
    """Plays what would answer in a pod."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"played": true}')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        return


def test_all_goes_on_after_the_api_server_died(
    control_plane: ControlPlane, namespace_of_test: str, add_node: AddNode
) -> None:
    died = control_plane.stop_api_server()
    assert not psutil.pid_exists(died)
    with pytest.raises(httpx.TransportError):
        control_plane.api("GET", "/version")
    control_plane.start_api_server()
    add_node(gpus=1)
    assert run_pod(control_plane, namespace_of_test, gpus=1)["status"]["phase"] == "Running"


def test_programs_listen_on_loopback_only(control_plane: ControlPlane) -> None:
    listening = {s.name: s.listens() for s in control_plane.servers.values()}
    assert all(listening.values()), listening
    addresses = {address for sockets in listening.values() for address, _ in sockets}
    assert addresses == {"127.0.0.1"}, listening


@pytest.mark.parametrize("address", ["192.0.2.1", "10.245.0.1"])
def test_no_packet_can_leave(address: str) -> None:
    with socket.socket() as probe, pytest.raises(OSError, match="unreachable"):
        probe.connect((address, 80))


def test_what_is_sent_to_a_pod_that_nobody_plays_is_refused() -> None:
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("10.244.200.200", 80))


def test_everything_stops(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    try:
        plane.start()
        pids = [server.pid for server in plane.servers.values()]
    finally:
        plane.stop()
    assert len(pids) == len(PROGRAMS) - 1
    assert [pid for pid in pids if psutil.pid_exists(pid)] == []


def test_a_program_that_dies_shows_the_end_of_its_log(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path)
    plane.tokens.write_text("not a token file")
    try:
        with pytest.raises(RuntimeError, match=r"kube-apiserver does not run(?s:.*)token"):
            plane.start()
    finally:
        plane.stop()
    assert not any(server.runs for server in plane.servers.values())


STARTER = """
import sys, time
from pathlib import Path
from tests.kubernetes.processes import Server
server = Server(["sleep", "600"], Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


def test_programs_die_with_the_tests(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.send_signal(signal.SIGKILL)
    until("the end of the program", lambda: not psutil.pid_exists(pid))
