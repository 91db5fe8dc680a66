"""Hosts over a real sshd: pinned, looked at, prepared, cut off half-way, and none forgotten."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bare_metal.hosts import plan_hosts, wanted
from bare_metal.hosts.connection import (
    Connector,
    Files,
    HostGoneError,
    Ran,
    Reader,
    Talk,
    Unreachable,
    Writer,
    connector,
    over,
)
from bare_metal.hosts.facts import gather
from bare_metal.hosts.operations import Done, HostPlan, apply
from bare_metal.inventory import Placed, hosts_of, read_cluster
from tests.bare_metal import sshd

pytestmark = [
    pytest.mark.engines,
    pytest.mark.long,
    pytest.mark.timeout(900),  # each command starts a Python, on a machine that others load
    pytest.mark.skipif(bool(sshd.missing()), reason=f"needs {', '.join(sshd.missing())}"),
]

COUNT = 8
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0LnUkXwX7aQ0zQ1QyF1S3n4yq0m8aP0Vq0b0Qz0Q0a ops"
SYSTEM = f"""
  users: [{{name: ops, keys: ['{PUBLIC}']}}]
  memlock: unlimited
  hugepages: 16
  sysctl: {{net.core.somaxconn: "4096"}}
  time: chrony
  cache: {{source: LABEL=weights}}
  subnet_managers: [h-001]
  firewall: {{allow: [127.88.0.0/16]}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Site]:
    with sshd.site(tmp_path_factory.mktemp("hosts"), COUNT) as made:
        yield made


@pytest.fixture
def pinned(site: sshd.Site) -> sshd.Site:
    site.declare(SYSTEM)
    (site.folder / "known_hosts").unlink(missing_ok=True)  # a test that failed may have spoiled it
    done = site.run("hosts", "pin", "--yes")
    assert done.returncode == 0, done.stderr
    return site


def test_no_host_is_talked_to_before_its_key_is_pinned(site: sshd.Site) -> None:
    site.declare()
    (site.folder / "known_hosts").unlink(missing_ok=True)
    before = site.run("hosts", "facts", "h-001")
    assert before.returncode == 4
    assert "its key is not in" in before.stdout
    assert "pin it: llmops cluster hosts pin h-001" in before.stdout
    done = site.run("hosts", "pin", "--yes")
    assert done.returncode == 0, done.stderr
    held = (site.folder / "known_hosts").read_text()
    for host in site.hosts:
        key = (host.folder / "host_key.pub").read_text().split()
        assert f"[{host.address}]:{site.port} {key[0]} {key[1]}" in held
        assert f"new: {host.name}  ssh-ed25519  SHA256:" in done.stderr
    again = site.run("hosts", "pin", "--yes")
    assert "8 hosts show the key that is pinned" in again.stderr
    assert (site.folder / "known_hosts").read_text() == held


def test_more_is_asked_at_once_than_sshd_has_sessions_for(pinned: sshd.Site) -> None:
    """It takes ten on a connection, and those that have ended count until it has noticed."""
    cluster = read_cluster([pinned.folder / "cluster.yaml"]).value
    by = connector(cluster, pinned.folder)

    async def ask(host: Placed) -> list[Ran]:
        async with by.writing(host) as session:
            return await asyncio.gather(*(session.run(["true"], seconds=60) for _ in range(40)))

    found = asyncio.run(over(hosts_of(cluster)[:1], ask, seconds=60))["h-001"]
    assert not isinstance(found, Unreachable), found
    assert {ran.code for ran in found} == {0}


