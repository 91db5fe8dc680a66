"""Where an artefact comes from: which base, which data, which spec, which code made it.

Strict in what is written, tolerant in what is read: a later version may say more. It carries
digests and figures, never a text of the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from llmops.errors import ModelError

NAME = "lineage.json"

Outcome = Literal["passed", "refused", "none"]


@dataclass(frozen=True, slots=True)
class Base:
    """The weights that were trained on."""

    source: str
    """As a spec names it: `hf://owner/name`."""
    revision: str
    """What pinned it: a commit, or a digest of its files' marks."""
    files: Mapping[str, str]
    """SHA-256 in hex by name, of its config and its weights: the same model elsewhere has these."""

    @property
    def words(self) -> str:
        """For messages."""
        return f"{self.source} at {self.revision[:12]}"


@dataclass(frozen=True, slots=True)
class Gated:
    """What the evaluation said: `none` where none was asked for."""

    outcome: Outcome = "none"
    reasons: tuple[str, ...] = ()
    """One sentence for each figure that was held against its bound."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Of one artefact. `data`, `spec` and `plan` are SHA-256 in hex."""

    run: str
    """Name of the fine-tuning."""
    number: int
    seed: int
    base: Base
    data: str
    """Digest of the manifest of the prepared data."""
    spec: str
    plan: str
    code: str
    """Version of llmops."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Versions by package."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    gate: Gated = field(default_factory=Gated)

    def document(self) -> dict[str, Any]:
        """As plain data."""
        found: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return found


_ADAPTER: TypeAdapter[Lineage] = TypeAdapter(Lineage)


def parse(file: Path) -> Lineage:
    """Read a lineage.

    Raises:
        ModelError: When there is none, or it is damaged.
    """
    try:
        return _ADAPTER.validate_json(file.read_bytes())
    except FileNotFoundError as error:
        raise ModelError(f"{file} is missing: nothing says where this comes from") from error
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{file} is damaged", hint="take the artefact from its run again"
        ) from error


def base_of(folder: Path, source: str, revision: str) -> Base:
    """The base in a folder: digests of its config and its safetensors.

    Raises:
        ModelError: When a file cannot be read, or there are no weights.
    """
    try:
        names = sorted(p.name for p in folder.iterdir() if p.suffix == ".safetensors")
        found = {name: sha256(folder / name) for name in (*names, "config.json")}
    except OSError as error:
        raise ModelError(f"the base {folder} cannot be read: {error.strerror}") from error
    if not names:
        raise ModelError(f"the base {folder} has no safetensors")
    return Base(source, revision, found)


def sha256(file: Path) -> str:
    """SHA-256 of a file in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def digest(files: Mapping[str, str]) -> str:
    """One digest for several files by name: SHA-256 in hex over their names and digests."""
    text = json.dumps(dict(sorted(files.items())), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
