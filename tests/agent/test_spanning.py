"""One replica over two machines, for real: two nodes of a Ray, two stages of vLLM, and kills.

The heavier tier. One story, told in order. Both nodes are on this machine, on loopback; the stages
meet over TCP all the same, each in processes of its own node.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.stage import Stage, free_port, until
from tests.support.program import LLMOPS
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

LONG = 900.0
"""Seconds for an engine to start on a machine ten times slower than a quiet one."""
QUICK = 30.0
"""Seconds in which the other stages end; it takes one or two."""
HANGS = 100.0
"""Seconds that no request takes: the client gives up after 120."""
SERVER = "multiprocessing.forkserver"
FIRST, FURTHER = "ray::ServeReplica:chat-r", "ray::EnginePart"


class Site:
    """Two nodes that work for one store, and a user's folder."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.model = make_tiny_model(folder / "model")
        self.token = folder / "token"
        self.token.write_text("7f" * 16)
        self.token.chmod(0o600)

    def agent(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        home = self.folder / name
        home.mkdir(mode=0o700, exist_ok=True)
        command = [str(LLMOPS), "agent", "--store", f"file://{self.folder}/store",
                   "--address", "127.0.0.1", "--token-file", str(self.token), *more]  # fmt: skip
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command, env=self.stage.environment | {"LLMOPS_HOME": str(home)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def deploy(self, stages: int) -> str:
        path = self.folder / "chat.yaml"
        path.write_text(
            "name: chat\n"
            f"target: {{kind: agent, store: 'file://{self.folder}/store',"
            f" port: {self.stage.port}}}\n"
            f"model: {{source: 'file://{self.model}', context: 480}}\n"
            f"engine: {{kv_cache: 256MiB}}\nparallelism: {{pipeline: {stages}}}\n"
            "maintenance: {drain: 5s, strategy: recreate}\n"
        )
        done = self.stage.run("deploy", "-f", str(path), "--yes", seconds=LONG)
        assert done.code == 0, done.text + self.logs()
        return done.text

    def logs(self) -> str:
        files = (*self.folder.glob("*.log"), *self.folder.glob("*/logs/**/*.log"))
        return "".join(f"\n--- {file}\n{file.read_text()[-4000:]}" for file in files)

    def nodes(self, title: str) -> dict[int, list[psutil.Process]]:
        """By raylet of this site: processes below it that call themselves so."""
        found = {}
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.name() == "raylet":
                    below = _below(process)
                    found[process.pid] = [one for one in below if _title(one).startswith(title)]
        return {pid: processes for pid, processes in found.items() if processes}

    def stages(self) -> list[psutil.Process]:
        """vLLM's processes of all stages: of the first its core and a worker, of the other one."""
        actors = (*self.nodes(FIRST).values(), *self.nodes(FURTHER).values())
        below = [p for found in actors for actor in found for p in _below(actor)]
        return [one for one in below if _is_forked(one)]

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                home = process.environ().get("LLMOPS_HOME", "")
                ours = home.startswith(f"{self.folder}/")
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def end(self) -> None:
        for process in (*self.processes(), *self.stage.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.stage.end()


def _ended(processes: list[psutil.Process]) -> bool:
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if one.is_running() and one.status() != psutil.STATUS_ZOMBIE:
                return False
    return True


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _is_forked(process: psutil.Process) -> bool:
    """Whether it was forked by a fork server, whose arguments it has."""
    parent = process.parent()
    return parent is not None and SERVER in _title(process) and SERVER in _title(parent)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, home = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    made = Site(Stage(home, folder, free_port()), folder)
    try:
        yield made
    finally:
        made.end()


def test_a_replica_over_two_machines_answers_and_ends_as_a_whole(site: Site) -> None:
    head, worker = site.agent("head"), site.agent("worker", "--worker")
    until(lambda: "works for" in (site.folder / "head.log").read_text(), LONG)
    until(lambda: bool(list(site.folder.glob("store/**/nodes/*"))), LONG)
    told = site.deploy(stages=2)
    assert "chat: release 1 serves" in told, told
    first, further = site.nodes(FIRST), site.nodes(FURTHER)
    assert (len(first), len(further)) == (1, 1), site.logs()
    assert set(first) != set(further), "both stages stand on one node"
    assert len(site.stages()) == 3, site.logs()
    key = site.stage.key("chat", "me")
    text = _answer(site, key)

    _a_stage_is_lost(site, key, text, signal.SIGKILL)
    _a_stage_is_lost(site, key, text, signal.SIGSTOP)
    _its_actor_is_lost(site, key, text)
    site.deploy(stages=1)
    assert _answer(site, key) == text, "cut into stages, it answers as it does whole"
    assert not site.nodes(FURTHER), site.logs()

    gone = site.stage.run("destroy", "chat", "--yes", seconds=LONG)
    assert gone.code == 0, gone.text + site.logs()
    for agent in (head, worker):
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(120) == 0, site.logs()


def _answer(site: Site, key: str) -> str:
    said = site.stage.complete("chat", key, temperature=0)
    assert said.status_code == 200, said.text + site.logs()
    text: str = said.json()["choices"][0]["text"]
    return text


def _a_stage_is_lost(site: Site, key: str, text: str, fault: signal.Signals) -> None:
    """A worker of the further stage dies or stops under requests: none hangs, and all goes."""
    before, over = site.stages(), threading.Event()
    statuses: list[tuple[int, float]] = []

    def ask() -> None:
        while not over.is_set():
            began = time.monotonic()
            try:
                status = site.stage.complete("chat", key, temperature=0).status_code
            except httpx.HTTPError:
                status = 0
            statuses.append((status, time.monotonic() - began))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        [further] = [one for actors in site.nodes(FURTHER).values() for one in actors]
        [victim] = [one for one in before if further in one.parents()]
        victim.send_signal(fault)
        until(lambda: _ended(before), QUICK)
        until(lambda: bool(statuses) and statuses[-1][0] == 200 and len(site.stages()) == 3, LONG)
    finally:
        over.set()
        asking.join()
    assert max(seconds for _, seconds in statuses) < HANGS, statuses
    told = (site.folder / "head/logs/chat/r1/engine.log").read_text()
    assert "stage 1 of the replica, on 127.0.0.1, has ended" in told, site.logs()
    _again(site, key, text)


def _its_actor_is_lost(site: Site, key: str, text: str) -> None:
    before = site.stages()
    [further] = [one for actors in site.nodes(FURTHER).values() for one in actors]
    further.kill()
    until(lambda: _ended(before), QUICK)
    until(lambda: len(site.stages()) == 3, LONG)
    _again(site, key, text)


def _again(site: Site, key: str, text: str) -> None:
    def answers() -> bool:
        said = site.stage.complete("chat", key, temperature=0)
        return said.status_code == 200 and said.json()["choices"][0]["text"] == text

    until(answers, LONG)
