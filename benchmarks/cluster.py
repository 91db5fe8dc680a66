"""What the figures of the target `kubernetes` are taken on: a real API server, and a live service.

The control plane and the stand-in for KubeRay are the tests' own (`tests/kubernetes`); see there
what is real. All of it lies in a network namespace that nothing leaves, and ends with the caller.
"""

from __future__ import annotations

import contextlib
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from serving.client import count_tokens
from tests.engines.programs import find
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.desk import Desk
from tests.kubernetes.processes import Server, free_port, listening
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer
from tests.support.tiny_model import make_tiny_model

NODES = 2
SOURCE = "hf://tests/tiny"


@contextlib.contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """A fresh one. The caller is in a network namespace of its own."""
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(Path(folder))
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()


@dataclass(frozen=True, slots=True)
class Served:
    """A service that llmops has deployed, and the objects that it is made of, as a tree."""

    desk: Desk
    spec: Path
    tree: Path


@contextlib.contextmanager
def served(plane: ControlPlane) -> Iterator[Served]:
    """One small service, deployed and verified, with the stand-in for KubeRay running."""
    with tempfile.TemporaryDirectory() as name, _hub(Path(name)) as (hub, model):
        folder = Path(name)
        (folder / "standin").mkdir()
        for number in range(NODES):
            plane.add_node(f"bench-{number}", cpu=32, memory="128Gi")
        namespace = plane.namespace()
        desk = Desk(
            home=folder / "home",
            folder=folder / "desk",
            kubeconfig=plane.kubeconfig(namespace=namespace),
            namespace=namespace,
            source=SOURCE,
            environment=hub.environment,
        )

        def count(text: str) -> int:
            return count_tokens(model, text)

        with StandIn(plane.kubeconfig(), folder / "standin", count):
            spec, tree = desk.spec(), folder / "tree"
            _done(desk, "deploy", "-f", str(spec), "--yes")
            _done(desk, "render", "-f", str(spec), "--directory", str(tree))
            yield Served(desk, spec, tree)


@contextlib.contextmanager
def _hub(folder: Path) -> Iterator[tuple[HubServer, Path]]:
    (folder / "model").mkdir()
    model = make_tiny_model(folder / "model")
    files = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    hub = HubServer()
    hub.publish(SOURCE.removeprefix("hf://"), files)
    try:
        yield hub, model
    finally:
        hub.close()


def _done(desk: Desk, *arguments: str) -> None:
    ended = desk.run(*arguments)
    if ended.code != 0:
        raise SystemExit(f"llmops {' '.join(arguments)}: {ended.text}")


class Counted:
    """`kubectl proxy` in front of the API server; it writes down every request that it passes."""

    def __init__(self, server: Server, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._server = server

    def requests(self) -> list[str]:
        """Method and path of every request until now."""
        return re.findall(r"Filter accepting (\S+ \S+)", self._server.log.read_text())


@contextlib.contextmanager
def counted(plane: ControlPlane, namespace: str) -> Iterator[Counted]:
    """A way to the API server on which requests are counted. It is slower: take no times on it."""
    with tempfile.TemporaryDirectory() as name:
        port, kubeconfig = free_port(), Path(name, "kubeconfig")
        command = [str(find("kubectl")), f"--kubeconfig={plane.kubeconfig()}", "proxy"]
        server = Server([*command, f"--port={port}", "-v=3"], Path(name))
        kubeconfig.write_text(_unauthenticated(f"http://127.0.0.1:{port}", namespace))
        try:
            server.start()
            server.wait(lambda: listening(port))
            yield Counted(server, kubeconfig)
        finally:
            server.stop()


def _unauthenticated(url: str, namespace: str) -> str:
    context = {"cluster": "counted", "user": "nobody", "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "counted",
        "contexts": [{"name": "counted", "context": context}],
        "clusters": [{"name": "counted", "cluster": {"server": url}}],
        "users": [{"name": "nobody", "user": {}}],
    }
    return yaml.safe_dump(document)


@dataclass(frozen=True, slots=True)
class Ran:
    """A whole process: how long it took, and how much of the processors."""

    seconds: float
    cpu: float
    """Seconds of processor time of the process and its children: steadier on a busy machine."""


def ran(command: list[str], environment: Mapping[str, str], folder: Path) -> Ran:
    """Run a command to its end. Raises SystemExit with its words when it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(seconds, used)
