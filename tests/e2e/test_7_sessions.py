"""Sessions keep release and replica, by the gateway's handles over a real Ray Serve; no engine."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from serving.gateway import create_key
from serving.scaling_config import router_config
from serving.serve_config import GATEWAY, REPLICA, application_name
from tests.e2e.stage import free_port
from tests.releases.plans import make_plan

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NAME = "chat"
RELEASES = {1: 2, 2: 1}
"""Replicas of each release."""
SESSIONS = [f"conversation-{number}" for number in range(24)]


class Replica:
    """Answers with the process that it is."""

    async def handle(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> AsyncGenerator[Any, None]:
        yield 200, [("content-type", "application/json")]
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        yield json.dumps({"pid": os.getpid(), "usage": usage}).encode()


@dataclass
class Door:
    """A gateway in front of two releases, of which one has two replicas."""

    client: httpx.Client

    def ask(self, session: str) -> tuple[str, int]:
        """The release, and the process of its replica, that answers a request of a session."""
        body = {"model": NAME, "prompt": "hi", "max_tokens": 1}
        answer = self.client.post("/v1/completions", json=body, headers={"x-session-id": session})
        assert answer.status_code == 200, answer.text
        return answer.headers["x-llmops-release"], int(answer.json()["pid"])

    def where(self) -> dict[str, tuple[str, int]]:
        return {session: self.ask(session) for session in SESSIONS}


@pytest.fixture(scope="module")
def doors(ray_token: Path) -> Iterator[list[Door]]:
    """Two gateways of one runtime."""
    import ray
    from ray import serve

    with tempfile.TemporaryDirectory(prefix="ray-") as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_token))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # keeps it on loopback
        ray.init(
            address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
            object_store_memory=96 * 2**20, _temp_dir=place, namespace="serve",
        )  # fmt: skip
        clients: list[httpx.Client] = []
        try:
            serve.start(proxy_location="Disabled")
            run_releases()
            clients += [run_gateway(Path(place) / name, name) for name in ("one", "two")]
            yield [Door(client) for client in clients]
        finally:
            for client in clients:
                client.close()
            serve.shutdown()
            ray.shutdown()


def deployed(name: str, kind: type, **options: Any) -> Any:
    from ray import serve

    actor = {"num_cpus": 0}
    return serve.deployment(name=name, ray_actor_options=actor, **options)(kind)


def run_releases() -> None:
    from ray import serve
    from ray.serve.config import RequestRouterConfig

    plan = replace(make_plan("a"), affinity="header")
    config = RequestRouterConfig(**router_config(plan)["request_router_config"])
    for release, replicas in RELEASES.items():
        made = deployed(REPLICA, Replica, num_replicas=replicas, request_router_config=config)
        serve.run(made.bind(), name=application_name(NAME, release), route_prefix=None)


def run_gateway(home: Path, name: str) -> httpx.Client:
    from ray import serve

    from serving.runtime.gateway_app import Gateway

    home.mkdir(mode=0o700)
    _, key = create_key(home / "keys.json", NAME, "caller")
    port = free_port()
    limits = {
        "requests_per_minute": 10**6, "max_body": 65536, "max_tokens": 16, "max_choices": 1
    }  # fmt: skip
    service = {
        "releases": [{"release": one, "share": 50} for one in RELEASES],
        "limits": limits, "context": 512, "affinity": "header",
    }  # fmt: skip
    table = {"generation": 1, "keys_version": "1", "services": {NAME: service}}
    made = deployed(GATEWAY, Gateway, user_config=table)
    args = {"home": str(home), "host": "127.0.0.1", "port": port, "metrics_port": free_port()}
    serve.run(made.bind(args), name=name, route_prefix=None)
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {key}"}, timeout=60
    )


def test_a_session_has_one_release_and_one_replica_at_every_gateway(doors: list[Door]) -> None:
    one, two = doors
    found = one.where()
    assert len(set(found.values())) == sum(RELEASES.values()), "sessions are not spread"
    assert one.where() == found
    assert two.where() == found


def test_sessions_of_a_replica_that_is_killed_go_on_elsewhere(doors: list[Door]) -> None:
    before = doors[0].where()
    lost = next(pid for release, pid in before.values() if release == "1")
    print(f"killed pid {lost}: {psutil.Process(lost).cmdline()[0]}")
    os.kill(lost, signal.SIGKILL)
    after = doors[0].where()
    moved = {session for session, (_, pid) in before.items() if pid == lost}
    assert lost not in {pid for _, pid in after.values()}
    assert all(after[session] == before[session] for session in before.keys() - moved)
    assert {after[session][0] for session in moved} == {"1"}, "a session left its release"
