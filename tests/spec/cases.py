"""Cases of the spec as data: a file's text, and what is expected of it.

A case says its input in one of these ways: `text`; `base64`, for bytes that are no text; `repeat`
(`before`, `unit` `times` over, `after`), for what would be too large to keep; `files`, by name, for
several of which the later overlay the earlier.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CASES = Path(__file__).parents[1] / "cases"
NAME = "llmops.yaml"


@dataclass(frozen=True)
class Case:
    name: str
    document: dict[str, Any]

    @property
    def files(self) -> dict[str, bytes]:
        """The input, by the name of the file."""
        given = self.document
        if "files" in given:
            return {name: text.encode() for name, text in given["files"].items()}
        if "base64" in given:
            return {NAME: base64.b64decode(given["base64"])}
        if "repeat" in given:
            parts = given["repeat"]
            text = parts.get("before", "") + parts["unit"] * parts["times"] + parts.get("after", "")
            return {NAME: text.encode()}
        return {NAME: given["text"].encode()}

    def write(self, folder: Path) -> list[Path]:
        """Write the input into `folder`."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return [folder / name for name in self.files]


def all_of(folder: str) -> list[Case]:
    """The cases of a folder, by name."""
    return [
        Case(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")))
        for path in sorted((CASES / folder).glob("*.yaml"))
    ]
