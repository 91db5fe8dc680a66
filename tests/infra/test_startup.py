"""A machine's start-up: its text, and its script run twice in a scratch root (see `scratch`)."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from infra.startup import Packages, Role, StartUp, user_data
from tests.infra.scratch import Scratch

WHEEL, LOCK = "a wheel", "a==1 --hash=sha256:00\n"
PACKAGES = Packages(
    "llmops-0.1.0-py3-none-any.whl",
    hashlib.sha256(WHEEL.encode()).hexdigest(),
    hashlib.sha256(LOCK.encode()).hexdigest(),
)
STARTUP = StartUp(
    role=Role.WORKER,
    region="us-east-1",
    store="s3://llmops-chat/llmops",
    secret="arn:aws:secretsmanager:us-east-1:123456789012:secret:ray-token",
    packages=PACKAGES,
    gpus=2,
)
TOKEN = {"SecretString": "t" * 64, "ClientRequestToken": "another"}


@pytest.fixture
def worker(tmp_path: Path) -> Scratch:
    scratch = _scratch(tmp_path, STARTUP)
    scratch.say("secret", TOKEN)
    return scratch


def _scratch(folder: Path, startup: StartUp) -> Scratch:
    """A machine whose store has the packages; its Python's pip only takes down what it is told."""
    scratch = Scratch(folder, startup)
    below = f"llmops/{PACKAGES.key}"
    scratch.say("objects", {f"{below}/{PACKAGES.wheel}": WHEEL, f"{below}/lock.txt": LOCK,
                            "wheels/a-1+cu130-py3-none-any.whl": "a"})  # fmt: skip
    _pretend_venv(scratch)
    disk = scratch.root / "dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS1"
    disk.parent.mkdir(parents=True)
    disk.touch()
    return scratch


def _pretend_venv(scratch: Scratch) -> None:
    """`python3 -m venv` makes a folder whose Python takes its arguments down; else real Python."""
    python = scratch.bin / "python3"
    python.write_text(
        '#!/bin/sh\nif [ "$1 $2" = "-m venv" ]; then\n'
        'mkdir -p "$4/bin" && cp "$(dirname "$0")/pip" "$4/bin/python" && exit 0\nfi\n'
        f'exec {sys.executable} -IS "$@"\n'
    )
    pip = scratch.bin / "pip"
    pip.write_text('#!/bin/sh\necho "$*" >>"$LLMOPS_ROOT/pretended/pip"\n')
    python.chmod(0o755)
    pip.chmod(0o755)


def _pip(scratch: Scratch) -> list[str]:
    file = scratch.state / "pip"
    return file.read_text().splitlines() if file.exists() else []


def test_a_worker_is_prepared(worker: Scratch) -> None:
    done = worker.prepare()
    assert done.returncode == 0, done.stderr
    root = worker.root
    assert (root / "etc/llmops/ray-token").read_text() == TOKEN["SecretString"]
    assert (root / "etc/llmops/address").read_text() == "LLMOPS_ADDRESS=10.80.0.10\n"
    locked, own = _pip(worker)
    assert "--require-hashes" in locked
    assert "--only-binary=:all:" in locked
    assert own.endswith(PACKAGES.wheel)
    assert worker.heard("mounted"), "the weights are not on the NVMe disk"


def test_the_second_run_does_nothing_again(worker: Scratch) -> None:
    assert worker.prepare().returncode == 0
    first = len(worker.calls())
    assert worker.prepare().returncode == 0
    again = [call[0] for call in worker.calls()[first:]]
    assert not {"useradd", "mkfs.ext4", "mount"} & set(again)
    assert len(_pip(worker)) == 2, "installed once"
    assert sum("-o" in call for call in worker.calls("curl")) == 2, "fetched once"


def test_an_interrupted_install_is_done_again(worker: Scratch) -> None:
    worker.prepare()
    (worker.root / "opt/llmops/venv/installed").unlink()
    assert worker.prepare().returncode == 0
    assert len(_pip(worker)) == 4


def test_nothing_secret_stands_in_an_argument(worker: Scratch) -> None:
    worker.prepare()
    told = str(worker.calls())
    for canary in ("canary-key", "canary-secret", "canary-t", TOKEN["SecretString"]):
        assert canary not in told


def test_a_file_with_another_digest_is_refused_and_removed(worker: Scratch) -> None:
    below = f"llmops/{PACKAGES.key}"
    worker.say("objects", {f"{below}/{PACKAGES.wheel}": "another", f"{below}/lock.txt": LOCK})
    done = worker.prepare()
    assert done.returncode == 1
    assert "digest differs" in done.stderr
    assert not list((worker.root / "opt/llmops").glob("*.whl*"))
    assert _pip(worker) == []


