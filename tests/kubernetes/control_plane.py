"""A real control plane for tests: etcd, kube-apiserver, controllers, scheduler and fake kubelets.

What is real: admission, validation, server-side apply, RBAC, Pod Security, watches, scheduling,
endpoints, garbage collection, disruption budgets. What is not: no container runs, no image is
pulled, no probe is asked, no NetworkPolicy is enforced; a pod is "Running" because kwok says so.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from tests.engines.programs import HERE as ENGINES
from tests.kubernetes import servers
from tests.kubernetes.cluster import Cluster, until
from tests.kubernetes.processes import Server, listening

CRDS = sorted((ENGINES / "kuberay").glob("*.yaml"))
RESOURCES = {"rayclusters", "rayservices"}


class ControlPlane(Cluster):
    """A cluster of one test run. Everything that `start` starts ends with `stop`."""

    def __init__(self, root: Path) -> None:
        self.ports = servers.Ports()
        super().__init__(root, self.ports.api)
        self.servers: dict[str, Server] = {}
        """Programs by name, in the order in which they were started."""

    def start(self) -> None:
        """Start all; they are of use when this returns. Raises RuntimeError with a log's end."""
        signs, admin = servers.service_account_key(self.root), self.kubeconfig()
        self._run(servers.etcd(self.root, self.ports), lambda: listening(self.ports.etcd))
        api = servers.api_server(self.root, self.ports, self.authority, self.tokens, signs)
        self._run(api, self._is_ready)
        trusted, ports = self.authority.certificate, self.ports
        controllers = servers.controllers(self.root, ports.controllers, admin, trusted, signs)
        self._run(controllers)
        self._run(servers.scheduler(self.root, ports.scheduler, admin))
        self._run(servers.kubelets(self.root, ports.kubelets, admin))
        self._install(*CRDS)
        controllers.wait(self._has_controllers)
        self.check()

    def check(self) -> None:
        """Raises RuntimeError with the end of the log of a program that does not run."""
        for server in self.servers.values():
            _ = server.pid

    def stop(self) -> None:
        """End all by their pids, those that depend on others first."""
        self.close()
        for server in reversed(list(self.servers.values())):
            server.stop(grace=2.0)

    def stop_api_server(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Let the API server die at once, as a crash does; the pid that went."""
        server = self.servers["kube-apiserver"]
        pid = server.pid
        server.stop(how)
        return pid

    def start_api_server(self) -> None:
        """Start it on the same port, and wait until it is ready."""
        server = self.servers["kube-apiserver"]
        server.start()
        server.wait(self._is_ready)
        server.wait(self._serves_ray)

    def restart_api_server(self) -> None:
        """Let it die, and start it again."""
        self.stop_api_server()
        self.start_api_server()

    def _run(self, server: Server, ready: Callable[[], bool] | None = None) -> None:
        self.servers[server.name] = server
        server.start()
        if ready is not None:
            server.wait(ready)

    def _install(self, *files: Path) -> None:
        self.kubectl("apply", "--server-side", *(f"--filename={file}" for file in files))
        until("KubeRay's resources", self._serves_ray)

    def _is_ready(self) -> bool:
        return self.look("/readyz") is not None

    def _has_controllers(self) -> bool:
        """The controllers make the account that every pod of a namespace runs as."""
        return self.look("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def _serves_ray(self) -> bool:
        """A definition is listed, then served, and only then in what clients discover."""
        listed = (self.look("/apis/ray.io/v1") or {}).get("resources", [])
        return {found["name"] for found in listed} >= RESOURCES and all(
            self.look(f"/apis/ray.io/v1/{name}") is not None for name in RESOURCES
        )