def test_a_host_with_another_key_is_refused_and_never_logged_in_to(pinned: sshd.Site) -> None:
    known = pinned.folder / "known_hosts"
    right = known.read_text()
    host, other = pinned.hosts[1], pinned.hosts[2]
    keys = [(one.folder / "host_key.pub").read_text().split()[1] for one in (host, other)]
    known.write_text(right.replace(keys[0], keys[1]))
    logins = host.log.count("Accepted publickey")
    found = json.loads(pinned.run("hosts", "facts", "-o", "json").stdout)["hosts"]
    assert "another key than the pinned one" in found["h-002"]["unreachable"]
    assert "unreachable" not in found["h-003"]
    assert host.log.count("Accepted publickey") == logins
    refused = pinned.run("hosts", "pin", "--yes")
    assert refused.returncode == 3
    assert "refused: h-002 shows another key" in refused.stderr
    assert keys[1] in known.read_text(), "it was pinned anew without being named"
    named = pinned.run("hosts", "pin", "--yes", "--replace", "h-002")
    assert named.returncode == 0, named.stderr
    assert sorted(known.read_text().splitlines()) == sorted(right.splitlines())


def test_all_hosts_answer_at_once_and_a_dead_one_is_told(pinned: sshd.Site) -> None:
    pinned.declare(count=COUNT + 1)
    known = pinned.folder / "known_hosts"
    key = (pinned.hosts[0].folder / "host_key.pub").read_text().split()[:2]
    dead = f"[{sshd.NETWORK}.{sshd.FIRST + COUNT}]:{pinned.port} {' '.join(key)}\n"
    known.write_text(known.read_text() + dead)
    done = pinned.run("hosts", "facts", "-o", "json", "--record", "kept")
    assert done.returncode == 4
    found = json.loads(done.stdout)["hosts"]
    assert list(found) == [f"h-{at:03}" for at in range(1, COUNT + 2)]
    assert "Connect" in found["h-009"]["unreachable"]
    for host in pinned.hosts:
        assert found[host.name]["cpu"]["threads"] >= 1
        assert "lspci" in found[host.name]["pci"]["unknown"]
        assert abs(found[host.name]["clock"]["ahead"]) <= found[host.name]["clock"]["within"] + 1
    again = pinned.run("hosts", "facts", "h-001", "--recorded", "kept", "-o", "json")
    assert json.loads(again.stdout)["hosts"]["h-001"] == found["h-001"]
    known.write_text(known.read_text().replace(dead, ""))


@dataclass(frozen=True)
class Cutting:
    """A way to hosts that is cut after so many commands, another number for each host."""

    by: Connector
    after: dict[str, int]

    @asynccontextmanager
    async def reading(self, host: Placed) -> AsyncIterator[Reader]:
        async with self.by.reading(host) as session:
            yield session

    @asynccontextmanager
    async def writing(self, host: Placed) -> AsyncIterator[Writer]:
        async with self.by.writing(host) as session:
            yield Cut(session, [self.after[host.name]])


