"""A small disk of a test's own, in a mount namespace: filled, out of inodes, read-only, and mended.

It is a real tmpfs. The program that meets it runs in a process of its own, as nobody else sees it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
FAULTS = ("full", "inodes", "read-only")
BYTES, INODES = 2 << 20, 400


class SmallDisk:
    """A tmpfs at `mount`, of this process alone."""

    def __init__(self, mount: Path) -> None:
        options = f"size={BYTES},nr_inodes={INODES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", mount], check=True)
        self.path = mount
        self._filler = mount / "filler"
        self._filler.mkdir()

    @contextlib.contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        """While it lasts, nothing new can be written; it is seen that it cannot."""
        getattr(self, f"_{kind.replace('-', '_')}")()
        try:
            with contextlib.suppress(OSError):
                with (self.path / "probe").open("wb", buffering=0) as probe:
                    probe.write(b"x")
                raise AssertionError(f"the disk is not {kind}")
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", self.path], check=True)
            for file in self._filler.iterdir():
                file.unlink()
            (self.path / "probe").unlink(missing_ok=True)

    def _full(self) -> None:
        with (self._filler / "bytes").open("wb", buffering=0) as file, _until_full():
            while True:
                file.write(bytes(4096))

    def _inodes(self) -> None:
        with _until_full():
            for number in range(10 * INODES):
                (self._filler / str(number)).touch()

    def _read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)


@contextlib.contextmanager
def _until_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def on_a_small_disk(mount: Path, module: str, *arguments: str) -> Any:
    """What a module's `main` prints last, as JSON: run with the disk's place as its first argument.

    Skips where the kernel gives no namespace.
    """
    mount.mkdir()
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(mount)]
    try:
        tried = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("needs the program unshare (util-linux)")
    if tried.returncode:
        pytest.skip(f"needs a user and mount namespace: {tried.stderr.strip()}")
    command = [*NAMESPACE, sys.executable, "-m", module, str(mount), *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])
