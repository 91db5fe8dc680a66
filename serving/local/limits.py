"""What a container or a slice lets this process have: the kernel's control groups, read only.

Both versions are read. Every group from this process's own up to the root may limit it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUP = "sys/fs/cgroup"


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits beside the machine's own; None where there is none. Bytes."""

    cores: int | None = None
    memory: int | None = None
    memory_used: int = 0
    """Of `memory`; file pages that the kernel gives back when asked are not counted."""


def read_limits(root: Path = Path("/")) -> Limits:
    """The tightest limits. `root` is where `proc` and `sys` are."""
    cores: int | None = None
    memory: int | None = None
    used = 0
    for group in _groups(root):
        if (quota := _cores(group)) is not None:
            cores = min(quota, cores or quota)
        limit = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
        if limit is None:
            continue
        taken = _used(group)
        if memory is None or limit - taken < memory - used:
            memory, used = limit, taken
    return Limits(cores, memory, used)


def _groups(root: Path) -> Iterator[Path]:
    """This process's own groups and all above them, of each hierarchy that can limit it."""
    base = root / CGROUP
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers not in ("", "memory", "cpu", "cpu,cpuacct", "cpuacct,cpu"):
            continue
        top = base / controllers
        own = top / path.strip("/")
        yield from (group for group in (own, *own.parents) if top in group.parents)
    # What a container sees as the root is its own group, whatever the path says.
    yield from (base, base / "memory", base / "cpu", base / "cpu,cpuacct")


def _cores(group: Path) -> int | None:
    """A quota in whole cores, rounded down, at least 1."""
    words = _text(group / "cpu.max").split()
    if not words:
        words = [_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None  # `max`, -1 or nothing
    return max(1, int(words[0]) // int(words[1]))


def _used(group: Path) -> int:
    used = _number(group / "memory.current") or _number(group / "memory.usage_in_bytes") or 0
    cached = 0
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            cached = max(cached, int(value))
    return max(0, used - cached)


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
