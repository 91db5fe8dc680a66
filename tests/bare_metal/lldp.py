"""Hosts and leaves in network namespaces, with a real lldpd each, joined by veth pairs.

Debian's package `lldpd`. Each has a network, a host name and a `/sys` of its own, and its daemon a
socket of its own. What veth does not play: loss of light, optics, auto-negotiation; its speed is
always 10 Gb/s, and no RDMA device is above it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bare_metal.fabric import End, FabricPlan
from bare_metal.hosts.connection import Files, HostGoneError, Ran, Reader
from bare_metal.hosts.connection.files import reading, taken_apart
from bare_metal.inventory import Placed
from tests.bare_metal.lab import _children, until
from tests.bare_metal.sshd import DYING

_DEVICE = """\
set -eu
mount --make-rprivate /
mount -t sysfs sysfs /sys
hostname {name}
ip link set lo up
exec sleep infinity
"""
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def missing() -> list[str]:
    """What this needs and this machine lacks."""
    lacking = [
        name for name in ("lldpd", "lldpcli", "unshare", "nsenter", "ip")
        if not shutil.which(name, path=f"{PATH}:{os.environ.get('PATH', '')}")
    ]  # fmt: skip
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


@dataclass
class Device:
    """A host or a leaf."""

    name: str
    folder: Path
    outer: subprocess.Popen[bytes]
    """What holds its namespaces: all of its processes end with it, also by a signal to the test."""
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def first(self) -> str:
        """Pid of its first process, as this machine counts."""
        outer = self.outer.pid
        return Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0]

    def inside(self, *command: str) -> tuple[str, ...]:
        """The command that runs a command there."""
        return ("nsenter", f"--target={self.first}", "--net", "--mount", "--uts", "--pid", *command)

    def run(self, *command: str) -> Ran:
        """Run a command there, with its own lldpcli first."""
        done = subprocess.run(
            self.inside("env", f"PATH={self.folder}:{PATH}", *command), capture_output=True,
            text=True, timeout=60, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self) -> None:
        """Start its lldpd, which tells its ports by name and at once."""
        socket = self.folder / "socket"
        program = self.folder / "lldpcli"
        program.write_text(f'#!/bin/sh\nexec /usr/sbin/lldpcli -u {socket} "$@"\n')
        program.chmod(0o755)
        with (self.folder / "lldpd.log").open("wb") as log:
            # Without a path to lldpcli (-L) it does not wait to be configured.
            self.daemon = subprocess.Popen(
                [*DYING, *self.inside("lldpd", "-d", "-u", str(socket), "-L", "")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        until(socket.exists, 30)
        until(lambda: self.run("lldpcli", "configure", "lldp", "tx-interval", "1").code == 0, 30)
        for words in (("portidsubtype", "ifname"), ("tx-hold", "10")):
            self.run("lldpcli", "configure", "lldp", *words)

    def stop(self) -> None:
        """End its lldpd: every process there but the first, which takes no such signal."""
        if self.daemon is not None:
            self.run("sh", "-c", "kill -TERM -1")
            self.daemon.wait(30)
            self.daemon = None

    def end(self) -> None:
        """End all of it."""
        self.outer.kill()
        self.outer.wait(30)
        if self.daemon is not None:
            self.daemon.wait(30)


@dataclass
class Lldp:
    """Devices, and the cables between them."""

    folder: Path
    devices: dict[str, Device] = field(default_factory=dict)

    def add(self, name: str) -> None:
        """Start a device."""
        folder = self.folder / name
        folder.mkdir()
        command = [*DYING, "unshare", "--net", "--mount", "--uts", "--pid", "--fork"]
        command += ["--kill-child", "--mount-proc", "sh", "-c"]
        outer = subprocess.Popen([*command, _DEVICE.format(name=name)], stdin=subprocess.DEVNULL)
        self.devices[name] = Device(name, folder, outer)
        until(lambda: bool(_children(outer.pid)), 30)
        until(lambda: self.devices[name].run("hostname").out.strip() == name, 30)

    def plug(self, one: End, other: End, *, mtu: int = 9000) -> None:
        """Join two ports by a cable; taking out one end takes the whole of it."""
        low, high = self._device(one), self._device(other)
        words = (
            "ip", "link", "add", str(one.port), "netns", low.first, "mtu", str(mtu),
            "type", "veth", "peer", "name", str(other.port), "netns", high.first,
            "mtu", str(mtu),
        )  # fmt: skip
        subprocess.run(words, check=True, timeout=60)
        for device, end in ((low, one), (high, other)):
            assert device.run("ip", "link", "set", str(end.port), "up").code == 0

    def unplug(self, end: End) -> None:
        """Take a cable out."""
        assert self._device(end).run("ip", "link", "del", str(end.port)).code == 0

    def _device(self, end: End) -> Device:
        return self.devices[end.node.partition(" ")[0]]

    @asynccontextmanager
    async def reading(self, host: Placed) -> AsyncIterator[Reader]:
        """A device to look at; one without a daemon's namespace is gone."""
        if host.name not in self.devices:
            raise HostGoneError(f"{host.name} is not here")
        yield Inside(self.devices[host.name])


@dataclass(frozen=True, slots=True)
class Inside:
    """A device that is looked at."""

    device: Device

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        """Run a command there."""
        del seconds
        return self.device.run(*argv)

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        """Read files as over SSH."""
        return taken_apart(await self.run(reading(patterns), seconds=seconds))


@contextlib.contextmanager
def network(plan: FabricPlan, without: frozenset[str] = frozenset()) -> Iterator[Lldp]:
    """A plan's devices, cabled as planned, each with its lldpd, and nothing left in the end."""
    # Not below a test's folder: the path of a socket has at most 107 letters.
    lldp = Lldp(Path(tempfile.mkdtemp(prefix="lldp-", dir="/var/tmp")))
    lldp.folder.chmod(0o755)  # lldpcli runs as an account of its own, and must reach its socket
    names = [*plan.of_host, *plan.ports]
    try:
        for name in names:
            lldp.add(name)
        for low, high in plan.cables:
            lldp.plug(low, high)
        for name in names:
            if name not in without:
                lldp.devices[name].start()
        yield lldp
    finally:
        for device in lldp.devices.values():
            device.end()
        shutil.rmtree(lldp.folder, ignore_errors=True)


def settled(seconds: float, fulfilled: object) -> None:
    """Wait for what daemons tell each other, with a deadline."""
    assert callable(fulfilled)
    ends = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < ends, "the daemons did not tell in time"
        time.sleep(0.5)
