"""Start and end the runtime, and own every port that it opens.

One detached host process per `LLMOPS_HOME` starts a Ray of its own; it never joins, stops or looks
for another Ray on the machine. Ray's processes share the host's fate: the kernel ends them when it
dies, however it dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from llmops.errors import TargetError
from llmops.events import Flow, Progress
from serving.lives import lives
from serving.runtime import segments
from serving.runtime.control import Control
from serving.runtime.network import Network
from serving.runtime.paths import ANEW, LOOPBACK_ONLY, NODE_ADDRESS, RuntimePaths

START_DEADLINE = 120.0
"""Seconds a host may take until it answers; about 12 on two cores."""

STOP_DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening socket that the runtime opens: whose it is, where, and what guards it."""

    owner: str
    """Start of the owning process's name, as the kernel shows it."""
    address: str
    guard: str


SOCKETS = (
    Socket("ray::Serve", "127.0.0.1", "the endpoint: API keys; the other ports: Ray's token"),
    Socket("gcs_server", "127.0.0.1", "Ray's token"),
    Socket("raylet", "127.0.0.1", "Ray's token"),
    Socket("ray::", "127.0.0.1", "Ray's token"),
    Socket("python", "127.0.0.1", "Ray's driver: Ray's token; Ray's metrics: figures only"),
    Socket("VLLM::", "127.0.0.1", "torch's store of a tensor parallel group: loopback only"),
)
"""Everything that may listen while a runtime is up. A test compares it with what does."""


_LOOPBACK = {
    LOOPBACK_ONLY: "1",
    # Named for other systems, it does the same on Linux: the node's address is 127.0.0.1, and the
    # servers of a node with a loopback address bind to loopback only.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


SERVE_SETTINGS = {
    # Requests are handled on the replica's own loop and by gRPC: two hops of threads fewer.
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1000",
}
"""What makes the way of a request through Serve short."""


def environment(
    paths: RuntimePaths, base: dict[str, str], network: Network | None = None
) -> dict[str, str]:
    """The host's environment: what makes Ray private, quiet and, where it is on one machine alone,
    bound to loopback."""
    kept = {name: value for name, value in base.items() if not name.startswith("RAY_")}
    kept.pop(LOOPBACK_ONLY, None)
    kept.pop(ANEW, None)
    alone = network is None or network.loopback
    named = {NODE_ADDRESS: network.address} if network else {}
    return (
        kept
        | (_LOOPBACK if alone else {})
        | named
        | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(paths.token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            "RAY_DEDUP_LOGS": "0",
            # Of each of Ray's own logs at most 48 MiB; by default 3 GiB.
            "RAY_ROTATION_MAX_BYTES": "16777216",
            "RAY_ROTATION_BACKUP_COUNT": "2",
            # Ray would run its workers at niceness 15: an engine that yields to whatever else runs.
            "RAY_worker_niceness": "0",
            # Ray would end workers from 95 % of the machine's memory on, whoever has taken it:
            # Serve's controller and the gateway among them, until nobody answers. The kernel ends
            # the one that is largest, which is an engine, and Serve starts that anew.
            "RAY_memory_monitor_refresh_ms": "0",
            "AUTOSCALER_METRIC_PORT": str(free_port()),
            "DASHBOARD_METRIC_PORT": str(free_port()),
            "RAY_SERVE_LOG_TO_STDERR": "0",
            "PYTHONUNBUFFERED": "1",
        }
        | SERVE_SETTINGS
    )


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def private_directory(path: Path) -> None:
    """Make `path`, 0700 and ours.

    Raises:
        TargetError: When somebody else owns it, or it is a link.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = path.lstat()
    if path.is_symlink() or found.st_uid != os.getuid():
        raise TargetError(f"{path} belongs to somebody else", hint=f"remove {path}")
    path.chmod(0o700)


def host_process(paths: RuntimePaths) -> psutil.Process | None:
    """The running host of this home; None when there is none. A reused pid is not taken for it."""
    try:
        record = json.loads(paths.host_record.read_text())
        return psutil.Process(record["pid"]) if lives(record["pid"], record["life"]) else None
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        return None


def ensure_host(
    paths: RuntimePaths,
    host: str,
    port: int,
    tls: tuple[str, str] | None = None,
    network: Network | None = None,
) -> Flow[Control]:
    """Start the host if it is not up; return its control.

    Args:
        paths: The runtime's.
        host: Address of the endpoint, of a host that is started.
        port: Its port.
        tls: Files of its certificate and key; None where it speaks plain HTTP.
        network: How further machines can join its Ray; None where it is alone.

    Raises:
        TargetError: When it cannot start; with the end of its log.
    """
    control = Control(paths.control)
    if host_process(paths) is not None and control.alive():
        return control
    yield from stop_host(paths)
    private_directory(paths.sockets)
    write_token(paths.token, network.token() if network else secrets.token_hex(32))
    paths.host_log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    process = _spawn(paths, [host, str(port), *(tls or ())], network)
    began = time.monotonic()
    while not control.alive():
        elapsed = time.monotonic() - began
        if process.poll() is not None or elapsed > START_DEADLINE:
            ended = process.poll() is not None
            last = _last_line(paths.host_log, "it ended without a message" if ended else "")
            yield from stop_host(paths)  # it could come up later, and nobody would know of it
            process.wait()
            late = "" if ended else f"it was not up after {START_DEADLINE:.0f} s. "
            raise TargetError(
                f"the runtime did not start: {late}{last}".rstrip(),
                hint=f"see {paths.host_log}; llmops doctor checks this machine",
            )
        yield Progress("runtime", "starting Ray and Serve", elapsed, START_DEADLINE)
        time.sleep(0.1)
    return control


def _spawn(
    paths: RuntimePaths, endpoint: list[str], network: Network | None
) -> subprocess.Popen[bytes]:
    with paths.host_log.open("ab") as log:
        os.fchmod(log.fileno(), 0o600)
        command = [sys.executable, "-m", "serving.runtime.host", str(paths.home), *endpoint]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=environment(paths, dict(os.environ), network),
            cwd="/",
        )


def write_token(path: Path, token: str) -> None:
    """Put Ray's token where its processes look for it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token)


def _last_line(log: Path, nothing: str) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1][:300] if lines else nothing


