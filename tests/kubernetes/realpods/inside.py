"""Becomes the program of a pod, inside namespaces of its own: `python inside.py SPEC`.

Run by `unshare`, as the first process of a new PID, mount, network and host name namespace. It
makes the root read-only, mounts the pod's volumes, waits for the pod's interface, gives all
capabilities up and becomes the command. Standard library only; it refuses nothing and cleans
nothing up: everything it makes goes with the namespaces.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

BIND, RECURSIVE, REMOUNT, READ_ONLY = 0x1000, 0x4000, 0x20, 0x1  # <sys/mount.h>: MS_*
MOUNT_SETATTR, AT_RECURSIVE, AT_FDCWD = 442, 0x8000, -100  # <sys/syscall.h>, <fcntl.h>
GATEWAY = "169.254.1.1"
"""The other end of every pod's interface, whichever node it is on."""
INTERFACE = "eth0"
PATIENCE = 30.0
"""Seconds until the pod's interface must be there."""
OPEN_FILES = 65536
"""What KubeRay sets by `ulimit -n` before `ray start`."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """`struct mount_attr` of <linux/mount.h>."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    words = (word.encode() or None for word in (source, target, kind))
    if _LIBC.mount(*words, ctypes.c_ulong(flags), data.encode() or None):
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} on {target}: {os.strerror(code)}")


def make_read_only(path: str) -> None:
    """Make everything that is mounted at or below `path` read-only. Raises OSError."""
    wanted = _Attributes(set=READ_ONLY)
    size = ctypes.sizeof(wanted)
    if _LIBC.syscall(
        MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, ctypes.byref(wanted), size
    ):
        code = ctypes.get_errno()
        raise OSError(code, f"{path} cannot be made read-only: {os.strerror(code)}")


def make_room(path: Path) -> None:
    """Have a directory at `path` to mount on, without a change to the machine's own file system.

    The nearest directory that is there gets a layer of its own, with everything it holds.
    """
    if path.exists():
        return
    parent = next(known for known in path.parents if known.exists())
    below = os.open(parent, os.O_PATH | os.O_DIRECTORY)
    names = [entry.name for entry in parent.iterdir()]
    mount("tmpfs", str(parent), "tmpfs", 0, "mode=755")
    for name in names:
        _show(below, name, parent / name)
    path.mkdir(parents=True)


def _show(folder: int, name: str, target: Path) -> None:
    """Show an entry of an open directory at `target`."""
    entry = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    kind = os.fstat(entry).st_mode & 0o170000
    if kind == 0o120000:
        target.symlink_to(os.readlink(name, dir_fd=folder))
        return
    if kind == 0o040000:
        target.mkdir()
    else:
        target.touch()
    mount(f"/proc/self/fd/{entry}", str(target), "", BIND | RECURSIVE)


def mount_volumes(volumes: list[dict[str, Any]]) -> None:
    """Mount each volume; the sources are opened first, since one may be hidden by another."""
    opened = [os.open(v["source"], os.O_PATH) if "source" in v else -1 for v in volumes]
    for volume, source in zip(volumes, opened, strict=True):
        target = volume["target"]
        if source < 0:
            mount("tmpfs", target, "tmpfs", 0, f"mode=1777,size={volume['size']}")
            continue
        mount(f"/proc/self/fd/{source}", target, "", BIND)
        mount("", target, "", BIND | REMOUNT | (READ_ONLY if volume["read_only"] else 0))


def join_network(address: str) -> None:
    """Take the pod's address once the interface is there. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE
    while INTERFACE not in [name for _, name in socket.if_nameindex()]:
        if time.monotonic() > end:
            raise TimeoutError(f"no {INTERFACE} within {PATIENCE} s")
        time.sleep(0.01)
    for command in (
        "link set lo up",
        f"address add {address}/32 dev {INTERFACE}",
        f"link set {INTERFACE} up",
        f"route add {GATEWAY} dev {INTERFACE} scope link",
        f"route add default via {GATEWAY} dev {INTERFACE}",
    ):
        subprocess.run(["ip", *command.split()], check=True)


def main(path: str) -> NoReturn:
    """Become the command of the file at `path`."""
    spec: dict[str, Any] = json.loads(Path(path).read_text())
    socket.sethostname(spec["hostname"])
    join_network(spec["address"])
    for volume in spec["volumes"]:
        make_room(Path(volume["target"]))
    make_read_only("/")
    mount("proc", "/proc", "proc")
    mount_volumes(spec["volumes"])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, OPEN_FILES), hard))
    os.chdir("/")
    drop = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    os.execvpe(drop[0], [*drop, *spec["command"]], spec["environment"])


if __name__ == "__main__":
    main(sys.argv[1])
