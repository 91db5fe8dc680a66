"""Whom the kernel has ended for want of memory, and who is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving.local.doctor import CHECKS, Look
from serving.starving import out_of_memory_kills


@pytest.mark.parametrize("counter", ["sys/fs/cgroup/memory.events", "proc/vmstat"])
def test_doctor_tells_of_it(tmp_path: Path, counter: str) -> None:
    look = Look(tmp_path / "home", root=tmp_path, memory=lambda root: 16 * 2**30)
    assert "kernel" not in CHECKS["memory"](look)[1]
    file = tmp_path / counter
    file.parent.mkdir(parents=True)
    file.write_text("oom 9\noom_kill 2\noom_group_kill 0\n")
    verdict, found, _ = CHECKS["memory"](look)
    assert verdict == "ok", "that it has happened once is no fault of now"
    assert "the kernel has ended 2 for want of memory" in found


def test_a_container_is_told_of_its_own(tmp_path: Path) -> None:
    for name, text in {"sys/fs/cgroup/memory.events": 1, "proc/vmstat": 5}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"oom_kill {text}\n")
    assert out_of_memory_kills(tmp_path) == 1
