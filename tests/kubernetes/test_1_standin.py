"""The stand-in for KubeRay and for what runs in pods does what the tests of the target rest on."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from serving.client import Line, Probe, count_tokens
from serving.gateway import OPERATOR, KeySet, make_key
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.standin import StandIn
from tests.support.tiny_model import make_tiny_model

AddNode = Callable[..., str]
Json = dict[str, Any]
NAME, SERVICE = "tiny-1a2b3c4d", "tiny"
DEADLINE = 60.0
GROUPS = {"headgroup", "gateway", "replica"}
FAILED = "DEPLOY_FAILED"
SECURE: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
LIMITS = {"requests_per_minute": 600, "max_body": 65536, "max_tokens": 100, "max_choices": 4}


def template(role: str, gpus: int = 0) -> Json:
    container: Json = {
        "name": "ray",
        "image": "example.invalid/llmops",
        "securityContext": SECURE,
        "resources": {"limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}},
    }
    if role == "head":
        container["ports"] = [{"name": "serve", "containerPort": 8000}]
    labels = {"llmops/service": SERVICE, "llmops/role": role}
    return {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


def group(name: str, count: int, gpus: int = 0) -> Json:
    return {
        "groupName": name,
        "replicas": count,
        "minReplicas": count,
        "maxReplicas": count,
        "rayStartParams": {"resources": f'\'"{{\\"llmops_{name}\\": 1}}"\''},
        "template": template(name, gpus),
    }


def deployment(name: str, resource: str, count: int, **fields: Any) -> Json:
    options = {"num_cpus": 0, "resources": {resource: 1}}
    return {"name": name, "num_replicas": count, "ray_actor_options": options, **fields}


def serve_config(shares: dict[int, int], generation: int, replicas: int = 1) -> str:
    """Serve's config as `serving.serve_config` would make it of releases with these shares."""
    releases = [{"release": number, "share": share} for number, share in shares.items()]
    entry = {"releases": releases, "limits": LIMITS, "context": 512}
    table = {"generation": generation, "keys_version": "1", "services": {SERVICE: entry}}
    gateway = deployment("llmops-gateway", "llmops_gateway", 2, user_config=table)
    apps = [{"name": "llmops-gateway", "deployments": [gateway]}]
    apps += [
        {
            "name": f"{SERVICE}-r{number}",
            "deployments": [deployment("replica", "llmops_replica", replicas)],
        }
        for number in shares
    ]
    return yaml.safe_dump({"applications": apps})


def ray_service(config: str) -> Json:
    cluster = {
        "rayVersion": "2.60.0",
        "authOptions": {"mode": "token", "secretName": f"{SERVICE}-ray-token"},
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"}, "template": template("head")},
        "workerGroupSpecs": [group("gateway", 2), group("replica", 2, gpus=4)],
    }
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": NAME},
        "spec": {
            "upgradeStrategy": {"type": "None"},
            "excludeHeadPodFromServeSvc": True,
            "serveConfigV2": config,
            "rayClusterConfig": cluster,
        },
    }


