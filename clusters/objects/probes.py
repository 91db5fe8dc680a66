"""When a pod is up, ready, or to be restarted.

They are our own: those that KubeRay would add to a RayService's workers ask Serve's HTTP proxy,
which is off. All of them are plain HTTP from kubelet, and need no token: Ray's token guards all
paths but a few, and the health paths are among those, on the head's dashboard
(`http_server_head.py` in ray/dashboard) and on every node's agent (`http_server_agent.py`). Tried
with Ray 2.60: 200 without a token, where `/api/version` is 401. The agent listens on the pod's
address too, so no shell and no `wget` has to be in the image.

An engine that is broken is not for these probes: the gateway and Serve notice in seconds, and send
nothing there. A raylet that ends takes its container along (`ray start --block`), at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from lightkube.models import core_v1

from clusters import names
from clusters.objects.sizes import MIB
from llmops.releases import Release

AGENT_PORT = 52365
"""Port of Ray's agent in every pod; KubeRay's default, written down so that it stays."""

RAYLET = "/api/local_raylet_healthz"
"""Whether this pod's raylet answers. A head that is away is not held against it: restarting every
replica because the head is being replaced would make one fault into many."""
NODE = "/api/healthz"
"""On the head: its raylet and the cluster's store (GCS)."""
STORE = "/api/gcs_healthz"
"""Of the dashboard: that it answers, which KubeRay's operator needs, and the store behind it."""

FETCH_RATE = 50 * MIB
"""Bytes per second at which weights come in at least: 400 Mbit/s, a slow disk or a busy link."""
ENGINE_START = 300
"""Seconds for everything after the weights are there: loading them, compiling, capturing graphs."""
PERIOD = 10
"""Seconds between two looks."""
TIMEOUT = 5
"""Seconds for an answer: a core that compiles may keep the agent waiting."""


def start_budget(weight_bytes: int, deadline: float) -> int:
    """Seconds a replica may take to start, by the size of its model.

    weight_bytes / FETCH_RATE + ENGINE_START, at most the release's `start_deadline`, after which
    llmops gives it up anyway; yet never less than ENGINE_START, which a cold node may need for Ray.
    """
    estimate = weight_bytes / FETCH_RATE + ENGINE_START
    return math.ceil(max(ENGINE_START, min(estimate, deadline)))


def longest_start(releases: Iterable[Release]) -> int:
    """The start budget of the slowest of `releases`."""
    budgets = (
        start_budget(int(r.plan.model.weight_bytes.value), r.plan.start_deadline_seconds)
        for r in releases
    )
    return max(budgets, default=ENGINE_START)


def of_head(container: core_v1.Container) -> None:
    """Ready when its dashboard answers; restarted when store or raylet hang for two minutes."""
    container.startupProbe = _probe(names.DASHBOARD_PORT, STORE, ENGINE_START)
    container.readinessProbe = _probe(names.DASHBOARD_PORT, STORE, 60)
    container.livenessProbe = _probe(AGENT_PORT, NODE, 120)


def of_gateway(container: core_v1.Container) -> None:
    """Ready when the gateway says so itself: it has a routing table and keys. It is looked at
    often, because a gateway that is not ready should get no more clients."""
    container.startupProbe = _probe(AGENT_PORT, RAYLET, ENGINE_START)
    container.readinessProbe = _probe(names.OPS_PORT, "/ready", 6, period=2, timeout=2)
    container.livenessProbe = _probe(AGENT_PORT, RAYLET, 120)


def of_replica(container: core_v1.Container, budget: int) -> None:
    """Up and ready with its raylet; Serve says when the engine in it answers.

    Fetching and loading weights can keep a node's disk and cores busy for as long as the start may
    take. A pod is not restarted for being slow in that time, or it would begin again for ever: so
    the patience of its liveness is the start budget too.
    """
    container.startupProbe = _probe(AGENT_PORT, RAYLET, budget)
    container.readinessProbe = _probe(AGENT_PORT, RAYLET, 60)
    container.livenessProbe = _probe(AGENT_PORT, RAYLET, budget)


def _probe(
    port: int, path: str, patience: int, *, period: int = PERIOD, timeout: int = TIMEOUT
) -> core_v1.Probe:
    """A probe that fails after `patience` seconds without a good answer."""
    return core_v1.Probe(
        httpGet=core_v1.HTTPGetAction(port=port, path=path),
        periodSeconds=period,
        timeoutSeconds=timeout,
        failureThreshold=math.ceil(patience / period),
    )
