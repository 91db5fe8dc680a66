"""An audit of the real runtime: clean as it was deployed, and not once something is planted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.conftest import Service
from tests.e2e.stage import Stage, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

LISTEN = "import socket, time; s = socket.create_server(('0.0.0.0', 0)); time.sleep(600)"


def test_a_clean_runtime_has_no_finding(stage: Stage, service: Service) -> None:
    done = stage.run("policy", "audit", service.name, "-o", "json")
    assert done.code == 0, done.text
    report = done.json()
    assert report["findings"] == []
    assert report["unchecked"] == []
    assert report["checks"] >= 40
    keys = stage.run("keys", "list", service.name, "-o", "json").json()["keys"]
    ours = [key for key in keys if key["name"].startswith("audit-")]
    assert ours, "the audit asked with no key of its own"
    assert {key["state"] for key in ours} <= {"revoked", "expired"}


def test_what_is_planted_is_found_with_its_proof(stage: Stage, service: Service) -> None:
    usage = stage.home / "keys.json"
    token = next(stage.temporary.glob("llmops-*/ray-token"))
    environment = stage.environment | {"RAY_AUTH_TOKEN_PATH": str(token)}
    stranger = subprocess.Popen([sys.executable, "-c", LISTEN], env=environment)
    operators = stage.home / "operator-keys" / service.name
    operators.chmod(0o644)
    try:
        until(lambda: _listens(stranger.pid), 30)
        done = stage.run(
            "policy", "audit", service.name, "--only", "files", "--only", "sockets", "-o", "sarif"
        )
    finally:
        stranger.kill()
        stranger.wait()
        operators.chmod(0o600)
    assert done.code == 3, done.text
    [run] = json.loads(done.out)["runs"]
    found = {result["ruleId"]: result["message"]["text"] for result in run["results"]}
    assert set(found) == {"audit.files", "audit.sockets"}
    assert "mode 0644" in found["audit.files"]
    assert f"0.0.0.0:{_port(stranger.pid) or ''}" in found["audit.sockets"]
    assert str(stranger.pid) in found["audit.sockets"]
    assert usage.stat().st_mode & 0o077 == 0


def _listens(pid: int) -> bool:
    return _port(pid) is not None


def _port(pid: int) -> int | None:
    import psutil

    try:
        found = psutil.Process(pid).net_connections("inet")
    except psutil.NoSuchProcess:
        return None
    ports = [one.laddr.port for one in found if one.status == psutil.CONN_LISTEN and one.laddr]
    return ports[0] if ports else None
