"""A Ray Serve that is none: where replicas would be, and what their states would be. Pure.

It knows applications of one deployment each, custom resources of nodes, one routing table
(`user_config`) per deployment, drains, and that a replica dies with its pod. It leaves out actors,
health checks, CPUs and GPUs as resources, autoscaling (an application has its lowest number of
replicas), versions of code (a change of arguments starts nothing anew), rolling updates and the
controller's own death. Times are seconds of whoever calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

GRACE = 20.0
"""Seconds a replica may take to finish its requests, where its deployment says nothing else."""


@dataclass(frozen=True)
class Node:
    """A pod as Ray sees it."""

    resources: Mapping[str, float]
    ready: bool
    """Whether something new may be placed on it."""
    leaving: bool
    """Whether it is on its way out."""


@dataclass(eq=False)
class Replica:
    """One replica of a deployment."""

    pod: str
    starts_at: float
    table: Any = None
    """The `user_config` that it has taken over."""
    in_flight: int = 0
    dead: bool = False
    """Its pod is gone, and what it was answering with it."""
    leaves_by: float | None = None
    """When it is stopped although it still answers; None while it takes requests."""


@dataclass(eq=False)
class Application:
    """An application and its one deployment."""

    name: str
    config: Mapping[str, Any]
    submitted_at: float
    replicas: list[Replica] = field(default_factory=list)
    begun: bool = False
    ran: int = 0
    """Replicas it has been running with: fewer than that is a loss, not a start."""
    failure: str = ""
    complaint: str = ""
    """Why a replica would not take over its routing table; it keeps the one before."""
    deleting: bool = False
    changed_at: float = 0.0
    """When its routing table changed."""

    @property
    def deployment(self) -> Mapping[str, Any]:
        [deployment] = self.config["deployments"]
        return deployment  # type: ignore[no-any-return]

    @property
    def wanted(self) -> int:
        scaling = self.deployment.get("autoscaling_config")
        count = scaling["min_replicas"] if scaling else self.deployment.get("num_replicas", 1)
        return 0 if self.deleting or self.failure else int(count)

    @property
    def table(self) -> Any:
        return self.deployment.get("user_config")

    @property
    def resources(self) -> Mapping[str, float]:
        found: Mapping[str, float] = self.deployment.get("ray_actor_options", {}).get(
            "resources", {}
        )
        return found

    @property
    def staying(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.leaves_by is None]

    def live(self, now: float) -> list[Replica]:
        """Replicas that take requests."""
        return [replica for replica in self.staying if replica.starts_at <= now]

    def status(self, now: float) -> str:
        """The application's state, in Serve's words."""
        if self.deleting:
            return "DELETING"
        if self.failure:
            return "DEPLOY_FAILED"
        if not self.begun:
            return "NOT_STARTED"
        live = self.live(now)
        if len([r for r in live if r.table == self.table]) >= self.wanted:
            return "RUNNING"
        return "UNHEALTHY" if len(live) < self.ran else "DEPLOYING"

    def message(self) -> str:
        missing = self.wanted - len(self.staying)
        if self.failure or missing <= 0 or not self.begun:
            return self.failure or self.complaint
        return f"{missing} replicas wait for a node that has {dict(self.resources)}"


class Serve:
    """Everything that one Ray cluster's Serve holds."""

    def __init__(self) -> None:
        self.applications: dict[str, Application] = {}

    def submit(self, config: Mapping[str, Any], now: float) -> None:
        """Make `config` what should run: an application that is left out is deleted.

        Raises LookupError, TypeError or ValueError when it is no config of applications with one
        deployment each.
        """
        wanted = {app["name"]: app for app in config.get("applications", [])}
        for app in wanted.values():
            [_] = app["deployments"]
        for name, app in wanted.items():
            known = self.applications.get(name)
            if known is None or known.deleting:
                self.applications[name] = Application(name, app, now, changed_at=now)
            else:
                _change(known, app, now)
        for name in self.applications.keys() - wanted.keys():
            self.applications[name].deleting = True

    def step(
        self, now: float, nodes: Mapping[str, Node], delay: float, failing: Mapping[str, str]
    ) -> None:
        """Let happen what happens by `now`.

        Args:
            now: The time.
            nodes: The pods that exist, by name.
            delay: Seconds that a replica takes to start.
            failing: Applications that cannot start, and why.
        """
        for app in list(self.applications.values()):
            _bury(app, nodes, now)
            _retire(app, now)
            if app.deleting and not app.replicas:
                del self.applications[app.name]
                continue
            if app.name in failing and not app.ran and app.begun:
                app.failure = app.failure or failing[app.name]
            self._place(app, nodes, now + delay)
            if app.status(now) == "RUNNING":
                app.ran = app.wanted
            app.begun = True

    def _place(self, app: Application, nodes: Mapping[str, Node], starts_at: float) -> None:
        if not app.begun:
            return
        for _ in range(app.wanted - len(app.staying)):
            pod = next((p for p, node in nodes.items() if self._fits(app, p, node)), None)
            if pod is None:
                return
            app.replicas.append(Replica(pod, starts_at))

    def _fits(self, app: Application, pod: str, node: Node) -> bool:
        used: Counter[str] = Counter()
        for other in self.applications.values():
            here = sum(replica.pod == pod for replica in other.replicas)
            for name, amount in other.resources.items():
                used[name] += int(amount * here)
        return (
            node.ready
            and not node.leaving
            and all(
                node.resources.get(name, 0) - used[name] >= amount
                for name, amount in app.resources.items()
            )
        )

    def statuses(self, now: float) -> dict[str, Any]:
        """The applications as the dashboard's API tells them, in KubeRay's field names."""
        return {app.name: _document(app, now) for app in self.applications.values()}

    def live(self, name: str, now: float) -> list[Replica]:
        """Replicas of an application that take requests; none when there is no such application."""
        app = self.applications.get(name)
        return [] if app is None else app.live(now)

    def pods(self, name: str) -> Iterator[str]:
        """Pods that hold a replica of an application."""
        app = self.applications.get(name)
        yield from (replica.pod for replica in (app.replicas if app else ()))


