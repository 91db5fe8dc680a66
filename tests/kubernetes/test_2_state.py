"""State in a real API server: the history, the lock, the secrets; and reasons in its own words."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from clusters import refusals, store
from clusters.client import Client
from clusters.holder import Holder
from clusters.kubeconfig import find
from clusters.lease import LeaseLock
from clusters.reasons import Found, explain
from clusters.secrets import SecretKeys
from clusters.store import ConfigMapReleaseStore
from clusters.trouble import Rejected
from llmops.errors import BusyError
from llmops.releases import Conflict, History, State
from serving.gateway import KeySet, fingerprint
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.releases.plans import SERVICE, release

AddNode = Callable[..., str]
Json = dict[str, Any]
ROOT = Path(__file__).parents[2]
SECURE: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
def client(control_plane: ControlPlane) -> Client:
    return Client.of(find(None, {"KUBECONFIG": str(control_plane.kubeconfig())}))


def together(number: int, work: Callable[[int], None]) -> None:
    """Do the work from so many threads at once."""
    start = threading.Barrier(number)

    def run(index: int) -> None:
        start.wait(30)
        work(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


# The history


def test_the_history_is_read_by_people_too(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    kept = ConfigMapReleaseStore(client, namespace_of_test)
    history = History(SERVICE, (release(1, State.LIVE, verified_at=2.0),))
    version = kept.write(history, "")
    assert kept.read(SERVICE) == (history, version)
    assert kept.services() == (SERVICE,)
    arguments = ("get", "configmap", "chat-releases", "-n", namespace_of_test)
    summary = control_plane.kubectl(*arguments, "-o", "jsonpath={.data.summary}")
    assert summary.splitlines()[1].split()[:3] == ["1", "live", "p1"]
    shown = control_plane.kubectl(*arguments, "-o", "yaml")
    assert "  summary: |\n    RELEASE  STATE" in shown, "it is shown quoted"
    assert "  release-1.json: |-\n" in shown


def _try_to_write(
    kept: ConfigMapReleaseStore, history: History, version: str, won: list[int], index: int
) -> None:
    mine = history.with_release(release(history.next_number, State.FAILED, reason=str(index)))
    try:
        kept.write(mine, version)
    except Conflict:
        return
    won.append(index)


def test_of_writers_at_once_one_wins_and_a_label_is_a_change(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    kept = ConfigMapReleaseStore(client, namespace_of_test)
    for _ in ("it is made", "it is written again"):
        before, won = kept.read(SERVICE), list[int]()
        together(6, partial(_try_to_write, kept, *before, won))
        assert len(won) == 1, won
        assert kept.read(SERVICE)[0].releases[-1].reason == str(won[0])
    history, version = kept.read(SERVICE)
    control_plane.kubectl("label", "configmap", "chat-releases", "-n", namespace_of_test, "team=a")
    with pytest.raises(Conflict):
        kept.write(history, version)
    control_plane.kubectl("delete", "configmap", "chat-releases", "-n", namespace_of_test)
    with pytest.raises(Conflict):
        kept.write(history, version)


def test_the_largest_history_that_is_written_is_one_that_the_server_takes(
    namespace_of_test: str, client: Client
) -> None:
    kept = ConfigMapReleaseStore(client, namespace_of_test)
    reason = "x" * (store.MOST_BYTES // 10)
    many = tuple(release(n, State.FAILED, reason=reason) for n in range(1, 40))
    version = kept.write(History(SERVICE, many), "")
    left, _ = kept.read(SERVICE)
    assert left.releases == many[-9:]
    kept.write(left.with_release(release(40, State.STAGING)), version)


# The lock

HOLD = """
import sys
from pathlib import Path
from clusters.client import Client
from clusters.kubeconfig import find
from clusters.lease import LeaseLock
client = Client.of(find(None, {"KUBECONFIG": sys.argv[1]}))
with LeaseLock(client, sys.argv[2]).hold("chat", "deployed"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(control_plane: ControlPlane, namespace_of_test: str) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the lock."""
    command = [sys.executable, "-c", HOLD, str(control_plane.kubeconfig()), namespace_of_test]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_the_lock_is_a_lease_that_people_can_read(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    with LeaseLock(client, namespace_of_test).hold("chat", "deployed") as held:
        assert held.renew() == 15.0
        held.check()
        shown = control_plane.kubectl("get", "lease", "chat-llmops", "-n", namespace_of_test)
        spec = client.get("Lease", "chat-llmops", namespace_of_test)
    assert f"/{os.getpid()}/" in shown
    assert spec is not None
    assert spec["spec"]["leaseDurationSeconds"] == 60
    shown = control_plane.kubectl("get", "lease", "chat-llmops", "-n", namespace_of_test)
    assert f"/{os.getpid()}/" not in shown
    with LeaseLock(client, namespace_of_test).hold("chat", "deployed"):
        pass


def test_another_process_is_named_and_its_death_frees_the_lock_at_once(
    namespace_of_test: str, client: Client, other: subprocess.Popen[str]
) -> None:
    lock = LeaseLock(client, namespace_of_test)
    told = rf"chat is being deployed by .*\(pid {other.pid}\) since .* it expires at"
    with pytest.raises(BusyError, match=told), lock.hold("chat", "destroyed"):
        pass
    os.kill(other.pid, signal.SIGKILL)
    assert other.wait(30) == -signal.SIGKILL
    left = client.get("Lease", "chat-llmops", namespace_of_test)
    assert left is not None
    assert f"/{other.pid}/" in left["spec"]["holderIdentity"], "the fault did not land"
    with lock.hold("chat", "destroyed") as held:
        held.check()


def test_a_lease_that_is_deleted_or_taken_is_lost(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    lease = ("lease", "chat-llmops", "-n", namespace_of_test)
    with LeaseLock(client, namespace_of_test).hold("chat", "deployed") as held:
        control_plane.kubectl("label", *lease, "team=a")
        assert held.renew() == 15.0, "a label is taken for a loss"
        patch = json.dumps({"spec": {"holderIdentity": "eve"}})
        control_plane.kubectl("patch", *lease, "--type=merge", "-p", patch)
        assert held.renew() is None
        with pytest.raises(BusyError, match=r"was lost: .* by eve"):
            held.check()
    control_plane.kubectl("delete", *lease)
    with LeaseLock(client, namespace_of_test).hold("chat", "deployed") as held:
        control_plane.kubectl("delete", *lease)
        held.renew()
        with pytest.raises(BusyError, match="somebody broke it"):
            held.check()


def test_of_many_that_race_for_the_lock_one_wins(namespace_of_test: str, client: Client) -> None:
    won: list[int] = []
    told: list[str] = []
    refused = threading.Semaphore(0)

    def race(index: int) -> None:
        try:
            with LeaseLock(client, namespace_of_test).hold("chat", "deployed"):
                won.append(index)
                for _ in range(5):
                    assert refused.acquire(timeout=30)
        except BusyError as error:
            told.append(error.message)
            refused.release()

    together(6, race)
    assert len(won) == 1
    assert len(told) == 5
    assert all(f"(pid {Holder.here().pid})" in message for message in told)


# The secrets


def test_the_secrets_are_what_pods_mount(
    control_plane: ControlPlane, namespace_of_test: str, client: Client
) -> None:
    keys = SecretKeys(client, namespace_of_test)
    keys.ensure("chat")
    made, text = keys.create("chat", "team-a")
    version = keys.version("chat")
    keys.ensure("chat")
    assert keys.version("chat") == version, "the second time changed something"
    own = keys.operator_key("chat")
    found = client.get("Secret", "chat-keys", namespace_of_test)
    assert found is not None
    kept = KeySet.parse(base64.b64decode(found["data"]["keys.json"]).decode())
    valid = {(key.id, key.sha256) for _, key in kept.valid()}
    assert own is not None
    assert valid == {fingerprint(text), fingerprint(own)}
    names = control_plane.kubectl(
        "get", "secrets", "-n", namespace_of_test, "-l", "llmops/service=chat", "-o", "name"
    )
    assert names.split() == [
        f"secret/chat-{part}" for part in ("keys", "operator-key", "ray-token")
    ]
    assert keys.revoke("chat", made.id).revoked_at is not None


def test_rays_token_cannot_be_changed_in_place(namespace_of_test: str, client: Client) -> None:
    keys = SecretKeys(client, namespace_of_test)
    tokens: list[str] = []
    together(4, lambda _: tokens.append(keys.ray_token("chat")))
    assert len(tokens) == 4
    assert len(set(tokens)) == 1, "some pods would have another token"
    found = client.get("Secret", "chat-ray-token", namespace_of_test)
    assert found is not None
    found["data"]["auth_token"] = "b3RoZXI="
    with pytest.raises(Rejected, match="immutable"):
        client.replace(found)


def test_writers_at_the_same_time_lose_no_key(namespace_of_test: str, client: Client) -> None:
    keys = SecretKeys(client, namespace_of_test)

    def write(index: int) -> None:
        for number in range(2):
            keys.create("chat", f"{index}-{number}")

    together(5, write)
    names = {key.name for key in keys.list("chat")}
    assert names == {f"{index}-{n}" for index in range(5) for n in range(2)}


# Reasons, in the words of the real scheduler and the real admission


def pod(name: str, gpus: int = 0, **more: Any) -> Json:
    container: Json = {
        "name": "ray",
        "image": "example.invalid/llmops",
        "securityContext": SECURE,
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}},
    }
    labels = {"llmops/service": "chat", "llmops/role": "replica"}
    spec = {"containers": [container], "automountServiceAccountToken": False, **more}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def why(plane: ControlPlane, where: str, client: Client, *pods: Json) -> str:
    """The reason that is told once the scheduler has looked at the pods."""
    path = f"/api/v1/namespaces/{where}/pods"
    for made in pods:
        plane.api("POST", path, made)

    def looked_at() -> bool:
        conditions = [p.get("status", {}).get("conditions") for p in client.list("Pod", where)]
        return all(conditions)

    until("the scheduler to look", looked_at)
    found = Found(
        rayservices=[{"kind": "RayService", "metadata": {"name": "chat-1"}}],
        rayclusters=[{"kind": "RayCluster", "metadata": {"name": "chat-1-x"}}],
        pods=client.list("Pod", where),
        events=client.list("Event", where),
        nodes=client.list("Node"),
    )
    return explain(found).text


def test_the_schedulers_words_name_what_is_missing(
    control_plane: ControlPlane, namespace_of_test: str, client: Client, add_node: AddNode
) -> None:
    add_node(gpus=8, taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])
    add_node(gpus=1)
    told = why(control_plane, namespace_of_test, client, pod("a", 1), pod("b", 4), pod("c", 4))
    assert told.startswith("2 of 3 replica pods wait for a node: ")
    assert "1 node has too few free nvidia.com/gpu" in told
    assert "1 has an untolerated taint gpu=yes" in told


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"nodeSelector": {"pool": "none"}}, "do not match the node selector"),
        (
            {"volumes": [{"name": "w", "persistentVolumeClaim": {"claimName": "none"}}]},
            'persistentvolumeclaim "none" not found',
        ),
    ],
)
def test_no_word_of_the_scheduler_is_passed_on_raw(
    control_plane: ControlPlane,
    namespace_of_test: str,
    client: Client,
    add_node: AddNode,
    more: Json,
    words: str,
) -> None:
    add_node()
    add_node()
    told = why(control_plane, namespace_of_test, client, pod("a", **more))
    assert words in told
    for raw in ("node(s)", "preemption", "0/", " say: ", "deallocate"):
        assert raw not in told, told


def test_the_refusals_of_admission_are_understood(
    control_plane: ControlPlane, namespace_of_test: str
) -> None:
    where = f"/api/v1/namespaces/{namespace_of_test}"

    def refused(made: Json) -> str:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            control_plane.api("POST", f"{where}/pods", made)
        return str(caught.value.response.json()["message"])

    loose = pod("loose")
    loose["spec"]["containers"][0]["securityContext"] = {}
    said = {
        "Pod Security level restricted": refused(loose),
        "ServiceAccount nobody": refused(pod("a", serviceAccountName="nobody")),
        "PriorityClass none": refused(pod("a", priorityClassName="none")),
    }
    quota = {"hard": {"requests.nvidia.com/gpu": "1", "pods": "9"}}
    metadata = {"name": "small"}
    control_plane.api("POST", f"{where}/resourcequotas", {"metadata": metadata, "spec": quota})
    path = f"{where}/resourcequotas/small"
    until("the quota", lambda: "used" in control_plane.api("GET", path).get("status", {}))
    said["small lets no more pods in: requests.nvidia.com/gpu: 8 more asked for, 0 of 1"] = refused(
        pod("a", 8)
    )
    for words, message in said.items():
        reason = refusals.read(message)
        assert words in reason.text, reason
        assert reason.hopeless
