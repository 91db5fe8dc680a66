"""One control plane for all Kubernetes tests, in a network that nothing leaves."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.client import count_tokens
from tests.kubernetes import namespace
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.desk import Desk
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer
from tests.support.tiny_model import make_tiny_model

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("kubernetes")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))  # nodes come, pods start, drains end


@pytest.fixture(scope="session", autouse=True)
def _own_network() -> None:
    """Pods' addresses are private ones: outside a namespace they could be somebody's."""
    if not namespace.is_own():
        pytest.fail("not in a network namespace of the tests' own: run `make test-kubernetes`")


@pytest.fixture(scope="session")
def control_plane(
    tmp_path_factory: pytest.TempPathFactory, _own_network: None
) -> Iterator[ControlPlane]:
    """The control plane, ready in seconds; all its programs end with the tests."""
    made = ControlPlane(tmp_path_factory.mktemp("control-plane"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def namespace_of_test(control_plane: ControlPlane) -> Iterator[str]:
    """A fresh `restricted` namespace; its pods are gone when the test has ended."""
    name = control_plane.namespace()
    yield name
    control_plane.remove_namespace(name)


@pytest.fixture
def add_node(control_plane: ControlPlane) -> Iterator[Callable[..., str]]:
    """`ControlPlane.add_node` under a name of its own, which it returns; removed afterwards."""
    made: list[str] = []

    def add(**resources: Any) -> str:
        made.append(f"node-{uuid.uuid4().hex[:6]}")
        control_plane.add_node(made[-1], **resources)
        return made[-1]

    yield add
    for name in made:
        control_plane.remove_node(name)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny real checkpoint; nobody loads it here, its tokenizer counts."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def hub(tiny_model: Path) -> Iterator[HubServer]:
    """A model hub that has the tiny model as `tests/tiny`."""
    server = HubServer()
    files = {path.name: path.read_bytes() for path in tiny_model.iterdir() if path.is_file()}
    server.publish("tests/tiny", files)
    yield server
    server.close()


@pytest.fixture(scope="session")
def standin(
    control_plane: ControlPlane, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StandIn]:
    """What stands in for KubeRay, Serve and the engines, all tests long."""
    home = tmp_path_factory.mktemp("standin")

    def count(text: str) -> int:
        return count_tokens(tiny_model, text)

    with StandIn(control_plane.kubeconfig(), home, count) as made:
        yield made


@pytest.fixture
def desk(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    add_node: Callable[..., str],
    namespace_of_test: str,
    tmp_path: Path,
) -> Desk:
    """A desk with two nodes to deploy to, and a namespace of its own."""
    for _ in range(2):
        add_node(cpu=32, memory="128Gi")
    return Desk(
        home=tmp_path / "home",
        folder=tmp_path / "desk",
        kubeconfig=control_plane.kubeconfig(namespace=namespace_of_test),
        namespace=namespace_of_test,
        source="hf://tests/tiny",
        environment=hub.environment,
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A failure also shows the end of the log of each program that died."""
    report = yield
    plane = getattr(item, "funcargs", {}).get("control_plane")
    if report.failed and plane is not None:
        died = [server for server in plane.servers.values() if server.died]
        report.sections += [(f"{server.name} died", server.tail()) for server in died]
    return report
