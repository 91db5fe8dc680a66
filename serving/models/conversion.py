"""A GGUF file as a model: converted once, into the cache, by a program of its own.

The program's memory is given back when it ends, and a crash of the readers of a foreign format
ends there. It holds the other end of a pipe and ends with whoever started it, also when that one is
killed.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from serving.models import gguf, manifest
from serving.models.contents import Description
from serving.models.manifest import Entry

DEADLINE = 1800.0
"""Seconds; some 25 for 135 million parameters on two cores."""

FULL = ("No space left on device", "Disk quota exceeded", "StorageFull")
"""How the writers of other languages say that the disk is full."""


class Gguf:
    """A GGUF file and what it will become."""

    in_place = False
    converts = True

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def directory(self) -> Path:
        raise ModelError(f"{self._path} is converted, not used where it lies")

    @cached_property
    def revision(self) -> str:
        """SHA-256 of the file."""
        try:
            return manifest.digest(self._path)
        except OSError as error:
            raise ModelError(f"{self._path} cannot be read: {error.strerror}") from error

    @cached_property
    def _described(self) -> Description:
        return gguf.describe(self._path)

    @property
    def licence(self) -> str:
        return gguf.licence(self._path)

    @property
    def listing(self) -> None:
        return None

    def describe(self) -> Description:
        return self._described

    def fetch_bytes(self) -> int:
        return self._described[1].bytes

    def fetch(self, files: Path) -> Flow[None]:
        # Half of an earlier conversion is of no use, and must not mix with this one. What lies
        # beside the file says nothing about the model: the readers see the file alone.
        log, alone = files.parent / "convert.log", files.parent / "alone"
        for folder in (files, alone):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
        (alone / self._path.name).symlink_to(self._path.absolute())
        began = time.monotonic()
        process = _start(alone / self._path.name, files, log)
        try:
            while process.poll() is None:
                elapsed = time.monotonic() - began
                if elapsed > DEADLINE:
                    raise ModelError(f"converting {self._path.name} took over {elapsed:.0f} s")
                reason = f"converting {self._path.name} to safetensors (once)"
                yield Progress("model", reason, elapsed, DEADLINE)
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
            shutil.rmtree(alone, ignore_errors=True)
            if process.returncode != 0:
                shutil.rmtree(files, ignore_errors=True)
        if process.returncode != 0:
            raise _failure(self._path.name, process.returncode, log)
        log.unlink()

    def damaged(self, found: Mapping[str, Entry], files: Path) -> list[str]:  # noqa: ARG002 - a Place's signature
        return []


def _start(path: Path, files: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "serving.models.convert", str(path), str(files)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=files.parent,
            env=environment,
            umask=0o077,
        )


def _failure(name: str, code: int, log: Path) -> Exception:
    text = log.read_text(errors="replace").strip()
    if any(words in text for words in FULL):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if code < 0:
        why = f"the converter was killed by signal {-code}"
        hint = "the machine may have run out of memory" if code == -signal.SIGKILL else ""
        return ModelError(f"{name} could not be converted: {why}", hint=hint)
    last = text.splitlines()[-1][:300] if text else "it gave no message"
    return ModelError(f"{name} could not be converted: {last}")
