"""A service on hosts of a described cluster, for real: sshd, Ray of two hosts, vLLM, a power cut.

The heavier tier. One story, told in order. The hosts are namespaces (`lab`), which have neither
GPUs nor adapters: what checks them is switched off in a file of thresholds, as a user would do it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bare_metal.health import table
from tests.bare_metal.lab import Lab, laboratory, missing, until
from tests.support.program import LLMOPS
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1500)]

LONG = 900.0
"""Seconds for an engine to start on a machine ten times slower than a quiet one."""
HEAD, WORKER, THIRD = "su1-001", "su1-002", "su1-003"
GUIDE = Path(__file__).parents[2] / "docs" / "bare-metal.md"
ADDED = """\
nics: [{{device: eth0, use: management}}]
access: {{key: 'file:{key}'}}
"""


def cluster_file(key: Path) -> str:
    """The guide's cluster of 64 hosts, with what says how its hosts are reached."""
    described = GUIDE.read_text(encoding="utf-8").partition("```yaml\n")[2].partition("```")[0]
    said = "hosts: 32}"
    assert said in described
    reached = "hosts: 32, addresses: 10.77.0.11, hourly: 12.5}"
    return described.replace(said, reached) + ADDED.format(key=key)


SPEC = """\
name: tiny
model: {{source: 'file://{model}', context: {context}}}
engine: {{kv_cache: 256MiB}}
maintenance: {{drain: 5s}}
scaling: {{replicas: {replicas}}}
target:
  kind: bare_metal
  cluster: cluster.yaml
  store: file://{store}
  health: checks.yaml
  hosts: [{hosts}]
  count: {count}
  host: 10.77.0.11
  port: 8000
  allow_plaintext: true
"""


class Site:
    """The lab with a user's folder."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.folder = lab, lab.folder / "user"
        self.folder.mkdir()
        (self.folder / "home").mkdir(mode=0o700)
        self.store = lab.folder / "store"
        self.model = make_tiny_model(lab.folder / "model")
        (self.folder / "cluster.yaml").write_text(cluster_file(lab.key))
        off = "".join(
            f"  - {{id: {one.id}, skip: true, source: there is no such hardware here}}\n"
            for one in table()
        )
        (self.folder / "checks.yaml").write_text(f"kind: HealthChecks\nchecks:\n{off}")
        home = str(self.folder / "home")
        self.environment = os.environ | {"LLMOPS_HOME": home, "NO_COLOR": "1"}
        self.spec()

    def spec(
        self, context: int = 480, replicas: int = 2, hosts: str = f"{HEAD}, {WORKER}",
        count: int = 2,
    ) -> None:  # fmt: skip
        text = SPEC.format(
            model=self.model, context=context, replicas=replicas, hosts=hosts, count=count,
            store=self.store,
        )  # fmt: skip
        (self.folder / "llmops.yaml").write_text(text)

    def run(self, *arguments: str, seconds: float = LONG) -> subprocess.CompletedProcess[str]:
        command = self.lab.inside(str(LLMOPS), *arguments)
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True,
            timeout=seconds, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def begin(self, *arguments: str) -> tuple[subprocess.Popen[bytes], Path]:
        said = self.folder / f"said-{time.monotonic_ns()}"
        with said.open("wb") as output:
            begun = subprocess.Popen(
                self.lab.inside(str(LLMOPS), *arguments), env=self.environment, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        return begun, said

    def told(self, done: subprocess.CompletedProcess[str]) -> str:
        return done.stdout + done.stderr + "".join(
            f"\n--- {host.name}\n{host.log()[-3000:]}" for host in self.lab.hosts.values()
        )  # fmt: skip

    def nodes_that_serve(self) -> set[str]:
        """Hosts with a replica, as this machine's own processes show."""
        found = set()
        for name, host in self.lab.hosts.items():
            if host.outer.poll() is None and any(
                title.startswith("ray::ServeReplica:tiny") for title in titles(host.first)
            ):
                found.add(name)
        return found


