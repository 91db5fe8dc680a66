"""What the gateways of a runtime have taken over, asked of each pod through the API server.

Pure, but for `ask`. That a table stands in a RayService says nothing: a move of traffic has ended
when every gateway that may get a client says that it uses it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clusters import names
from clusters.model import Manifest
from clusters.ports import Reader
from clusters.trouble import Forbidden
from llmops.errors import LlmopsError
from serving.serve_config import GATEWAY, application_name

ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway pod. `state` is what it tells of itself; None when it does not answer."""

    pod: str
    ready: bool
    state: Mapping[str, Any] | None = field(repr=False, default=None)
    address: str = ""

    @property
    def generation(self) -> int:
        return int(self.state["generation"]) if self.state else -1

    @property
    def keys_version(self) -> str:
        return str(self.state.get("keys_version", "")) if self.state else ""


@dataclass(frozen=True, slots=True)
class Gateways:
    """All gateway pods of a runtime that are not being deleted."""

    pods: tuple[Gateway, ...]

    @property
    def ready(self) -> tuple[Gateway, ...]:
        """Those that may get clients."""
        return tuple(pod for pod in self.pods if pod.ready)

    @property
    def answering(self) -> tuple[Mapping[str, Any], ...]:
        return tuple(pod.state for pod in self.pods if pod.state is not None)

    def behind(self, generation: int) -> tuple[str, ...]:
        """Names of the ready ones that do not use this routing table yet."""
        return tuple(pod.pod for pod in self.ready if pod.generation < generation)

    def without_keys(self, version: str) -> tuple[str, ...]:
        """Names of the ready ones that do not use this version of the keys yet."""
        return tuple(pod.pod for pod in self.ready if pod.keys_version != version)

    @property
    def silent(self) -> tuple[str, ...]:
        """Names of those that do not answer."""
        return tuple(pod.pod for pod in self.pods if pod.state is None)

    def share(self, service: str, number: int) -> int:
        """The least percent of new requests that a ready gateway sends to the release."""
        tables = (_service(pod.state, service).get("releases", {}) for pod in self.ready)
        return min((int(table.get(str(number), 0)) for table in tables), default=0)

    def know(self, service: str, number: int) -> bool:
        """Whether every ready gateway that answers has the release in its table: before that it can
        be asked for nothing."""
        told = [pod.state for pod in self.ready if pod.state is not None]
        return all(str(number) in _service(one, service).get("releases", {}) for one in told)

    def in_flight(self, service: str, number: int) -> int:
        """Requests in flight there, over all gateways that answer."""
        counts = (_service(state, service).get("in_flight", {}) for state in self.answering)
        return sum(int(count.get(str(number), 0)) for count in counts)

    def running(self, service: str, number: int) -> int:
        """Replicas of the release that answer, as a gateway knows them; where their number does not
        follow the load, and it looks seldom, those that Serve has placed."""
        for told in self.services(service):
            if count := told.get("replicas", {}).get(str(number)):
                return int(count["running"])
        return len(self.replica_ips(application_name(service, number)) or ())

    def decision(self, service: str, number: int) -> Mapping[str, Any]:
        """How many replicas the release is to have, and why, as the autoscaler in the runtime has
        posted it last; empty where there is none, or no gateway tells."""
        told = (one.get("decisions", {}).get(str(number)) for one in self.services(service))
        return max((one for one in told if one), key=lambda one: float(one["at"]), default={})

    def missing(self, service: str, number: int) -> str | None:
        """How many replicas answer of those that the release is to have; None when all do, or
        nobody has decided how many there are to be."""
        wanted = int(self.decision(service, number).get("replicas", 0))
        have = self.running(service, number)
        return f"{have} of {wanted} replicas answer" if have < wanted else None

    def services(self, service: str) -> tuple[Mapping[str, Any], ...]:
        """What each gateway that answers tells of the service."""
        return tuple(_service(state, service) for state in self.answering)

    def replica_ips(self, application: str) -> frozenset[str] | None:
        """Addresses of the pods that the application's replicas run on, as Serve says; None when
        no gateway could tell."""
        for state in self.answering:
            replicas = state.get("replicas")
            if isinstance(replicas, Mapping):
                return frozenset(str(ip) for ip in replicas.get(application, ()))
        return None


def _service(state: Mapping[str, Any] | None, service: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (state or {}).get("services", {}).get(service, {})
    return found


def is_ready(pod: Manifest) -> bool:
    """Whether Kubernetes counts the pod as ready, and does not end it."""
    conditions = pod.get("status", {}).get("conditions", [])
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def ask(reader: Reader, namespace: str, pods: Iterable[Manifest]) -> Gateways:
    """Ask each pod for its state.

    Raises:
        Forbidden: When this user may not ask: they would seem not to answer, for ever.
    """
    found = []
    for pod in pods:
        if "deletionTimestamp" in pod["metadata"] or not pod.get("status", {}).get("podIP"):
            continue
        name = pod["metadata"]["name"]
        state, address = _state(reader, namespace, name), str(pod["status"]["podIP"])
        found.append(Gateway(name, is_ready(pod), state, address))
    return holding(Gateways(tuple(found)))


def holding(found: Gateways) -> Gateways:
    """Those of the pods that a gateway runs on, as Serve says; all, when none can tell.

    Serve may be told of fewer gateways than there are pods. One without a gateway gets no clients,
    and would be waited for in vain.
    """
    where = found.replica_ips(GATEWAY)
    if not where:
        return found
    return Gateways(tuple(pod for pod in found.pods if pod.state or pod.address in where))


def _state(reader: Reader, namespace: str, pod: str) -> Mapping[str, Any] | None:
    try:
        answer = reader.proxy(pod, namespace, names.OPS_PORT, "/state", timeout=ANSWER_SECONDS)
        document = json.loads(answer.body) if answer.status == 200 else None
    except Forbidden:
        raise
    except (LlmopsError, ValueError):  # it starts, ends, or cannot be reached: it does not answer
        return None
    valid = isinstance(document, dict) and isinstance(document.get("generation"), int)
    return document if valid else None
