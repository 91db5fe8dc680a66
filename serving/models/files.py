"""A model in a directory of this machine: used where it lies, trusted on first use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from llmops.errors import ModelError
from llmops.events import Flow
from serving.models import headers, manifest
from serving.models.places import Description


class Directory:
    """A directory with `config.json` and safetensors."""

    in_place = True
    converts = False

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            what = "a file" if directory.exists() else "missing"
            raise ModelError(f"{directory} is {what}: expected a directory with a model")
        self._directory = directory
        self._files = manifest.files_of(directory)

    @property
    def directory(self) -> Path:
        return self._directory

    @property
    def revision(self) -> str:
        """A digest of the files' names, sizes, times and inodes: quick, and new when one changes.

        It tells one state of the directory from another; what guards the content is the manifest.
        """
        marks = []
        for name in self._files:
            found = (self._directory / name).stat()
            marks.append(f"{name} {found.st_size} {found.st_mtime_ns} {found.st_ino}")
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()

    def describe(self, had: Path | None) -> Description:  # noqa: ARG002 - a Place's signature
        return read_directory(self._directory)

    def fetch_bytes(self) -> int:
        return 0

    def fetch(self, files: Path) -> Flow[None]:  # noqa: ARG002 - a Place's signature
        yield from ()


def read_directory(directory: Path) -> Description:
    """Config, weights and chat template of a model directory.

    Raises:
        ModelError: When there is no config, or no whole safetensors.
    """
    from serving.models.store import no_safetensors

    try:
        config = json.loads((directory / "config.json").read_text())
    except FileNotFoundError as error:
        raise ModelError(f"{directory} has no config.json") from error
    except ValueError as error:
        raise ModelError(f"{directory / 'config.json'} is not JSON: {error}") from error
    shards = sorted(directory.glob("*.safetensors"))
    if not shards:
        raise no_safetensors(str(directory), [path.name for path in directory.iterdir()])
    weights = headers.total(headers.parse_file(shard) for shard in shards)
    return config, weights, has_template(directory)


def has_template(directory: Path) -> bool:
    """Whether the tokenizer brings a chat template."""
    if (directory / "chat_template.jinja").exists():
        return True
    try:
        tokenizer = json.loads((directory / "tokenizer_config.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(tokenizer.get("chat_template"))