def test_a_machine_whose_driver_shows_fewer_gpus_does_not_join(worker: Scratch) -> None:
    worker.say("gpus", 1)
    done = worker.prepare()
    assert done.returncode == 1
    assert "shows 1 GPUs, and the machine should have 2" in done.stderr
    assert not (worker.root / "etc/llmops/ray-token").exists()


def test_a_worker_waits_for_the_heads_token_and_makes_none(worker: Scratch) -> None:
    (worker.state / "secret.json").unlink()
    done = worker.prepare()
    assert done.returncode == 1
    assert "is the head up?" in done.stderr
    assert worker.heard("secret") is None


def test_the_head_makes_the_token_once(tmp_path: Path) -> None:
    head = _scratch(tmp_path, replace(STARTUP, role=Role.HEAD, gpus=0))
    assert head.prepare().returncode == 0
    made = head.heard("secret")
    assert head.prepare().returncode == 0
    assert head.heard("secret") == made
    assert isinstance(made, dict)
    token = (head.root / "etc/llmops/ray-token").read_text()
    assert (token, len(token)) == (made["SecretString"], 64)
    assert not head.calls("nvidia-smi")


def test_a_head_that_cannot_read_the_token_does_not_replace_it(tmp_path: Path) -> None:
    """Reading can fail for a moment: the first value stands, or workers would have another."""
    head = _scratch(tmp_path, replace(STARTUP, role=Role.HEAD, gpus=0))
    head.prepare()
    made = head.heard("secret")
    head.say("offline", value=True)
    assert head.prepare().returncode != 0
    head.say("offline", value=False)
    assert head.prepare().returncode == 0
    assert head.heard("secret") == made


def test_wheels_of_a_folder_are_installed_without_an_index(tmp_path: Path) -> None:
    packages = replace(PACKAGES, folder="s3://company/wheels")
    scratch = _scratch(tmp_path, replace(STARTUP, packages=packages))
    scratch.say("secret", TOKEN)
    done = scratch.prepare()
    assert done.returncode == 0, done.stderr
    locked, _ = _pip(scratch)
    assert "--no-index" in locked
    assert "--find-links" in locked
    assert (scratch.root / "opt/llmops/wheels/a-1+cu130-py3-none-any.whl").read_text() == "a"


def _puts(scratch: Scratch) -> list[list[str]]:
    """The lines of each request to CloudWatch."""
    heard = scratch.heard("logs")
    assert isinstance(heard, dict)
    return [[event["message"] for event in put["logEvents"]] for put in heard["puts"]]


def test_the_journal_is_sent_from_where_the_last_run_left_off(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, replace(STARTUP, log_group="machines-1"))
    scratch.say("journal", ["llmops-prepare: ready", 'it said "no", \\o/', ""])
    done = scratch.run("llmops-send-logs")
    assert done.returncode == 0, done.stderr
    assert _puts(scratch) == [["llmops-prepare: ready", 'it said "no", \\o/', " "]]
    assert scratch.run("llmops-send-logs").returncode == 0
    assert len(_puts(scratch)) == 1, "nothing new was said"
    scratch.say("journal", ["llmops-prepare: ready", "b", "", "works for s3://b/x"])
    scratch.run("llmops-send-logs")
    assert _puts(scratch)[1:] == [["works for s3://b/x"]]
    heard = scratch.heard("logs")
    assert isinstance(heard, dict)
    [stream] = heard["streams"]
    assert stream == {"logGroupName": "machines-1", "logStreamName": "worker/i-0a1b2c3d"}


def test_what_cloudwatch_did_not_take_is_sent_by_the_next_run_in_pieces_that_it_takes(
    tmp_path: Path,
) -> None:
    scratch = _scratch(tmp_path, replace(STARTUP, log_group="machines-1"))
    lines = [f"line {number}" for number in range(2500)]
    scratch.say("journal", lines)
    scratch.say("refused", value=True)
    assert scratch.run("llmops-send-logs").returncode != 0
    scratch.say("refused", value=False)
    assert scratch.run("llmops-send-logs").returncode == 0
    pieces = _puts(scratch)
    assert [len(piece) for piece in pieces] == [1000, 1000, 500]
    assert [line for piece in pieces for line in piece] == lines


