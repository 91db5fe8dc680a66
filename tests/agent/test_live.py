"""Machines behind a bucket, for real: an S3 server, Ray of two nodes, vLLM, and kills.

The heavier tier. One story, told in order: each part goes on from the one before. Commands run as a
user runs them, with `target: {kind: aws}`; what makes the machines is a scripted `pulumi` (see
`tests.infra.pulumi_stub`), and the machines that it says it has made are two agents of this test.
So everything is real from the outputs of the stack on, and nothing before them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from tests.e2e.stage import Stage, free_port, until
from tests.infra.automation.stage import Stage as Stacks
from tests.infra.automation.stage import set_stage
from tests.infra.cloud import Cloud
from tests.support.program import LLMOPS, run
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

BUCKET = "llmops-live"
STORE = f"s3://{BUCKET}/team"
MODEL = f"s3://{BUCKET}/models/tiny"
RECORDINGS = Path(__file__).parents[1] / "infra/recordings"
TOKEN = "canary-token-" + "7f" * 16
LONG = 900.0
"""Seconds for an engine to start on a machine ten times slower than a quiet one."""


class Site:
    """A machine with two nodes, a bucket, and the commands of a user elsewhere."""

    def __init__(self, stage: Stage, stacks: Stacks, folder: Path, image: str) -> None:
        self.stage, self.stacks, self.folder, self.image = stage, stacks, folder, image
        self.token = folder / "token"
        self.token.write_text(TOKEN)
        self.token.chmod(0o600)
        self.keys: list[str] = []
        self.agents: list[subprocess.Popen[bytes]] = []

    def agent(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        """Start an agent, or a worker, with a home of its own."""
        home = self.folder / name
        home.mkdir(mode=0o700, exist_ok=True)
        command = [str(LLMOPS), "agent", "--store", STORE, "--address", "127.0.0.1",
                   "--token-file", str(self.token), *more]  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            started = subprocess.Popen(
                command, env=self.stage.environment | {"LLMOPS_HOME": str(home)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.agents.append(started)
        return started

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def spec(self, context: int, replicas: int) -> Path:
        path = self.folder / "chat.yaml"
        path.write_text(
            f"name: chat\ntarget: {{kind: aws, region: us-east-1, image: {self.image},"
            " machine: g6.12xlarge, network: {nat: true}}\n"
            f"model: {{source: '{MODEL}', context: {context}}}\n"
            "engine: {kv_cache: 256MiB}\nmaintenance: {drain: 5s}\n"
            f"scaling: {{replicas: {replicas}}}\n"
        )
        return path

    def recorded(self, name: str) -> str:
        """A log of an engine's events whose stack is this site: name of the file for a script."""
        outputs = {"store": STORE, "endpoint": "", "region": "us-east-1", "usd_per_hour": 1.0,
                   "head": "i-0head", "address": "127.0.0.1", "port": self.stage.port}  # fmt: skip
        text = (RECORDINGS / name).read_text()
        told, count = re.subn(
            r'"outputs": {"store[^}]*}', f'"outputs": {json.dumps(outputs)}', text
        )
        assert count == 1, "the recording tells no outputs"
        (self.stacks.folder / f"here-{name}").write_text(told)
        return f"here-{name}"

    def holder(self) -> int:
        """Pid of the `pulumi` that has the stack's lock."""
        [lock] = self.stacks.locks()
        found: int = json.loads(lock.read_text())["pid"]
        return found

    def begin(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a command whose words go into a file."""
        said = self.folder / f"command-{time.monotonic_ns()}.log"
        with said.open("wb") as output:
            begun = subprocess.Popen(
                [str(LLMOPS), *arguments], env=self.stage.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        return begun, said

    def says(self, begun: subprocess.Popen[bytes], said: Path, text: str) -> None:
        """Wait until a command says something; it fails when that has ended without."""
        until(lambda: text in said.read_text() or begun.poll() is not None, LONG)
        assert text in said.read_text(), said.read_text() + self.log("head")

    def ends(self, begun: subprocess.Popen[bytes], said: Path) -> str:
        assert begun.wait(LONG) == 0, said.read_text() + self.log("head")
        return said.read_text()

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for a home of the site."""
        found = []
        for process in psutil.process_iter():
            try:
                home = process.environ().get("LLMOPS_HOME", "")
            except psutil.Error:
                continue
            if home.startswith(f"{self.folder}/") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found

    def end(self) -> None:
        """End whatever is left, though the agents did not come to an end by themselves."""
        for process in (*self.processes(), *self.stage.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.stage.end()

    def nodes_that_serve(self, release: int) -> int:
        """Raylets that have a replica of a release below them."""
        name = f"ray::ServeReplica:chat-r{release}:"
        return sum(
            any(child.name().startswith(name) for child in _below(process))
            for process in self.processes()
            if process.name() == "raylet"
        )

    def objects(self) -> dict[str, bytes]:
        """Everything in the bucket."""
        client: Any = boto3.client("s3")
        listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", ())
        return {
            entry["Key"]: client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
            for entry in listed
        }


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    named = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "canary-secret-0d1b",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        stacks = set_stage(folder / "stacks", patch)
        _put_model(folder)
        home = tmp_path_factory.mktemp("home")
        home.chmod(0o700)
        stage = Stage(home, folder, free_port())
        made = Site(stage, stacks, folder, Cloud(named["AWS_ENDPOINT_URL"]).image())
        try:
            yield made
        finally:
            made.end()
            running.stop()


def _put_model(folder: Path) -> None:
    """A bucket, with a model in it for the machines to fetch."""
    client: Any = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET)
    for file in make_tiny_model(folder / "model").iterdir():
        client.upload_file(str(file), BUCKET, f"models/tiny/{file.name}")


def test_machines_behind_a_bucket_serve_whoever_dies(site: Site) -> None:
    _made_by_commands_that_die(site)
    head, worker = site.agent("head"), site.agent("worker", "--worker")
    until(lambda: "works for" in site.log("head"), LONG)
    key = _deployed_by_a_command_that_dies(site)
    head = _updated_while_the_agent_dies(site, head, key)
    _repeated_and_asked(site, key)

    gone = site.stage.run("destroy", "chat", "--yes", seconds=LONG)
    assert gone.code == 0, gone.text + site.log("head")
    assert "what is left of chat-us-east-1 in us-east-1: none" in gone.text, gone.text
    kept = {one["type"] for one in site.stacks.stored()["resources"].values()}
    assert kept == {"aws:s3/bucket:Bucket", "pulumi:pulumi:Stack"} | _groups(kept), gone.text
    for agent in (head, worker):
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(120) == 0, site.log("head") + site.log("worker")
    status = site.stage.run("status", "chat")
    assert "was stopped" in status.text, status.text


def _groups(kinds: set[str]) -> set[str]:
    """Components: what only groups others."""
    return {kind for kind in kinds if kind.startswith("llmops:")}


def _made_by_commands_that_die(site: Site) -> None:
    """The stack: a power cut in the update, then a kill while the machines come up."""
    deploy = ("deploy", "-f", str(site.spec(480, 1)), "--yes")
    first = site.recorded("first.jsonl")
    site.stacks.script(up=[site.recorded("slow.jsonl"), first], preview=[first])
    begun, said = site.begin(*deploy)
    reached = site.stacks.folder / "go.reached"
    until(lambda: reached.exists() or begun.poll() is not None, LONG)
    assert reached.exists(), said.read_text()
    for pid in (begun.pid, site.holder()):
        os.kill(pid, signal.SIGKILL)
    assert begun.wait(60) == -signal.SIGKILL
    assert site.stacks.stored()["pending"], "the kill did not land: nothing was in flight"

    again, said = site.begin(*deploy)
    site.says(again, said, "first sign of life")
    told = said.read_text()
    assert "its lock is dropped" in told, told
    assert "cut off while creating" in told, told
    again.send_signal(signal.SIGKILL)  # it only waits: nothing else is in flight
    assert again.wait(60) == -signal.SIGKILL
    assert (site.stacks.stored()["pending"], site.stacks.locks()) == ({}, [])


def _deployed_by_a_command_that_dies(site: Site) -> str:
    """A release, handed over by a command that is killed; the key that it has shown."""
    ups = len(site.stacks.calls("up"))
    deploy = ("deploy", "-f", str(site.spec(480, 1)), "--yes")
    begun, said = site.begin(*deploy)
    site.says(begun, said, "is handed over")
    key = said.read_text().partition("shown this once: ")[2].split()[0]
    begun.send_signal(signal.SIGKILL)  # the command dies: the agent goes on
    assert begun.wait(60) == -signal.SIGKILL
    again, said = site.begin(*deploy)
    told = site.ends(again, said)
    assert "has this order already" in told, told
    assert len(site.stacks.calls("up")) == ups, "the stack is as it should be: nothing is made"
    assert site.stage.live("chat") == 1
    assert site.stage.complete("chat", key).status_code == 200, "the key was shown before it died"
    return key


def _updated_while_the_agent_dies(
    site: Site, head: subprocess.Popen[bytes], key: str
) -> subprocess.Popen[bytes]:
    update, said = site.begin("deploy", "-f", str(site.spec(448, 2)), "--yes")
    site.says(update, said, "stage: ")
    head.send_signal(signal.SIGKILL)  # the agent dies in the middle: the next one goes on
    assert head.wait(60) == -signal.SIGKILL
    assert site.stage.complete("chat", key).status_code == 200, "what served goes on"
    head = site.agent("head")
    told = site.ends(update, said)
    assert "chat: release 2 serves" in told, told
    assert site.nodes_that_serve(2) == 2, site.log("worker")
    seat = site.stage.environment | {
        "LLMOPS_HOME": str(site.folder / "seat"),
        "LLMOPS_STORE": STORE,
    }
    seen = run(["history", "chat", "-o", "json"], seat, seconds=LONG)
    assert len(seen.json()["releases"]) == 2, seen.text
    return head


def _repeated_and_asked(site: Site, key: str) -> None:
    back = site.stage.run("rollback", "chat", "--yes", seconds=LONG)
    assert (back.code, "release 3 repeats release 1" in back.text) == (0, True), back.text
    chat = site.stage.run("chat", "chat", "one two", "--max-tokens", "4")
    assert chat.code == 0, chat.text
    secrets = {key, key.split("-", 2)[2], TOKEN}
    written = {
        str(file): file.read_bytes() for file in site.stacks.folder.rglob("*") if file.is_file()
    }
    held = site.objects() | written
    assert [name for name, data in held.items() for s in secrets if s.encode() in data] == []