@dataclass
class Site:
    """A namespace with a RayService in it, seen as an administrator sees it."""

    plane: ControlPlane
    namespace: str
    key: str = field(repr=False)
    model: Path

    @property
    def services(self) -> str:
        return f"/apis/ray.io/v1/namespaces/{self.namespace}/rayservices"

    def status(self) -> Json:
        found: Json = self.plane.api("GET", f"{self.services}/{NAME}").get("status", {})
        return found

    def applications(self, side: str = "active") -> dict[str, str]:
        told = self.status().get(f"{side}ServiceStatus", {}).get("applicationStatuses", {})
        return {name: app["status"] for name, app in told.items()}

    def runs(self) -> bool:
        return self.status().get("serviceStatus") == "Running"

    def change(self, path: str, **spec: Any) -> None:
        """Replace fields of an object's spec, whoever else writes to it meanwhile."""
        until("the change", lambda: self._changes(path, spec), DEADLINE)

    def _changes(self, path: str, spec: Json) -> bool:
        found = self.plane.api("GET", path)
        try:
            self.plane.api("PUT", path, {**found, "spec": found["spec"] | spec})
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.CONFLICT:
                raise
            return False
        return True

    def submit(self, config: str) -> None:
        self.change(f"{self.services}/{NAME}", serveConfigV2=config)

    @property
    def cluster(self) -> str:
        name = self.status()["activeServiceStatus"]["rayClusterName"]
        return f"/apis/ray.io/v1/namespaces/{self.namespace}/rayclusters/{name}"

    def scale(self, replicas: int, *leaving: str) -> None:
        """Scale the replicas' group of the RayCluster, and name those to give up."""
        groups = self.plane.api("GET", self.cluster)["spec"]["workerGroupSpecs"]
        groups[1] |= {"replicas": replicas, "minReplicas": replicas, "maxReplicas": replicas}
        groups[1]["scaleStrategy"] = {"workersToDelete": list(leaving)}
        self.change(self.cluster, workerGroupSpecs=groups)

    def pods(self, role: str) -> list[str]:
        path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector=llmops%2Frole%3D{role}"
        return sorted(pod["metadata"]["name"] for pod in self.plane.api("GET", path)["items"])

    def proxied(self, pod: str, port: int) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods/{pod}:{port}/proxy"

    def state(self, pod: str) -> Json:
        return self.plane.api("GET", f"{self.proxied(pod, 9090)}/state")

    def acknowledged(self) -> dict[str, int]:
        return {pod: self.state(pod)["generation"] for pod in self.pods("gateway")}

    def message(self, application: str) -> str:
        told = self.status()["activeServiceStatus"]["applicationStatuses"][application]
        return str(told["message"])

    def failure(self) -> str:
        """Why the RayCluster has fewer pods than it wants."""
        told = self.plane.api("GET", self.cluster)["status"]["conditions"]
        return "".join(c["message"] for c in told if c["type"] == "ReplicaFailure")

    def quota(self) -> Json:
        path = f"/api/v1/namespaces/{self.namespace}/resourcequotas/full"
        found: Json = self.plane.api("GET", path).get("status", {}).get("used", {})
        return found

    def holders(self, application: str) -> list[str]:
        """Pods that hold an application's replicas, as a gateway tells it."""
        addresses = self.state(self.pods("gateway")[0])["replicas"][application]
        pods = self.plane.api("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        return [p["metadata"]["name"] for p in pods if p["status"].get("podIP") in addresses]

    def set_keys(self, keys: KeySet) -> None:
        data = {"keys.json": base64.b64encode(keys.dump().encode()).decode()}
        secret = {"metadata": {"name": f"{SERVICE}-keys"}, "data": data}
        path = f"/api/v1/namespaces/{self.namespace}/secrets/{SERVICE}-keys"
        self.plane.api("PUT", path, secret)

    def probe(self, pod: str, release: int) -> Probe:
        trusted = ssl.create_default_context(cafile=str(self.plane.authority.certificate))
        headers = {"authorization": f"Bearer {self.plane.admin.token}"}
        line = Line(verify=trusted, headers=headers, proxied=True)
        url = f"{self.plane.url}{self.proxied(pod, 8000)}/v1"
        return Probe(url, self.key, SERVICE, release, self.model, timeout=DEADLINE, line=line)

    def request(self, pod: str, **fields: Any) -> Json:
        found = self.plane.api("GET", f"/api/v1/namespaces/{self.namespace}/pods/{pod}")
        return {
            "url": f"http://{found['status']['podIP']}:8000/v1/completions",
            "json": {"model": SERVICE, "prompt": "one two", "max_tokens": 4} | fields,
            "headers": {"x-api-key": self.key},
            "timeout": DEADLINE,
        }

    def ask(self, pod: str, **fields: Any) -> Json:
        """A completion from a pod's endpoint, at the pod's own address."""
        answer = httpx.post(**self.request(pod, **fields), trust_env=False)
        return {"status": answer.status_code, **answer.json()}

    def stream(self, pod: str, **fields: Any) -> AbstractContextManager[httpx.Response]:
        return httpx.stream("POST", **self.request(pod, stream=True, **fields), trust_env=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def standin(control_plane: ControlPlane, model: Path, tmp_path: Path) -> Iterator[StandIn]:
    home = tmp_path / "pods"
    home.mkdir(mode=0o700)
    count = lambda text: count_tokens(model, text)  # noqa: E731
    with StandIn(control_plane.kubeconfig(), home, count) as made:
        yield made
        assert made.problems == []


@pytest.fixture
def site(
    control_plane: ControlPlane, namespace_of_test: str, add_node: AddNode, model: Path
) -> Site:
    """A namespace with nodes, the Secret of keys, and no RayService yet."""
    add_node(gpus=4)
    add_node(gpus=4)
    add_node(gpus=4)
    made, text = make_key(OPERATOR, 0.0)
    keys = base64.b64encode(KeySet().add(SERVICE, made).dump().encode()).decode()
    secret = {"metadata": {"name": f"{SERVICE}-keys"}, "data": {"keys.json": keys}}
    control_plane.api("POST", f"/api/v1/namespaces/{namespace_of_test}/secrets", secret)
    return Site(control_plane, namespace_of_test, text, model)


@pytest.fixture
def running(site: Site, standin: StandIn) -> Iterator[Site]:
    """The same with one release that runs."""
    site.plane.api("POST", site.services, ray_service(serve_config({1: 100}, generation=1)))
    until("the RayService runs", site.runs, DEADLINE)
    until("the table is used", lambda: set(site.acknowledged().values()) == {1}, DEADLINE)
    yield site
    site.plane.api("DELETE", f"{site.services}/{NAME}")


def test_a_ray_service_comes_up_in_seconds(site: Site, standin: StandIn) -> None:
    began = time.monotonic()
    site.plane.api("POST", site.services, ray_service(serve_config({1: 100}, generation=1)))
    until("the RayService runs", site.runs, DEADLINE)
    took = time.monotonic() - began
    until("all workers serve", lambda: site.status()["numServeEndpoints"] == 4, DEADLINE)
    assert site.applications() == {"llmops-gateway": "RUNNING", "tiny-r1": "RUNNING"}
    assert [len(site.pods(role)) for role in ("head", "gateway", "replica")] == [1, 2, 2]
    assert took < DEADLINE, f"it took {took:.1f} s"


def test_pods_carry_what_kuberay_puts_on_them(running: Site) -> None:
    pods = running.plane.api("GET", f"/api/v1/namespaces/{running.namespace}/pods")["items"]
    cluster = running.plane.api("GET", running.cluster)
    assert {pod["metadata"]["labels"]["ray.io/group"] for pod in pods} == GROUPS
    for pod in pods:
        labels, [owner] = pod["metadata"]["labels"], pod["metadata"]["ownerReferences"]
        assert labels["ray.io/cluster"] == cluster["metadata"]["name"]
        assert labels["ray.io/is-ray-node"] == "yes"
        assert (owner["kind"], owner["uid"]) == ("RayCluster", cluster["metadata"]["uid"])
        env = {entry["name"]: entry for entry in pod["spec"]["containers"][0]["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        secret = env["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": f"{SERVICE}-ray-token", "key": "auth_token"}


def test_the_first_start_is_told_as_pending_until_all_applications_run(
    site: Site, standin: StandIn
) -> None:
    standin.fail("tiny-r1", "no weights")
    site.plane.api("POST", site.services, ray_service(serve_config({1: 100}, generation=1)))
    until("it failed", lambda: site.applications("pending").get("tiny-r1") == FAILED, DEADLINE)
    assert site.applications("active") == {}
    assert not site.runs()
    standin.heal("tiny-r1")
    config = serve_config({2: 100}, generation=2)
    site.submit(config)
    until("the RayService runs", site.runs, DEADLINE)


def test_a_lost_head_takes_the_state_of_serve_with_it(running: Site) -> None:
    [head] = running.pods("head")
    running.plane.api("DELETE", f"/api/v1/namespaces/{running.namespace}/pods/{head}")
    until("it begins anew", lambda: running.applications().get("tiny-r1") != "RUNNING", DEADLINE)
    until("it runs", lambda: running.applications().get("tiny-r1") == "RUNNING", DEADLINE)
    assert running.pods("head") != [head]


def test_a_real_probe_believes_each_gateway(running: Site, standin: StandIn) -> None:
    for pod in running.pods("gateway"):
        running.probe(pod, release=1).ask()
        assert standin.tallies()[pod, "tiny-r1"].finished == 2
        assert running.state(pod)["services"][SERVICE]["healthy"] is True


def test_a_pod_that_is_no_gateway_answers_nobody(running: Site) -> None:
    [head] = running.pods("head")
    with pytest.raises(httpx.HTTPStatusError, match="nothing answers"):
        running.plane.api("GET", f"{running.proxied(head, 9090)}/state")


def test_a_changed_table_is_acknowledged_by_each_pod_in_its_time(
    running: Site, standin: StandIn
) -> None:
    slow, quick = running.pods("gateway")
    standin.delays.tables[slow] = 2.0
    running.submit(serve_config({1: 100}, generation=2))
    until("the quick pod follows", lambda: running.acknowledged()[quick] == 2, DEADLINE)
    assert running.acknowledged()[slow] == 1
    assert running.applications()["llmops-gateway"] == "DEPLOYING"
    until("the slow pod follows", lambda: running.acknowledged()[slow] == 2, DEADLINE)


def test_an_application_that_is_taken_out_goes_after_its_last_answer(
    running: Site, standin: StandIn
) -> None:
    running.submit(serve_config({1: 0, 2: 100}, generation=2))
    until("it runs", lambda: running.applications().get("tiny-r2") == "RUNNING", DEADLINE)
    until("the table is used", lambda: set(running.acknowledged().values()) == {2}, DEADLINE)
    standin.latency.token = 0.1
    answers: list[Json] = []
    pod, _ = running.pods("gateway")
    asking = threading.Thread(target=lambda: answers.append(running.ask(pod, max_tokens=20)))
    asking.start()
    until("it is asked", lambda: standin.total("tiny-r2").sent == 1, DEADLINE)
    running.submit(serve_config({1: 100}, generation=3))
    until("it is leaving", lambda: running.applications().get("tiny-r2") == "DELETING", DEADLINE)
    until("it is gone", lambda: "tiny-r2" not in running.applications(), DEADLINE)
    asking.join(DEADLINE)
    assert answers[0]["usage"]["completion_tokens"] == 20
    assert standin.total("tiny-r2").finished == 1


def test_an_answer_dies_with_the_pod_that_makes_it(running: Site, standin: StandIn) -> None:
    standin.latency.token = 0.2
    [holder] = [pod for pod in running.pods("replica") if pod in running.holders("tiny-r1")]
    path = f"/api/v1/namespaces/{running.namespace}/pods/{holder}"
    with running.stream(running.pods("gateway")[0], max_tokens=100) as answer:
        pieces = answer.iter_text()
        next(pieces)
        running.plane.api("DELETE", path)
        rest = "".join(pieces)
    assert "[DONE]" not in rest
    assert "error" in rest
    assert standin.total("tiny-r1").died == 1


def test_a_chat_is_counted_also_when_it_streams(running: Site, standin: StandIn) -> None:
    said = [{"role": "user", "content": "one two"}]
    asked = running.request(running.pods("gateway")[0], messages=said)
    asked["url"] = asked["url"].replace("/completions", "/chat/completions")
    del asked["json"]["prompt"]
    whole = httpx.post(**asked, trust_env=False).json()
    asked["json"] |= {"stream": True, "stream_options": {"include_usage": True}}
    *pieces, last, end = httpx.post(**asked, trust_env=False).text.strip().split("\n\n")
    events = [json.loads(piece.removeprefix("data: ")) for piece in pieces]
    assert end == "data: [DONE]"
    assert json.loads(last.removeprefix("data: "))["usage"] == whole["usage"]
    text = "".join(event["choices"][0]["delta"]["content"] for event in events)
    assert text == whole["choices"][0]["message"]["content"]
    assert standin.total("tiny-r1").finished == 2


def test_a_changed_secret_reaches_the_pods_in_its_time(running: Site, standin: StandIn) -> None:
    standin.delays.keys = 1.0
    pod, _ = running.pods("gateway")
    running.set_keys(KeySet(version=7))
    assert running.ask(pod)["status"] == 200
    until("the key is gone", lambda: running.ask(pod)["status"] == 401, DEADLINE)
    assert running.state(pod)["keys_version"] == "7"


def test_a_table_that_is_none_is_told_and_the_old_one_stays(running: Site) -> None:
    config = yaml.safe_load(serve_config({1: 100}, generation=2))
    config["applications"][0]["deployments"][0]["user_config"] = {"generation": "two"}
    running.submit(yaml.safe_dump(config))
    until("told", lambda: "not taken over" in running.message("llmops-gateway"), DEADLINE)
    assert set(running.acknowledged().values()) == {1}
    running.submit(serve_config({1: 100}, generation=3))
    until("the table is used", lambda: set(running.acknowledged().values()) == {3}, DEADLINE)


def test_nothing_is_written_when_nothing_changes(running: Site) -> None:
    until("all is told", lambda: running.status()["numServeEndpoints"] == 4, DEADLINE)
    objects = (f"{running.services}/{NAME}", running.cluster)
    before = [running.plane.api("GET", path)["metadata"]["resourceVersion"] for path in objects]
    time.sleep(0.5)  # nothing happens, so there is nothing to poll for
    after = [running.plane.api("GET", path)["metadata"]["resourceVersion"] for path in objects]
    assert before == after


def test_it_goes_on_when_the_api_server_was_away(running: Site) -> None:
    running.plane.restart_api_server()
    running.submit(serve_config({1: 100}, generation=2))
    until("the table is used", lambda: set(running.acknowledged().values()) == {2}, DEADLINE)


def test_pods_that_a_quota_refuses_are_told(running: Site) -> None:
    quota = {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "5"}}}
    running.plane.api("POST", f"/api/v1/namespaces/{running.namespace}/resourcequotas", quota)
    until("it counts", lambda: running.quota().get("pods") == "5", DEADLINE)
    running.scale(3)
    until("told", lambda: "exceeded quota" in running.failure(), DEADLINE)


def test_an_application_that_cannot_start_says_why_and_harms_no_other(
    running: Site, standin: StandIn
) -> None:
    standin.fail("tiny-r2", "the weights are not there")
    running.submit(serve_config({1: 100, 2: 0}, generation=2))
    until("it failed", lambda: running.applications().get("tiny-r2") == "DEPLOY_FAILED", DEADLINE)
    told = running.status()["activeServiceStatus"]["applicationStatuses"]["tiny-r2"]
    assert told["message"] == "the weights are not there"
    assert running.runs()
    assert running.ask(running.pods("gateway")[0])["status"] == 200


def test_an_application_waits_for_a_pod_that_has_room(running: Site) -> None:
    running.submit(serve_config({1: 100}, generation=2, replicas=3))
    until("it waits", lambda: running.applications()["tiny-r1"] == "DEPLOYING", DEADLINE)
    told = running.status()["activeServiceStatus"]["applicationStatuses"]["tiny-r1"]
    assert "llmops_replica" in told["message"]
    running.scale(3)
    until("it runs", lambda: running.applications()["tiny-r1"] == "RUNNING", DEADLINE)


def test_the_named_worker_goes(running: Site) -> None:
    oldest, kept = running.pods("replica")
    running.scale(1, oldest)
    until("one is left", lambda: running.pods("replica") == [kept], DEADLINE)
    until("it runs", lambda: running.applications()["tiny-r1"] == "RUNNING", DEADLINE)


def test_scaling_the_ray_service_does_not_reach_its_cluster(running: Site) -> None:
    path = f"{running.services}/{NAME}"
    config = running.plane.api("GET", path)["spec"]["rayClusterConfig"]
    config["workerGroupSpecs"][1] |= {"replicas": 1, "minReplicas": 1, "maxReplicas": 1}
    running.change(path, rayClusterConfig=config)
    generation = running.plane.api("GET", path)["metadata"]["generation"]
    until("seen", lambda: running.status()["observedGeneration"] == generation, DEADLINE)
    assert running.plane.api("GET", running.cluster)["spec"]["workerGroupSpecs"][1]["replicas"] == 2
    assert len(running.pods("replica")) == 2


def test_a_lost_worker_is_made_again(running: Site) -> None:
    before = running.pods("replica")
    path = f"/api/v1/namespaces/{running.namespace}/pods/{before[0]}"
    running.plane.api("DELETE", path)
    until("another", lambda: _again(running, before), DEADLINE)


def _again(site: Site, before: list[str]) -> bool:
    now = site.pods("replica")
    return len(now) == 2 and before[0] not in now and site.applications()["tiny-r1"] == "RUNNING"


def test_a_dead_operator_changes_nothing_until_it_is_back(running: Site, standin: StandIn) -> None:
    standin.freeze()
    running.submit(serve_config({1: 100}, generation=2))
    generation = running.plane.api("GET", f"{running.services}/{NAME}")["metadata"]["generation"]
    time.sleep(0.5)  # nothing happens, so there is nothing to poll for
    assert running.status()["observedGeneration"] < generation
    assert set(running.acknowledged().values()) == {1}
    assert running.ask(running.pods("gateway")[0])["status"] == 200
    standin.thaw()
    until("the table is used", lambda: set(running.acknowledged().values()) == {2}, DEADLINE)


def test_everything_goes_with_the_ray_service(running: Site) -> None:
    running.plane.api("DELETE", f"{running.services}/{NAME}")
    until("pods are gone", lambda: not running.pods("replica"), DEADLINE)
    running.plane.api("POST", running.services, ray_service(serve_config({1: 100}, generation=1)))


def test_what_kuberay_refuses_is_refused_with_an_event(site: Site, standin: StandIn) -> None:
    refused = ray_service(serve_config({1: 100}, generation=1))
    del refused["spec"]["rayClusterConfig"]["rayVersion"]
    site.plane.api("POST", site.services, refused)
    events = f"/api/v1/namespaces/{site.namespace}/events"
    until("an event", lambda: bool(site.plane.api("GET", events)["items"]), DEADLINE)
    [event] = site.plane.api("GET", events)["items"]
    assert event["reason"] == "InvalidRayServiceSpec"
    assert "rayVersion" in event["message"]
    assert site.status() == {}