def test_what_was_said_over_days_is_sent_in_requests_of_a_day(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, replace(STARTUP, log_group="machines-1"))
    scratch.say("journal", ["a", "b", "c", "d", "e"])
    scratch.say("microseconds_apart", 11 * 3600 * 1_000_000)
    done = scratch.run("llmops-send-logs")
    assert done.returncode == 0, done.stderr
    assert _puts(scratch) == [["a", "b", "c"], ["d", "e"]]


def test_the_logs_of_a_workers_ray_and_replicas_are_sent_line_by_line(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, replace(STARTUP, log_group="machines-1"))
    logs = scratch.root / "var/lib/llmops/logs"
    engine = logs / "chat/r3/engine.log"
    engine.parent.mkdir(parents=True)
    (logs / "worker.log").write_text("joined 10.0.0.4:6379\n")
    (logs / "audit.jsonl").write_text("who asked what\n")
    engine.write_text("loading\nloaded 40")
    scratch.say("journal", ["llmops-prepare: ready"])
    done = scratch.run("llmops-send-logs")
    assert done.returncode == 0, done.stderr
    assert [line for put in _puts(scratch) for line in put] == [
        "llmops-prepare: ready",
        "chat/r3/engine.log: loading",
        "worker.log: joined 10.0.0.4:6379",
    ]
    with engine.open("a") as more:
        more.write(" %\n")
    scratch.say("refused", value=True)
    assert scratch.run("llmops-send-logs").returncode != 0
    scratch.say("refused", value=False)
    scratch.run("llmops-send-logs")
    assert _puts(scratch)[-1] == ["chat/r3/engine.log: loaded 40 %"], "whole, though refused once"
    engine.unlink()
    engine.write_text("anew\n")
    scratch.run("llmops-send-logs")
    assert _puts(scratch)[-1] == ["chat/r3/engine.log: anew"]
    [asked] = scratch.calls("journalctl")[-1:]
    assert {"llmops-agent.service", "cloud-*"} <= set(asked)


def test_nothing_is_sent_where_nobody_asked_for_it(worker: Scratch) -> None:
    text = user_data(worker.startup)
    assert "send-logs" not in text
    assert "llmops-logs" not in text


@pytest.mark.parametrize("role", list(Role))
def test_the_text_is_a_cloud_config_whose_commands_may_be_repeated(role: Role) -> None:
    text = user_data(replace(STARTUP, role=role))
    assert text.startswith("#cloud-config\n")
    document = yaml.safe_load(text)
    assert set(document) == {"write_files", "runcmd"}
    for file in document["write_files"]:
        assert set(file) == {"path", "owner", "permissions", "content"}
        assert file["path"].startswith("/")
    assert all(command[0] == "systemctl" for command in document["runcmd"])


def test_the_agent_is_told_where_it_is_and_what_it_is() -> None:
    units = {}
    for role in Role:
        files = yaml.safe_load(user_data(replace(STARTUP, role=role)))["write_files"]
        units[role] = next(file["content"] for file in files if file["path"].endswith(".service"))
    wanted = (
        "ExecStart=/opt/llmops/venv/bin/llmops agent --store s3://llmops-chat/llmops"
        " --address ${LLMOPS_ADDRESS} --token-file /etc/llmops/ray-token"
    )
    assert f"{wanted}\n" in units[Role.HEAD]
    assert f"{wanted} --worker\n" in units[Role.WORKER]
    for unit in units.values():
        assert "User=llmops\n" in unit
        assert "KillMode=process\n" in unit
        assert "ExecStartPre=+/usr/local/sbin/llmops-prepare\n" in unit


def test_user_data_that_ec2_would_not_take_is_refused() -> None:
    long = replace(STARTUP, store="s3://llmops-chat/" + "x" * 16_384)
    with pytest.raises(ValueError, match="EC2 takes 16384"):
        user_data(long)


@pytest.mark.parametrize("name", ["prepare.sh", "aws.sh", "send.sh"])
def test_the_scripts_are_posix_shell(name: str) -> None:
    script = Path(__file__).parents[2] / "infra" / "startup" / "scripts" / name
    done = subprocess.run(["/bin/sh", "-n", str(script)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("role", list(Role))
def test_cloud_init_itself_takes_the_text(role: Role, tmp_path: Path) -> None:
    """By the schema check of cloud-init's own package, where that is installed."""
    program = shutil.which("cloud-init")
    if program is None:
        pytest.skip("needs cloud-init (apt-get install cloud-init)")
    file = tmp_path / "user-data"
    file.write_text(user_data(replace(STARTUP, role=role)))
    done = subprocess.run(
        [program, "schema", "--config-file", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
