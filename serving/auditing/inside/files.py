"""Who else on this machine can read or write what llmops keeps."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from llmops.policies import Finding
from serving.auditing.telling import finding

SECRET = (
    "keys.json", "keys.lock", "usage.*", "policies.json", "members.json", "operator-keys/*",
    "releases/*", "logs/audit*", "tls/*key*",
)  # fmt: skip
"""Files below the home that nobody else may open, whatever the folders above them say."""

RUNTIME = ("ray-token", "control.sock", "host.json")
"""Those of the runtime. Its control socket rules all that runs."""

OPEN = stat.S_IRWXG | stat.S_IRWXO
WRITABLE = stat.S_IWGRP | stat.S_IWOTH

MOST_LOOKED_AT = 20_000
"""Files of the models' cache that are looked at."""


def open_files(home: Path, sockets: Path) -> Iterator[Finding]:
    """Files and folders that are open to others, or are somebody else's."""
    for folder in (home, sockets):
        if folder.exists():
            yield from _judged(folder, OPEN, "700")
    for path in _secrets(home, sockets):
        yield from _judged(path, OPEN, "600")
    for number, path in enumerate(sorted((home / "models").rglob("*"))):
        if number >= MOST_LOOKED_AT:
            return
        yield from _judged(path, WRITABLE, "go-w")


def _secrets(home: Path, sockets: Path) -> Iterator[Path]:
    for pattern in SECRET:
        yield from sorted(home.glob(pattern))
    yield from (sockets / name for name in RUNTIME if (sockets / name).exists())


def _judged(path: Path, refused: int, fix: str) -> Iterator[Finding]:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return  # a link's own mode says nothing; what it leads to is looked at where it lies
    mode = stat.S_IMODE(found.st_mode)
    if mode & refused:
        yield finding(
            "audit.files",
            f"{path} is open to other users of this machine",
            f"mode {mode:04o}, user {found.st_uid}, group {found.st_gid}",
            f"chmod {fix} {path}",
        )
    if found.st_uid not in (0, os.getuid()):
        yield finding(
            "audit.files",
            f"{path} belongs to somebody else",
            f"user {found.st_uid}, and this one is {os.getuid()}",
            f"see who put it there: chown {os.getuid()} {path}",
        )
