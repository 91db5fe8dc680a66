"""Hosts to serve on, without hardware: each with a network, processes and files of its own.

A host is a real sshd in namespaces: its own network, joined to the others' by a bridge in a further
one that leads nowhere; its own processes, so that killing its first one is a power cut; and its own
/etc, /opt, /var/lib, /run and /tmp, laid over this machine's. Every command that asks a host runs
inside the bridge's network. What is not a host's own: the kernel, and the programs. Its account
`llmops` is root by another name, since this machine's Python may lie where no other account reads;
and `systemctl` is a stand-in. So neither rights of accounts nor units are shown here. Root's shell
is `sh`, so that nobody's profile runs for each command.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.bare_metal.sshd import DYING

NETWORK = "10.77.0"
OVERLAID = ("etc", "opt", "var/lib")
STANDIN = Path(__file__).parent / "standin" / "systemctl.py"

_HOST = """\
set -eu
mount --make-rprivate /
for at in {overlaid}; do
  name=$(echo "$at" | tr / _)
  mkdir -p {root}/$name {root}/$name.work
  mount -t overlay overlay -o lowerdir=/$at,upperdir={root}/$name,workdir={root}/$name.work /$at
done
mkdir -p {root}/run {root}/tmp {root}/state
mount --bind {root}/run /run
mount --bind {root}/tmp /tmp
mkdir -p /run/sshd /opt/llmops/current/venv/bin
ln -sfn {llmops} /opt/llmops/current/venv/bin/llmops
echo lab > /opt/llmops/current/complete
sed -i 's,^\\(root:.*:\\)[^:]*$,\\1/bin/sh,' /etc/passwd
echo 'llmops:x:0:0::/var/lib/llmops:/usr/sbin/nologin' >> /etc/passwd
echo 'llmops:x:0:' >> /etc/group
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add {address}/24 dev eth0
ip link set eth0 up
exec /usr/sbin/sshd -D -e -f {root}/sshd_config
"""

_SSHD = """\
ListenAddress {address}
HostKey {root}/host_key
AuthorizedKeysFile {keys}
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
SetEnv PATH={root}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin STANDIN={root}/state
"""


def missing() -> list[str]:
    """What the lab needs and this machine lacks."""
    lacking = [
        name
        for name in ("unshare", "setpriv", "nsenter", "ip", "ssh-keygen")
        if not shutil.which(name)
    ]
    if not Path("/usr/sbin/sshd").exists():
        lacking.append("sshd")
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


@dataclass
class LabHost:
    """A host."""

    name: str
    address: str
    root: Path
    outer: subprocess.Popen[bytes]

    @property
    def first(self) -> int:
        """Pid of its first process, as this machine counts."""
        children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text()
        return int(children.split()[0])

    def cut(self) -> None:
        """A power cut: nothing of it is left."""
        with contextlib.suppress(OSError, IndexError):
            os.kill(self.first, signal.SIGKILL)
        self.outer.wait(60)

    def log(self) -> str:
        """What its agent said."""
        with contextlib.suppress(OSError):
            return (self.root / "state" / "llmops-agent.service.log").read_text()
        return ""


@dataclass
class Lab:
    """Hosts on one network, and the way into it."""

    folder: Path
    bridge: subprocess.Popen[bytes]
    hosts: dict[str, LabHost] = field(default_factory=dict)

    @property
    def key(self) -> Path:
        """The private key that the hosts let in."""
        return self.folder / "key"

    def inside(self, *command: str) -> tuple[str, ...]:
        """The command that runs a command inside the network."""
        return ("nsenter", f"--net=/proc/{self.bridge.pid}/ns/net", "--", *command)

    def run(
        self, *command: str, environment: Mapping[str, str], seconds: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the network."""
        return subprocess.run(
            self.inside(*command), env=dict(environment), capture_output=True, text=True,
            timeout=seconds, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def add(self, name: str, number: int) -> LabHost:
        """Start a host; its sshd answers when this returns."""
        root = self.folder / name
        (root / "bin").mkdir(parents=True)
        address = f"{NETWORK}.{number}"
        _keygen(root / "host_key")
        program = root / "bin" / "systemctl"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {STANDIN} "$@"\n')
        program.chmod(0o755)
        (root / "sshd_config").write_text(
            _SSHD.format(address=address, root=root, keys=f"{self.key}.pub")
        )
        script = _HOST.format(
            overlaid=" ".join(OVERLAID), root=root, address=address,
            llmops=Path(sys.executable).with_name("llmops"),
        )  # fmt: skip
        with (self.folder / f"{name}.log").open("wb") as log:
            outer = subprocess.Popen(
                [*DYING, "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child",
                 "--mount-proc", "sh", "-c", script],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        host = LabHost(name, address, root, outer)
        self.hosts[name] = host
        until(lambda: bool(_children(outer.pid)), 60)
        self._wire(host, number)
        until(lambda: "listening on" in (self.folder / f"{name}.log").read_text(), 60)
        return host

    def _wire(self, host: LabHost, number: int) -> None:
        name = f"h{number}"
        for words in (
            ("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(host.first)),
            ("link", "set", name, "master", "br0", "up"),
        ):
            subprocess.run(self.inside("ip", *words), check=True, timeout=60)

    def end(self) -> None:
        """End everything, and take its files away."""
        for host in self.hosts.values():
            if host.outer.poll() is None:
                host.cut()
        self.bridge.kill()
        self.bridge.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def _children(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return ""


def until(fulfilled: object, seconds: float) -> None:
    """Wait for something, with a deadline."""
    assert callable(fulfilled)
    ends = time.monotonic() + seconds
    while not fulfilled():
        assert time.monotonic() < ends, "it did not come in time"
        time.sleep(0.1)


def _keygen(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True, timeout=60)


@contextlib.contextmanager
def laboratory() -> Iterator[Lab]:
    """A network without hosts, and nothing of it left in the end."""
    # Not below /tmp: paths there may be too long for sockets, and overlays want a real disk.
    folder = Path(tempfile.mkdtemp(prefix="llmops-lab-", dir="/var/tmp"))
    command = [*DYING, "unshare", "--net", "sleep", "infinity"]
    bridge = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    lab = Lab(folder, bridge)
    try:
        own = Path("/proc/self/ns/net").readlink()
        until(lambda: Path(f"/proc/{bridge.pid}/ns/net").readlink() != own, 60)
        for words in (
            ("link", "set", "lo", "up"),
            ("link", "add", "br0", "type", "bridge"),
            ("addr", "add", f"{NETWORK}.1/24", "dev", "br0"),
            ("link", "set", "br0", "up"),
        ):
            subprocess.run(lab.inside("ip", *words), check=True, timeout=60)
        _keygen(lab.key)
        yield lab
    finally:
        lab.end()
