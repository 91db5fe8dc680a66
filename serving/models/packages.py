"""A model inside an installed Python package: `pkg://module/file`.

The package is found, never imported: importing would run its code, which the model does not need.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

from llmops.errors import ModelError
from llmops.events import Flow, Progress
from serving.models import gguf, manifest
from serving.models.files import Directory, read_directory
from serving.models.places import Description, Place

CONVERT_DEADLINE = 1800.0
"""Seconds; some 25 for 135 million parameters on two cores."""


def packaged(place: str) -> Place:
    """The place of `module/file`.

    Raises:
        ModelError: When the package is not installed, or has no such file.
    """
    module, _, name = place.partition("/")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as error:
        raise ModelError(f"the package '{module}' cannot be found: {error}") from error
    roots = list(spec.submodule_search_locations or []) if spec else []
    if not roots:
        raise ModelError(
            f"the package '{module}' is not installed",
            hint="the demo's model comes with pip install 'llmops[local]'",
        )
    path = Path(roots[0]) / name
    if path.is_dir():
        return Directory(path)
    if not path.is_file():
        raise ModelError(f"the package '{module}' has no file '{name}'")
    if path.suffix != ".gguf":
        raise ModelError(f"{place} is neither a directory nor a GGUF file")
    return Gguf(path)


class Gguf:
    """A GGUF file, converted once into the cache."""

    in_place = False
    converts = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._revision: str | None = None

    @property
    def directory(self) -> Path:
        return self._path.parent

    @property
    def revision(self) -> str:
        """SHA-256 of the file."""
        if self._revision is None:
            self._revision = manifest.digest(self._path)
        return self._revision

    def describe(self, had: Path | None) -> Description:
        return read_directory(had) if had is not None else gguf.describe(self._path)

    def fetch_bytes(self) -> int:
        return gguf.describe(self._path)[1].bytes

    def fetch(self, files: Path) -> Flow[None]:
        log = files.parent / "convert.log"
        began = time.monotonic()
        with log.open("wb") as output:
            command = [sys.executable, "-m", "serving.models.convert", str(self._path), str(files)]
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/")
        try:
            while process.poll() is None:
                elapsed = time.monotonic() - began
                if elapsed > CONVERT_DEADLINE:
                    raise ModelError(f"converting {self._path.name} took over {elapsed:.0f} s")
                reason = f"converting {self._path.name} to safetensors (once)"
                yield Progress("model", reason, elapsed, CONVERT_DEADLINE)
                time.sleep(0.2)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            lines = log.read_text(errors="replace").strip().splitlines() or ["no message"]
            raise ModelError(f"{self._path.name} could not be converted: {lines[-1][:300]}")