def titles(first: int) -> Iterator[str]:
    """What the processes of a host call themselves."""
    space = Path(f"/proc/{first}/ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "ns/pid").readlink() == space:
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:
            continue


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    assert missing() == [], "the hosts of this test need these"
    with laboratory() as lab:
        for number, name in enumerate((HEAD, WORKER), start=11):
            lab.add(name, number)
        yield Site(lab)


def test_described_hosts_serve_and_survive_the_loss_of_one(site: Site) -> None:
    _strangers_are_not_talked_to(site)
    key = _deployed_by_a_command_that_dies(site)
    _again_nothing_changes(site)
    _a_host_is_lost(site, key)
    _another_takes_its_place(site, key)
    _a_host_rests(site, key)
    _destroyed(site)


def _strangers_are_not_talked_to(site: Site) -> None:
    refused = site.run("deploy", "--yes")
    assert refused.returncode == 3, site.told(refused)
    assert "may be taken" in refused.stderr, refused.stderr
    assert "is not in" in refused.stderr, refused.stderr
    pinned = site.run("cluster", "hosts", "pin", HEAD, WORKER, "--yes")
    assert pinned.returncode == 0, site.told(pinned)


def _deployed_by_a_command_that_dies(site: Site) -> str:
    begun, said = site.begin("deploy", "--yes")
    until(lambda: "setting up" in said.read_text() or begun.poll() is not None, LONG)
    assert begun.poll() is None, said.read_text()
    begun.send_signal(signal.SIGKILL)  # of nsenter, which is the command itself
    begun.wait(60)
    done = site.run("deploy", "--yes")
    assert done.returncode == 0, site.told(done)
    assert "tiny: release 1 serves" in done.stdout, done.stdout
    assert site.nodes_that_serve() == {HEAD, WORKER}, site.told(done)
    key = site.run("keys", "create", "tiny", "-k", "me", "-o", "json")
    assert key.returncode == 0, site.told(key)
    text = str(json.loads(key.stdout)["key"])
    chat = site.run("chat", "tiny", "one two", "--max-tokens", "4")
    assert chat.returncode == 0, site.told(chat)
    return text


def _again_nothing_changes(site: Site) -> None:
    again = site.run("deploy", "--yes")
    assert again.returncode == 0, site.told(again)
    assert "nothing changed" in again.stdout, again.stdout


def _a_host_is_lost(site: Site, key: str) -> None:
    """The worker loses its power: the service goes on; a deploy says why it cannot be whole."""
    site.lab.hosts[WORKER].cut()
    assert site.lab.hosts[WORKER].outer.poll() is not None, "the cut did not land"
    until(lambda: answers(site, key), LONG)
    short = site.run("deploy", "--yes")
    assert short.returncode == 3, site.told(short)
    assert "2 hosts are needed, and 1 of 2 may be taken (su1-002:" in short.stderr, short.stderr
    site.spec(hosts=HEAD, count=1)
    done = site.run("deploy", "--yes")
    assert done.returncode == 0, site.told(done)
    until(lambda: answers(site, key), LONG)


def _another_takes_its_place(site: Site, key: str) -> None:
    site.lab.add(THIRD, 13)
    pinned = site.run("cluster", "hosts", "pin", THIRD, "--yes")
    assert pinned.returncode == 0, site.told(pinned)
    site.spec(context=500, hosts=f"{HEAD}, {THIRD}")
    done = site.run("deploy", "--yes")
    assert done.returncode == 0, site.told(done)
    assert site.nodes_that_serve() == {HEAD, THIRD}, site.told(done)
    assert answers(site, key)


def _a_host_rests(site: Site, key: str) -> None:
    """Its replica is started elsewhere before it ends, under questions that are all answered."""
    running = site.begin("cluster", "maintain", THIRD, "--why", "a new fan", "--yes")
    heard: list[bool] = []
    while running[0].poll() is None:
        heard.append(answers(site, key))
    assert running[0].returncode == 0, running[1].read_text()
    assert heard.count(False) == 0, heard
    assert len(heard) > 2, "nothing was asked meanwhile"
    assert site.nodes_that_serve() == {HEAD}, running[1].read_text()
    assert not list(_ray(site, THIRD)), "nothing of Ray is left on the host"
    refused = site.run("deploy", "--yes")
    assert refused.returncode == 3, site.told(refused)
    assert "a new fan" in refused.stderr, refused.stderr
    back = site.run("cluster", "maintain", THIRD, "--end", "--thresholds", "checks.yaml", "--yes")
    assert back.returncode == 0, site.told(back)
    done = site.run("deploy", "--yes")
    assert done.returncode == 0, site.told(done)
    until(lambda: bool(list(_ray(site, THIRD))), LONG)


ASK = """\
import httpx, sys
said = httpx.post(
    "http://10.77.0.11:8000/v1/completions",
    json={"model": "tiny", "prompt": "one", "max_tokens": 2},
    headers={"Authorization": "Bearer " + sys.argv[1]},
    timeout=60,
)
print(said.status_code)
"""


def answers(site: Site, key: str) -> bool:
    python = str(LLMOPS.with_name("python"))
    done = site.lab.run(python, "-c", ASK, key, environment=site.environment)
    return done.stdout.strip() == "200"


def _destroyed(site: Site) -> None:
    gone = site.run("destroy", "tiny", "--yes")
    assert gone.returncode == 0, site.told(gone)
    for host in (HEAD, THIRD):
        assert not list(_ray(site, host)), f"nothing of Ray is left on {host}"


def _ray(site: Site, host: str) -> Iterator[str]:
    for title in titles(site.lab.hosts[host].first):
        if title.startswith("ray::") or "raylet" in title or "gcs_server" in title:
            yield title