def _change(app: Application, config: Mapping[str, Any], now: float) -> None:
    before, app.config = app.config, config
    if before != config:
        app.failure = app.complaint = ""
        app.ran = min(app.ran, app.wanted)
    if before["deployments"][0].get("user_config") != app.table:
        app.changed_at = now


def _bury(app: Application, nodes: Mapping[str, Node], now: float) -> None:
    for replica in list(app.replicas):
        if replica.pod not in nodes:
            replica.dead = True
            app.replicas.remove(replica)
        elif nodes[replica.pod].leaving and replica.leaves_by is None:
            # Nothing new comes to it any more, and it lasts as long as the pod.
            replica.leaves_by = float("inf")


def _retire(app: Application, now: float) -> None:
    """Stop what is too much, the newest first, once it has answered what it has."""
    grace = app.deployment.get("graceful_shutdown_timeout_s", GRACE)
    surplus = len(app.staying) - app.wanted
    for replica in app.staying[::-1][: max(0, surplus)]:
        replica.leaves_by = now + grace
    for replica in list(app.replicas):
        if replica.leaves_by is None or replica.leaves_by == float("inf"):
            continue
        if not replica.in_flight or now >= replica.leaves_by:
            replica.dead = replica.in_flight > 0
            app.replicas.remove(replica)


def _document(app: Application, now: float) -> dict[str, Any]:
    status = app.status(now)
    states = {"RUNNING": "HEALTHY", "UNHEALTHY": "UNHEALTHY", "DEPLOY_FAILED": "DEPLOY_FAILED"}
    deployment = {"status": states.get(status, "UPDATING"), "message": app.message()}
    return {
        "status": status,
        "message": app.message(),
        "serveDeploymentStatuses": {str(app.deployment["name"]): deployment} if app.begun else {},
    }