def stop_host(paths: RuntimePaths) -> Flow[None]:
    """End the host and everything it started, and remove its sockets, and what its processes leave
    in shared memory. Idempotent: what they hold is written down first, for whoever goes on with
    this once it was killed."""
    process = host_process(paths)
    pids = [one.pid for one in family(paths)]
    with contextlib.suppress(OSError):  # a full disk: whoever goes on with this will know less
        segments.note(paths, pids)
    shared = segments.known(paths, pids)
    began = time.monotonic()
    if process is not None:
        started = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        while any(_alive(member) for member in started):
            elapsed = time.monotonic() - began
            if elapsed > STOP_DEADLINE:
                end(started)
                break
            yield Progress("runtime", "ending Ray and Serve", elapsed, STOP_DEADLINE)
            time.sleep(0.1)
    end(leftovers(paths))
    segments.remove(shared)
    shutil.rmtree(paths.sockets, ignore_errors=True)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end(processes: list[psutil.Process]) -> None:
    """End processes at once, and wait until they have."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=5)


def leftovers(paths: RuntimePaths) -> list[psutil.Process]:
    """Processes of a runtime of this home whose host is gone.

    They are known by the token path in their environment, or, since some of Ray's overwrite that
    with a title, by a file that they hold open in the runtime's own directory: no process of
    another Ray, or of another home, can have either.
    """
    return [] if host_process(paths) is not None else family(paths)


def family(paths: RuntimePaths) -> list[psutil.Process]:
    """Every process of the runtime of this home but the one that asks."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _belongs(p, paths)]


def _belongs(process: psutil.Process, paths: RuntimePaths) -> bool:
    try:
        if not _alive(process):
            return False
        if process.environ().get("RAY_AUTH_TOKEN_PATH") == str(paths.token):
            return True
        return any(str(link.readlink()).startswith(f"{paths.ray}/") for link in _open(process.pid))
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess, OSError):
        return False


def _open(pid: int) -> Iterator[Path]:
    """A process's open files as the kernel links them; those of files that are gone too."""
    return Path(f"/proc/{pid}/fd").iterdir()
