"""A machine behind a bucket, for real: an S3 server, Ray of two nodes, vLLM, and kills.

The heavier tier. One story, told in order: each part goes on from the one before.
"""

from __future__ import annotations

import contextlib
import os
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
from tests.support.program import LLMOPS
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1500)]

BUCKET = "llmops-live"
STORE = f"s3://{BUCKET}/team"
TOKEN = "canary-token-" + "7f" * 16
LONG = 900.0
"""Seconds for an engine to start on a machine ten times slower than a quiet one."""


class Site:
    """A machine with two nodes, a bucket, and the commands of a user elsewhere."""

    def __init__(self, stage: Stage, folder: Path, model: Path) -> None:
        self.stage, self.folder, self.model = stage, folder, model
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
        path = self.folder / "tiny.yaml"
        path.write_text(
            f"name: tiny\ntarget: {{kind: agent, store: '{STORE}', port: {self.stage.port}}}\n"
            f"model: {{source: 'file://{self.model}', context: {context}}}\n"
            "engine: {kv_cache: 256MiB}\nmaintenance: {drain: 5s}\n"
            f"scaling: {{replicas: {replicas}}}\n"
        )
        return path

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
        name = f"ray::ServeReplica:tiny-r{release}:"
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
    }
    before = dict(os.environ)
    os.environ.update(named)
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    stage = Stage(home, folder, free_port())
    made = Site(stage, folder, make_tiny_model(folder / "model"))
    try:
        yield made
    finally:
        made.end()
        running.stop()
        os.environ.clear()
        os.environ.update(before)


def test_a_machine_behind_a_bucket_serves_whoever_dies(site: Site) -> None:
    stage = site.stage
    alone = stage.run("deploy", "-f", str(site.spec(480, 1)), "--yes")
    assert (alone.code, "no agent has ever worked" in alone.text) == (5, True), alone.text

    head, worker = site.agent("head"), site.agent("worker", "--worker")
    until(lambda: "works for" in site.log("head"), LONG)
    begun, said = site.begin("deploy", "-f", str(site.spec(480, 1)), "--yes")
    site.says(begun, said, "is handed over")
    key = said.read_text().partition("shown this once: ")[2].split()[0]
    begun.send_signal(signal.SIGKILL)  # the command dies: the agent goes on
    assert begun.wait(60) == -signal.SIGKILL
    again, said = site.begin("deploy", "-f", str(site.spec(480, 1)), "--yes")
    told = site.ends(again, said)
    assert "has this order already" in told, told
    assert stage.live("tiny") == 1
    assert stage.complete("tiny", key).status_code == 200, "the key was shown before it died"

    update, said = site.begin("deploy", "-f", str(site.spec(448, 2)), "--yes")
    site.says(update, said, "stage: ")
    head.send_signal(signal.SIGKILL)  # the agent dies in the middle: the next one goes on
    assert head.wait(60) == -signal.SIGKILL
    assert stage.complete("tiny", key).status_code == 200, "what served goes on"
    head = site.agent("head")
    told = site.ends(update, said)
    assert "tiny: release 2 serves" in told, told
    assert site.nodes_that_serve(2) == 2, site.log("worker")
    assert len(stage.run("history", "tiny", "-o", "json").json()["releases"]) == 2

    back = stage.run("rollback", "tiny", "--yes", seconds=LONG)
    assert (back.code, "release 3 repeats release 1" in back.text) == (0, True), back.text
    chat = stage.run("chat", "tiny", "one two", "--max-tokens", "4")
    assert chat.code == 0, chat.text
    held = site.objects()
    secrets = {key, key.split("-", 2)[2], TOKEN}
    assert [name for name, data in held.items() for s in secrets if s.encode() in data] == []

    gone = stage.run("destroy", "tiny", "--yes", seconds=LONG)
    assert gone.code == 0, gone.text
    for agent in (head, worker):
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(120) == 0, site.log("head") + site.log("worker")
    status = stage.run("status", "tiny")
    assert "was stopped" in status.text, status.text
