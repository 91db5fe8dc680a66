"""Hosts on loopback addresses: a real sshd each, in namespaces of their own, started by a test.

Each host has its own mounts and processes; its /etc, /home, /opt and /var/lib are laid over this
machine's, so that accounts, files and environments are really made there and nothing of it stays.
Root's shell there is `sh`, so that nobody's profile runs for each command.
Programs that would reach the kernel of this machine are stand-ins (`programs`): systemctl, sysctl,
nft, lsblk. So settings, units and rules are only noted, and what the kernel or systemd would say of
them is not shown. It needs root, as mounts do.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

NETWORK = "127.88.0"
FIRST = 2
PROGRAMS = Path(__file__).parent / "programs"
LLMOPS = Path(sys.executable).with_name("llmops")
DEADLINE = 120.0
DYING = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: the kernel ends it with who started it, however that ends."""

_START = """\
set -eu
mount --make-rprivate /
for name in etc home opt var/lib; do
  under=$1/over/$(echo "$name" | tr / _)
  mkdir -p "$under/upper" "$under/work" "/$name"
  mount -t overlay overlay -o "lowerdir=/$name,upperdir=$under/upper,workdir=$under/work" "/$name"
done
sed -i 's,^\\(root:.*:\\)[^:]*$,\\1/bin/sh,' /etc/passwd
mkdir -p "$1/run"
mount --bind "$1/run" /run
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -f "$1/sshd_config"
"""

_CONFIG = """\
ListenAddress {address}:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {keys}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PidFile none
LogLevel VERBOSE
SetEnv STATE={folder}/state PATH={programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""  # noqa: E501


def missing() -> list[str]:
    """What is needed and not here."""
    needed = ("unshare", "setpriv", "ssh-keygen", "useradd", "runuser")
    lacking = [name for name in needed if shutil.which(name) is None]
    if not Path("/usr/sbin/sshd").exists():
        lacking.append("sshd (Debian: openssh-server)")
    return lacking if os.geteuid() == 0 else [*lacking, "root"]


@dataclass
class SshHost:
    """A host that runs."""

    name: str
    address: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def state(self) -> Path:
        """What the stand-ins note."""
        return self.folder / "state"

    @property
    def log(self) -> str:
        """What sshd says."""
        return (self.folder / "log").read_text(errors="replace")

    def file(self, path: str) -> Path:
        """Where a file lies that the host has written or changed."""
        top, _, rest = path.strip("/").partition("/")
        if top == "var":
            top, rest = "var_lib", rest.partition("/")[2]
        return self.folder / "over" / top / "upper" / rest


@dataclass
class Site:
    """All hosts, and the folder with their cluster file."""

    folder: Path
    port: int
    hosts: tuple[SshHost, ...]

    def declare(self, system: str = "{}", count: int | None = None, key: str = "file:key") -> None:
        """Write the cluster file."""
        (self.folder / "cluster.yaml").write_text(
            "kind: Cluster\nname: lab\nhcas: [{device: mlx5_0, rail: 1}]\n"
            f"access: {{port: {self.port}, key: '{key}'}}\n"
            f"units: [{{name: h, hosts: {count or len(self.hosts)},"
            f" addresses: {NETWORK}.{FIRST}}}]\n"
            f"system: {system}\n"
        )

    def run(
        self, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of `llmops cluster`."""
        return subprocess.run(
            [str(LLMOPS), "cluster", *arguments], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, **(environment or {})}, timeout=280, check=False,
        )  # fmt: skip

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command of `llmops cluster`."""
        return subprocess.Popen(
            [str(LLMOPS), "cluster", *arguments], cwd=self.folder, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


@contextmanager
def site(folder: Path, count: int) -> Iterator[Site]:
    """So many hosts, each with its sshd; all end with the block."""
    (folder / "site").mkdir()
    keygen(folder / "site" / "key")
    port = free_port()
    with ExitStack() as stack:
        hosts = [
            stack.enter_context(_host(folder, f"h-{at + 1:03}", f"{NETWORK}.{FIRST + at}", port))
            for at in range(count)
        ]
        for host in hosts:
            _answers(host, port)
        yield Site(folder / "site", port, tuple(hosts))


@contextmanager
def _host(above: Path, name: str, address: str, port: int) -> Iterator[SshHost]:
    folder = above / name
    state = folder / "state"
    (state / "files").mkdir(parents=True)
    (state / "files" / "chrony.service").write_text("disabled\n")
    (state / "files" / "opensm.service").write_text("disabled\n")
    (state / "active").mkdir()
    (state / "active" / "ssh.service").write_text("active\n")
    (state / "sysctl").write_text("net.core.somaxconn = 128\nvm.nr_hugepages = 0\n")
    keygen(folder / "host_key")
    config = _CONFIG.format(
        address=address, port=port, folder=folder, keys=above / "site", programs=PROGRAMS
    )
    (folder / "sshd_config").write_text(config)
    command = [*DYING, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
               "sh", "-c", _START, "start", str(folder)]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield SshHost(name, address, folder, process)
    finally:
        process.kill()  # --kill-child: all that the host runs ends with it
        process.wait()


def _answers(host: SshHost, port: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        assert host.process.poll() is None, f"{host.name} did not start:\n{host.log}"
        try:
            with socket.create_connection((host.address, port), timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{host.name} did not answer:\n{host.log}")


def keygen(path: Path) -> None:
    """Make a key."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, timeout=60)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(paths: Sequence[Path], process: subprocess.Popen[str]) -> None:
    """Wait until files are there, while a command runs."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if all(path.exists() for path in paths):
            return
        assert process.poll() is None, f"it ended before: {process.communicate()[0]}"
        time.sleep(0.02)
    raise AssertionError(f"never there: {paths}")
