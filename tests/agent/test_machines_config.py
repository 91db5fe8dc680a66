"""What Ray and Serve are told where further machines may join, and where none may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from serving.runtime.launcher import environment
from serving.runtime.network import Network
from serving.runtime.paths import LOOPBACK_ONLY, NODE_ADDRESS, RuntimePaths
from serving.serve_config import GATEWAY_RESOURCE, REPLICA_RESOURCE, RuntimeSettings, render, routes
from tests.local.releases import release

BASE = {"PATH": "/bin", "RAY_ADDRESS": "of another Ray", LOOPBACK_ONLY: "1"}
ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def rendered(*, machines: bool) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The options of placement of the gateway and of a release, and the release's arguments."""
    made = release("tiny", 1)
    table = routes([made], {("tiny", 1): 100}, "1")
    settings = RuntimeSettings("/home", "127.0.0.1", 8000, 9000, machines=machines)
    gateway, application = render([made], table, settings, 1)["applications"]
    placed = [one["deployments"][0]["ray_actor_options"] for one in (gateway, application)]
    return placed[0], placed[1], application["args"]


def test_the_gateway_stays_on_the_first_machine_and_each_fetches_its_weights() -> None:
    placed, _, told = rendered(machines=True)
    assert placed["resources"] == {GATEWAY_RESOURCE: 1}
    assert (told["fetch"], told["machine"]) == (True, True)


def test_a_replica_takes_something_so_that_ray_spreads_it() -> None:
    _, placed, _ = rendered(machines=True)
    assert 0 < placed["resources"][REPLICA_RESOURCE] <= 0.01


def test_nothing_of_that_is_told_on_one_machine() -> None:
    placed, replicas, told = rendered(machines=False)
    assert "resources" not in placed | replicas
    assert not {"fetch", "machine"} & set(told)


def network(tmp_path: Path, address: str) -> Network:
    file = tmp_path / "token"
    file.write_text("t" * 40)
    file.chmod(0o600)
    return Network.of(address, file)


def test_a_ray_of_one_machine_is_kept_to_loopback(tmp_path: Path) -> None:
    found = environment(RuntimePaths(tmp_path), BASE)
    assert (found[LOOPBACK_ONLY], found[ALONE]) == ("1", "0")
    assert NODE_ADDRESS not in found
    assert "RAY_ADDRESS" not in found


def test_a_ray_of_several_is_reached_by_its_address_and_guarded_by_the_token(
    tmp_path: Path,
) -> None:
    paths = RuntimePaths(tmp_path)
    found = environment(paths, BASE, network(tmp_path, "10.0.0.4"))
    assert found[NODE_ADDRESS] == "10.0.0.4"
    assert not {LOOPBACK_ONLY, ALONE} & set(found)
    assert (found["RAY_AUTH_MODE"], found["RAY_AUTH_TOKEN_PATH"]) == ("token", str(paths.token))


def test_ray_ends_nobody_for_want_of_memory_whatever_the_users_own_ray_does(
    tmp_path: Path,
) -> None:
    """Ray would take the gateway before the engine; on a machine where others fill the memory it
    would leave nobody to answer. Shown by hand with `RAY_memory_usage_threshold` at 0.01: with the
    monitor on no runtime starts, without it one serves."""
    mine = {**BASE, "RAY_memory_monitor_refresh_ms": "250", "RAY_memory_usage_threshold": "0.5"}
    found = environment(RuntimePaths(tmp_path), mine)
    assert found["RAY_memory_monitor_refresh_ms"] == "0"
    assert "RAY_memory_usage_threshold" not in found


def test_several_nodes_of_one_machine_stay_on_loopback(tmp_path: Path) -> None:
    found = environment(RuntimePaths(tmp_path), BASE, network(tmp_path, "127.0.0.1"))
    assert (found[LOOPBACK_ONLY], found[ALONE], found[NODE_ADDRESS]) == ("1", "0", "127.0.0.1")
