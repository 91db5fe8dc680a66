"""What is open, and what is written down."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from serving.runtime.launcher import SOCKETS
from tests.e2e.conftest import CANARY, Service
from tests.e2e.stage import Stage


def test_every_listening_socket_is_on_the_launchers_list(stage: Stage, service: Service) -> None:
    names = {process.pid: process for process in stage.processes()}
    assert len(names) > 5, "the runtime's processes were not found"
    listening = [
        (connection.pid, connection.laddr)
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN and connection.pid in names and connection.laddr
    ]
    assert any(laddr[1] == stage.port for _, laddr in listening)
    for pid, laddr in listening:
        process = names[pid or 0]
        owner = " ".join([process.name(), *process.cmdline()[:1]])
        address = laddr[0].removeprefix("::ffff:")
        allowed = [s for s in SOCKETS if s.owner in owner and s.address == address]
        assert allowed, f"{owner} listens on {laddr}, which no one has listed"


def test_no_secret_and_no_prompt_is_in_any_file(stage: Stage, service: Service) -> None:
    secrets = {
        "an API key": service.key,
        "the hashable part of a key": service.key.split("-", 2)[-1],
        "a prompt": CANARY,
    }
    places = [stage.home, stage.temporary]
    searched = 0
    for place in places:
        for path in place.rglob("*"):
            if not path.is_file() or "models" in path.parts:
                continue
            searched += 1
            content = path.read_bytes()
            for what, secret in secrets.items():
                assert secret.encode() not in content, f"{what} is in {path}"
    assert searched > 5
    assert service.key not in service.printed


def test_state_is_private_to_the_user(stage: Stage, service: Service) -> None:
    for path in stage.home.rglob("*"):
        if path.is_dir() or "models" in path.parts:
            continue
        if path.name in ("keys.json", "audit.jsonl") or path.parent.name in (
            "operator-keys",
            "releases",
        ):
            assert path.stat().st_mode & 0o077 == 0, path
    assert stage.home.stat().st_mode & 0o077 == 0


ASK_RAY = """
import sys
from ray._raylet import GcsClient
print("nodes", len(GcsClient(address="127.0.0.1:" + sys.argv[1]).get_all_node_info(timeout=20)))
"""


def test_ray_answers_nobody_without_the_token(stage: Stage, service: Service) -> None:
    [runtime] = stage.temporary.glob("llmops-*")
    [port] = runtime.glob("ray/session_2*/gcs_server_port_*")

    def ask(**environment: str) -> str:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
        done = subprocess.run(
            [sys.executable, "-c", ASK_RAY, port.read_text()],
            env=kept | environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.stdout + done.stderr

    token = str(runtime / "ray-token")
    assert "nodes 1" in ask(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token)
    for stranger in ({"RAY_AUTH_MODE": "disabled"},
                     {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}):  # fmt: skip
        refused = ask(**stranger)
        assert "AuthenticationError" in refused, refused
        assert "nodes" not in refused.splitlines()[0]