@dataclass(frozen=True)
class Cut:
    session: Writer
    left: list[int]

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        return await self.session.run(argv, seconds=seconds)

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        return await self.session.read(patterns, seconds=seconds)

    async def change(self, argv: Sequence[str], stdin: bytes | None, *, seconds: float) -> Ran:
        if not self.left[0]:
            if stdin is not None:  # half of what it was to be handed arrives
                half = await self.session.change(argv, stdin[: len(stdin) // 2], seconds=seconds)
                assert half.code != 0, f"half a file was put in place: {argv}"
            raise HostGoneError("cut by the test")
        self.left[0] -= 1
        return await self.session.change(argv, stdin, seconds=seconds)

    def talk(self, argv: Sequence[str]) -> AbstractAsyncContextManager[Talk]:
        return self.session.talk(argv)


def test_a_run_that_is_cut_anywhere_is_gone_on_with(pinned: sshd.Site) -> None:
    cluster = read_cluster([pinned.folder / "cluster.yaml"]).value
    hosts = hosts_of(cluster)
    by = connector(cluster, pinned.folder)
    wants = wanted(cluster, hosts, pinned.folder)

    def plans() -> dict[str, HostPlan]:
        made = plan_hosts(gather(hosts, by), wants)
        return {name: one for name, one in made.items() if isinstance(one, HostPlan)}

    first = plans()
    counts = {name: len(one.changes) for name, one in first.items()}
    after = {host.name: at + 3 for at, host in enumerate(hosts)}
    assert min(counts.values()) > max(after.values())
    done = apply(first, hosts, wants, Cutting(by, after))
    assert {type(outcome) for outcome in done.values()} == {Unreachable}
    second = plans()
    left = {name: len(one.changes) for name, one in second.items()}
    assert all(0 < left[name] <= counts[name] for name in left), left
    assert left["h-008"] < left["h-001"]
    again = apply(second, hosts, wants, by)
    assert {type(outcome) for outcome in again.values()} == {Done}, again
    third = plans()
    assert [one.changes for one in third.values()] == [()] * COUNT
    for host in pinned.hosts:
        _is_prepared(host)


def _is_prepared(host: sshd.SshHost) -> None:
    assert PUBLIC in host.file("home/ops/.ssh/authorized_keys").read_text()
    assert "\nops:" in host.file("/etc/passwd").read_text()
    assert "net.core.somaxconn = 4096" in (host.state / "sysctl").read_text()
    assert "vm.nr_hugepages = 16" in (host.state / "sysctl").read_text()
    assert "127.88.0.0/16" in (host.state / "table").read_text()
    assert (host.state / "active" / "chrony.service").read_text() == "active\n"
    assert not list((host.folder / "over").rglob("*.llmops-new"))
    manager = (host.state / "files" / "opensm.service").read_text()
    assert manager == ("enabled\n" if host.name == "h-001" else "disabled\n")


def test_a_command_that_is_killed_leaves_what_the_next_one_finishes(pinned: sshd.Site) -> None:
    """Kill -9 while hosts are in the middle of a change that none of them has seen yet."""
    pinned.declare(SYSTEM.replace("hugepages: 16", "hugepages: 32").replace("chrony", "watch"))
    for host in pinned.hosts:
        (host.state / "files" / "watch.service").write_text("disabled\n")
    gates = [host.state / "gate" for host in pinned.hosts[:4]]
    for gate in gates:
        gate.touch()
    command = pinned.start("hosts", "prepare", "--yes", "--parallel", "4")
    try:
        sshd.wait_for([gate.with_name("reached") for gate in gates], command)
        os.kill(command.pid, signal.SIGKILL)
        print(f"killed {command.pid} while {len(gates)} hosts were changed")
        assert command.wait() == -signal.SIGKILL
    finally:
        for gate in gates:
            gate.unlink()
            gate.with_name("reached").unlink(missing_ok=True)
    untouched = [
        h for h in pinned.hosts if "hugepages = 32" not in (h.state / "sysctl").read_text()
    ]
    assert len(untouched) == 4, "the kill came too late or too early to show anything"
    rest = pinned.run("hosts", "prepare", "--yes")
    assert rest.returncode == 0, rest.stderr
    second = pinned.run("hosts", "prepare", "--yes")
    assert second.returncode == 0
    assert "change:" not in second.stdout
    assert "nothing to do: watch runs, and is started with the host" in second.stdout
    assert "8 hosts: 0 changed, 8 had nothing to do, 0 failed, 0 unreachable" in second.stderr
    for host in pinned.hosts:
        assert (host.state / "active" / "watch.service").read_text() == "active\n"


def test_what_is_refused_is_told_and_the_rest_is_done(pinned: sshd.Site) -> None:
    pinned.declare("{time: ntpsec, sysctl: {net.core.somaxconn: '8192', no.such.thing: '1'}}")
    shown = pinned.run("hosts", "prepare", "--preview", "h-002")
    assert shown.returncode == 3
    assert "not done: ntpsec is to run, and is not installed" in shown.stdout
    assert "somaxconn = 4096" in (pinned.hosts[1].state / "sysctl").read_text()
    done = pinned.run("hosts", "prepare", "--yes", "h-002")
    assert done.returncode == 3
    assert "somaxconn = 8192" in (pinned.hosts[1].state / "sysctl").read_text()
    assert "somaxconn = 4096" in (pinned.hosts[2].state / "sysctl").read_text()
    no_terminal = pinned.run("hosts", "prepare", "h-002")
    assert no_terminal.returncode == 2


def test_llmops_is_installed_into_an_environment_of_its_own(pinned: sshd.Site) -> None:
    name = "llmops-9.9-py3-none-any.whl"
    with zipfile.ZipFile(pinned.folder / name, "w") as wheel:
        wheel.writestr("llmops_canary.py", "WORKS = True\n")
        info = "llmops-9.9.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llmops\nVersion: 9.9\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (pinned.folder / "lock.txt").write_text("# it needs nothing\n")
    pinned.declare(f"{{program: {{wheel: {name}, lock: lock.txt}}}}")
    done = pinned.run("hosts", "prepare", "--yes", "h-004")
    assert done.returncode == 0, done.stderr
    host = pinned.hosts[3]
    current = str(host.file("/opt/llmops/current").readlink())
    digest = host.file(f"/opt/llmops/{current}/complete").read_text().strip()
    assert digest == current
    assert list(host.file(f"/opt/llmops/{current}/venv").rglob("llmops_canary.py"))
    wheel_bytes = (pinned.folder / name).read_bytes()
    assert host.file(f"/opt/llmops/{current}/{name}").read_bytes() == wheel_bytes
    second = pinned.run("hosts", "prepare", "--yes", "h-004")
    assert f"nothing to do: {name} is installed" in second.stdout


def test_no_secret_is_in_words_logs_or_errors(pinned: sshd.Site) -> None:
    """The key comes from a variable; a wrong one, and a locked one, are told without their text."""
    right = (pinned.folder / "key").read_text()
    canary = "canary" + hashlib.sha256(b"secret").hexdigest()
    pinned.declare("{sysctl: {net.core.somaxconn: '4096'}}", key="env:LLMOPS_TEST_KEY")
    outputs = []
    good = pinned.run("hosts", "prepare", "--yes", "h-003", environment={"LLMOPS_TEST_KEY": right})
    assert good.returncode == 0, good.stderr
    for text in (canary, right.replace("b3BlbnNzaC1rZXk", canary[:15]), ""):
        bad = pinned.run("hosts", "facts", "h-003", environment={"LLMOPS_TEST_KEY": text})
        assert bad.returncode == 2, bad.stdout
        assert "LLMOPS_TEST_KEY" in bad.stderr
        outputs.append(bad)
    outputs.append(good)
    body = right.splitlines()[1][:24]
    for done in outputs:
        assert canary not in done.stdout + done.stderr
        assert body not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    for host in pinned.hosts:
        assert canary not in host.log
        assert body not in host.log


async def _words(by: Connector, host: Placed) -> str:
    """What every process of a host was started with, while a change of ours waits there."""
    text = b"to be seen by nobody" * 10

    async def waits() -> Ran:
        async with by.writing(host) as session:
            argv = ("sh", "-c", "cat >/dev/null; sleep 3")
            return await session.change(argv, text, seconds=60)

    async def looks() -> str:
        async with by.reading(host) as session:
            await asyncio.sleep(1)
            files = await session.read(("/proc/*/cmdline", "/proc/*/environ"), seconds=60)
            return "".join(files.texts.values())

    _, seen = await asyncio.gather(waits(), looks())
    return seen


def test_what_goes_by_standard_input_is_in_nobodys_words(pinned: sshd.Site) -> None:
    cluster = read_cluster([pinned.folder / "cluster.yaml"]).value
    host = hosts_of(cluster)[4]

    async def one(placed: Placed) -> str:
        return await _words(connector(cluster, pinned.folder), placed)

    found = asyncio.run(over([host], one, seconds=120))[host.name]
    assert isinstance(found, str)
    assert "sleep 3" in found.replace("\0", " "), "the look saw no process at all"
    assert "seen by nobody" not in found


def test_a_key_that_no_host_knows_lets_nobody_in(pinned: sshd.Site, tmp_path: Path) -> None:
    sshd.keygen(tmp_path / "other")
    pinned.declare(key=f"file:{tmp_path / 'other'}")
    done = pinned.run("hosts", "facts", "h-005", "h-006")
    assert done.returncode == 4
    assert "lets root in with none of the keys" in done.stdout
