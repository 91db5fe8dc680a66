"""The pods of a runtime: what they may do, read, write, and how they start and end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import names
from clusters.objects import environment, probes, sizes
from clusters.objects.rayservice import rayservice
from llmops.units import Bytes
from serving.runtime.launcher import environment as on_a_machine
from serving.runtime.paths import RuntimePaths
from tests.clusters.builders import make_release, make_runtime, make_serve_config
from tests.clusters.objects import golden


def pods(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The templates' pod specs by role."""
    cluster = document["spec"]["rayClusterConfig"]
    templates = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return {
        group["template"]["metadata"]["labels"][names.ROLE]: group["template"]["spec"]
        for group in templates
    }


def made(**settings: Any) -> dict[str, dict[str, Any]]:
    runtime = make_runtime(make_release(**settings))
    return pods(rayservice(runtime, "llm", make_serve_config(runtime)))


def everywhere() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for case in golden.cases():
        for role, pod in pods(golden.made(case)).items():
            yield case, role, pod


def test_every_pod_keeps_to_the_level_restricted_but_for_rdma() -> None:
    for case, role, pod in everywhere():
        (container,) = pod["containers"]
        own, security = pod["securityContext"], container["securityContext"]
        rdma = case == "rdma-and-queue" and role == names.REPLICA
        assert own["runAsNonRoot"] is True
        assert own["runAsUser"] == own["runAsGroup"] == own["fsGroup"] == 1000
        assert own["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"]["drop"] == ["ALL"]
        assert security["capabilities"].get("add", []) == (["IPC_LOCK"] if rdma else [])
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


def test_nothing_is_written_to_but_volumes_of_a_bounded_size() -> None:
    for case, role, pod in everywhere():
        (container,) = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        empty = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
        assert len(empty) == 3, (case, role)
        on_disk = sum(_bytes(e["sizeLimit"]) for e in empty if e.get("medium") != "Memory")
        assert on_disk < _bytes(container["resources"]["limits"]["ephemeral-storage"])


def test_what_is_in_shared_memory_fits_into_the_pods_memory() -> None:
    for _case, _role, pod in everywhere():
        (shared,) = (
            _bytes(volume["emptyDir"]["sizeLimit"])
            for volume in pod["volumes"]
            if volume.get("emptyDir", {}).get("medium") == "Memory"
        )
        assert shared >= sizes.OBJECT_STORE
        assert shared < _bytes(pod["containers"][0]["resources"]["limits"]["memory"])


def test_requests_are_limits() -> None:
    for _case, _role, pod in everywhere():
        resources = pod["containers"][0]["resources"]
        assert resources["requests"] == resources["limits"]


def test_no_secret_is_in_the_environment() -> None:
    for case, _role, pod in everywhere():
        for variable in pod["containers"][0]["env"]:
            source = variable.get("valueFrom", {})
            assert set(source) <= {"fieldRef"}, (case, variable)


def test_only_gateways_see_the_keys_and_only_replicas_the_models_token() -> None:
    seen = {role: _secrets(pod) for role, pod in pods(golden.made("one-gpu")).items()}
    assert seen == {"head": [], "gateway": ["chat-keys"], "replica": ["hub-token"]}


def test_a_secrets_mode_is_what_kubelet_makes_of_it_for_the_pods_group() -> None:
    for _case, _role, pod in everywhere():
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440


def test_the_api_servers_token_is_nowhere_without_an_autoscaler() -> None:
    for case, role, pod in everywhere():
        wanted = case == "autoscaled" and role == names.HEAD
        assert pod["automountServiceAccountToken"] is wanted


def test_ray_is_told_the_same_as_on_a_machine_where_nothing_is_of_the_machine() -> None:
    local = on_a_machine(RuntimePaths(Path("/nowhere")), {})
    shared = {name: value for name, value in local.items() if name.startswith("RAY_SERVE_")}
    told = {name: environment.COMMON.get(name) for name in shared}
    assert told == shared | {"RAY_SERVE_LOG_TO_STDERR": "1"}


