"""An audit of the real runtime: clean as it was deployed, and not once something is planted."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 0)); time.sleep(600)"


def test_a_clean_runtime_has_no_finding(stage: Stage, service: Service) -> None:
    done = stage.run("policy", "audit", service.name, "-o", "json")
    assert done.code == 0, done.text
    report = done.json()
    assert (report["findings"], report["unchecked"]) == ([], [])
    assert report["checks"] >= 40
    keys = stage.run("keys", "list", service.name, "-o", "json").json()["keys"]
    ours = [key for key in keys if key["name"].startswith("audit-")]
    assert ours, "the audit asked with no key of its own"
    assert {key["state"] for key in ours} == {"revoked"}


def test_what_is_planted_is_found_with_its_proof(stage: Stage, service: Service) -> None:
    [token] = stage.temporary.glob("llmops-*/ray-token")
    environment = stage.environment | {"RAY_AUTH_TOKEN_PATH": str(token)}
    operators = stage.home / "operator-keys" / service.name
    stranger = subprocess.Popen([sys.executable, "-c", LISTEN], env=environment)
    operators.chmod(0o644)
    try:
        until(lambda: bool(_ports(stranger.pid)), 60)
        [port] = _ports(stranger.pid)
        done = stage.run(
            "policy", "audit", service.name, "--only", "files", "--only", "sockets", "-o", "sarif"
        )
    finally:
        operators.chmod(0o600)
        stranger.kill()
        stranger.wait()
    assert done.code == 3, done.text
    [run] = json.loads(done.out)["runs"]
    found = {result["ruleId"]: result["message"]["text"] for result in run["results"]}
    assert found.keys() == {"audit.files", "audit.sockets"}
    assert f"{operators} is open to other users" in found["audit.files"]
    assert "mode 0644" in found["audit.files"]
    assert f"0.0.0.0:{port}, of pid {stranger.pid}" in found["audit.sockets"]


def _ports(pid: int) -> list[int]:
    """Ports that a process listens on."""
    connections = psutil.Process(pid).net_connections("inet")
    return [c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN and c.laddr]
