"""A namespace with nodes and a desk, kept for all tests of a file: deploying takes its time.

What a person would see with kubectl, ask through the API server, or read in the audit log is here;
nothing looks inside llmops.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from tests.engines.programs import find
from tests.kubernetes.audit import Write
from tests.kubernetes.certificates import Pair
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.desk import DEADLINE, Desk
from tests.kubernetes.standin import StandIn
from tests.kubernetes.users import User
from tests.kubernetes.warm import Warm
from tests.support.hub import HubServer
from tests.support.program import Done

Json = dict[str, Any]
OURS = (
    "rayservices,rayclusters,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,"
    "networkpolicies,poddisruptionbudgets,resourcequotas,persistentvolumeclaims,leases,events"
)
"""Every kind of object that llmops, KubeRay or Kubernetes may make in a namespace here."""


@dataclass
class WarmDesk(Desk):
    """A desk whose `llmops` has no start to wait for; `run_cold` starts it as a person does."""

    warm: Warm | None = field(default=None, repr=False)

    def run(self, *arguments: str | Path, deadline: float = 0.0, **environment: str) -> Done:
        """Run `llmops` to its end."""
        assert self.warm is not None
        given = {**self.environment, **environment}
        return self.warm.run([str(a) for a in arguments], given, self.folder)

    def run_cold(self, *arguments: str | Path, **environment: str) -> Done:
        """Run the installed program."""
        return super().run(*arguments, deadline=DEADLINE, **environment)


@dataclass
class Site:
    """One namespace, seen by its administrator and by whoever sits at the desk."""

    plane: ControlPlane
    standin: StandIn
    desk: WarmDesk
    namespace: str

    # As kubectl

    def kubectl(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """What kubectl prints, asked as the administrator in this namespace."""
        return self.plane.kubectl(f"--namespace={self.namespace}", *arguments, input=input)

    def items(self, kind: str, selector: str = "") -> list[Json]:
        """Objects of a kind."""
        more = [f"--selector={selector}"] if selector else []
        found: list[Json] = json.loads(self.kubectl("get", kind, "-o", "json", *more))["items"]
        return found

    def one(self, kind: str, name: str) -> Json:
        """One object."""
        found: Json = json.loads(self.kubectl("get", kind, name, "-o", "json"))
        return found

    def names(self, kind: str = OURS, selector: str = "") -> set[str]:
        """Objects as `Kind/name`."""
        found = self.items(kind, selector)
        return {f"{one['kind']}/{one['metadata']['name']}" for one in found}

    # As a client of the endpoint

    def door(self, service: str = "chat") -> str:
        """Base URL of the endpoint, through the API server's proxy of its Service."""
        where = f"/api/v1/namespaces/{self.namespace}/services/{service}:http/proxy/v1"
        return self.plane.url + where

    def client(self) -> httpx.Client:
        """A client that the API server lets through."""
        trusted = ssl.create_default_context(cafile=str(self.plane.authority.certificate))
        headers = {"authorization": f"Bearer {self.plane.admin.token}"}
        return httpx.Client(verify=trusted, trust_env=False, timeout=30, headers=headers)

    def ask(self, key: str, service: str = "chat", **fields: Any) -> httpx.Response:
        """A completion with an API key."""
        body = {"model": service, "prompt": "one two", "max_tokens": 4, **fields}
        with self.client() as client:
            url = f"{self.door(service)}/completions"
            return client.post(url, json=body, headers={"x-api-key": key})

    def endpoints(self, service: str = "chat") -> list[str]:
        """Base URLs of the pods that the Service leads to now, as a node's proxy knows them."""
        return endpoints(self.plane, self.namespace, service)

    # What was written

    def writes_during(self, act: Callable[[], Any], user: str = "admin") -> list[Write]:
        """What a user wrote while something was done, without trial runs, here and cluster-wide."""
        since = self.plane.audit.mark()
        act()
        made = self.plane.audit.writes(since=since, user=user)
        mine = [one for one in made if one.namespace in (self.namespace, "")]
        return [one for one in mine if not one.is_dry_run and "reviews" not in one.resource]

    # Other people

    def desk_of(self, who: User | Pair | None, name: str, **places: Any) -> WarmDesk:
        """Another person's desk: a home and a kubeconfig of their own, and the same hub."""
        own = {"LLMOPS_HOME", "KUBECONFIG"}
        folder = self.desk.folder.parent / name
        return replace(
            self.desk,
            home=folder / "home",
            folder=folder / "desk",
            kubeconfig=self.plane.kubeconfig(who, **{"namespace": self.namespace, **places}),
            environment={k: v for k, v in self.desk.environment.items() if k not in own},
        )

    def path_with_plugins(self) -> str:
        """A PATH on which kubectl finds its plugins, and that is."""
        programs = [Path(find("kubectl")).parent, self.plugins()]
        return os.pathsep.join([*map(str, programs), os.environ["PATH"]])

    @staticmethod
    def plugins() -> Path:
        """Where `kubectl-llmops` was installed."""
        import sys

        return Path(sys.executable).parent

    def as_user(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run another program at the desk."""
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=self.desk.folder,
            env={**self.desk.environment, **environment},
        )


def endpoints(plane: ControlPlane, namespace: str, service: str) -> list[str]:
    """Base URLs of the ready pods behind a Service."""
    where = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    found = plane.api("GET", f"{where}?labelSelector=kubernetes.io/service-name={service}")
    ends = [end for one in found["items"] for end in one.get("endpoints") or []]
    ready = [end for end in ends if end.get("conditions", {}).get("ready") is not False]
    return [f"http://{end['addresses'][0]}:8000/v1" for end in ready]


@contextmanager
def open_site(
    plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    folder: Path,
    *,
    level: str = "restricted",
    nodes: tuple[Json, ...] = ({"cpu": 32, "memory": "128Gi"},) * 2,
) -> Iterator[Site]:
    """A fresh namespace at that Pod Security level, with nodes; all of it goes at the end."""
    namespace, made = plane.namespace(level), []
    for resources in nodes:
        made.append(f"node-{uuid.uuid4().hex[:6]}")
        plane.add_node(made[-1], **resources)
    environment = {**os.environ, **hub.environment, "NO_COLOR": "1"}
    try:
        with Warm(environment) as warm:
            desk = WarmDesk(
                home=folder / "home",
                folder=folder / "desk",
                kubeconfig=plane.kubeconfig(namespace=namespace),
                namespace=namespace,
                source="hf://tests/tiny",
                environment=hub.environment,
                warm=warm,
            )
            yield Site(plane, standin, desk, namespace)
    finally:
        plane.remove_namespace(namespace)
        for node in made:
            plane.remove_node(node)