@pytest.mark.parametrize(
    ("weights", "deadline", "seconds"),
    [
        ("1GiB", 900.0, 321),
        ("16GiB", 900.0, 628),
        ("140GiB", 7200.0, 3168),
        ("140GiB", 900.0, 900),
        ("1GiB", 10.0, 300),
    ],
)
def test_the_start_budget_follows_the_model_and_the_deadline(
    weights: str, deadline: float, seconds: int
) -> None:
    assert probes.start_budget(int(Bytes.parse(weights)), deadline) == seconds


def test_a_replica_that_fetches_for_long_is_not_restarted_meanwhile() -> None:
    pod = made(gpus=8, weights="140GiB", maintenance={"start_deadline": "2h"})["replica"]
    probe = pod["containers"][0]["livenessProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] >= 140 * sizes.GIB / (50 * sizes.MIB)


def test_no_probe_asks_where_a_token_is_needed() -> None:
    open_paths = {"/api/local_raylet_healthz", "/api/healthz", "/api/gcs_healthz", "/ready"}
    for _case, _role, pod in everywhere():
        container = pod["containers"][0]
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[kind]["httpGet"]["path"] in open_paths


def test_a_gateway_leaves_the_service_and_finishes_its_answers_before_it_ends() -> None:
    pod = made(maintenance={"drain": "10min"})["gateway"]
    before = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert before == ["python", "-m", "serving.runtime.leave", "9090", "600"]
    assert pod["terminationGracePeriodSeconds"] > 600


def test_a_replica_may_drain_before_it_is_killed_and_holds_its_gpus_no_longer_than_that() -> None:
    pod = made(gpus=1, maintenance={"drain": "10min"})["replica"]
    container = pod["containers"][0]
    variables = {v["name"]: v.get("value") for v in container["env"]}
    assert variables["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"] == "600"
    assert pod["terminationGracePeriodSeconds"] > 600
    assert "lifecycle" not in container


def test_a_tag_is_pulled_anew_and_a_digest_is_not() -> None:
    pulled = {
        case: pods(golden.made(case))["replica"]["containers"][0]["imagePullPolicy"]
        for case in ("one-gpu", "two-releases")
    }
    assert pulled == {"one-gpu": "IfNotPresent", "two-releases": "Always"}


def test_gpu_pods_tolerate_the_taint_of_gpu_nodes_once() -> None:
    asked = {"tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}
    for target in ({}, asked):
        keys = [t["key"] for t in made(gpus=1, target=target)["replica"]["tolerations"]]
        assert keys == ["nvidia.com/gpu"]
    assert "tolerations" not in made()["replica"]


def test_a_gpu_of_another_maker_is_asked_for_by_its_own_name() -> None:
    pod = made(gpus=2, target={"gpu_resource": "vendor.example/device"})["replica"]
    assert pod["containers"][0]["resources"]["limits"]["vendor.example/device"] == "2"
    assert [t["key"] for t in pod["tolerations"]] == ["vendor.example/device"]


def test_weights_on_a_volume_lie_in_a_private_folder_of_it() -> None:
    container = pods(golden.made("weights-on-a-volume"))["replica"]["containers"][0]
    variables = {v["name"]: v.get("value") for v in container["env"]}
    mounted = {m["mountPath"] for m in container["volumeMounts"]}
    assert "/var/lib/llmops/weights" in mounted
    assert variables["LLMOPS_MODELS"] == "/var/lib/llmops/weights/models"


def test_weights_in_the_pod_take_no_more_than_was_asked_for() -> None:
    pod = made(target={"weights": {"size": "10GiB"}}, disk="100GiB")["replica"]
    (home,) = (v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] == "home")
    assert home == "11Gi"


def _secrets(pod: dict[str, Any]) -> list[str]:
    return [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v]


def _bytes(written: str) -> int:
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    return int(written[:-2]) * units[written[-2:]]
