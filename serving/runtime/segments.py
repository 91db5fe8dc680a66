"""Segments of shared memory that a runtime's processes hold, and what is left of them.

Engines with several shards talk through files in /dev/shm. A process that is killed leaves its
files, and they take memory until the machine is started again. Their names say nothing of whose
they are; so while a host runs it writes down which of them its own processes have mapped, by name
and inode. What is written down, is still that file, and is mapped and held open by no process is an
orphan. Nothing else is ever touched there: it may be a stranger's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from serving.runtime.paths import RuntimePaths

PLACE = Path("/dev/shm")  # noqa: S108 - where the kernel has it

_MAPPED = re.compile(r"^\S+ \S+ \S+ \S+ (?P<inode>\d+) +(?P<path>/dev/shm/[^/\n]+)$", re.MULTILINE)

Segments = dict[str, int]
"""Inodes by name."""


def known(paths: RuntimePaths, pids: Iterable[int] = ()) -> Segments:
    """What was written down of the runtime, and what these processes of it have now."""
    try:
        told = {str(k): int(v) for k, v in json.loads(paths.segments.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        told = {}
    return _left(told | mapped(pids))


def note(paths: RuntimePaths, pids: Iterable[int]) -> None:
    """Write down what the runtime's processes have mapped now, beside what there was before.

    Raises:
        OSError: When it cannot be written.
    """
    # Of its own: the host writes here, and whoever ends it.
    new = paths.segments.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    new.touch(mode=0o600)
    new.write_text(json.dumps(known(paths, pids)))
    new.replace(paths.segments)


def mapped(pids: Iterable[int]) -> Segments:
    """Files of shared memory that processes have mapped or open."""
    found: Segments = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for match in _MAPPED.finditer(Path(f"/proc/{pid}/maps").read_text(errors="replace")):
                found[Path(match["path"]).name] = int(match["inode"])
        found.update(_opened(pid))
    return found


def _opened(pid: int) -> Iterator[tuple[str, int]]:
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                path = link.readlink()
                if path.parent == PLACE:
                    yield path.name, link.stat().st_ino


def _left(segments: Segments) -> Segments:
    """Those that are still the file that they were."""
    found = {}
    for name, inode in segments.items():
        with contextlib.suppress(OSError):
            state = (PLACE / name).lstat()
            if (state.st_ino, state.st_uid) == (inode, os.getuid()):
                found[name] = inode
    return found


def orphans(ours: Segments) -> list[Path]:
    """Those of the runtime's that nobody uses."""
    if not ours:
        return []
    used = mapped(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [PLACE / name for name, inode in sorted(ours.items()) if used.get(name) != inode]


def remove(ours: Segments) -> None:
    """Remove those of the runtime's that nobody uses. Idempotent."""
    for path in orphans(ours):
        path.unlink(missing_ok=True)


__all__ = ["known", "mapped", "note", "orphans", "remove"]
