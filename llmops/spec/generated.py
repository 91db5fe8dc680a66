"""Files that are made from the models: written, or compared with what is there.

For developers: it works in a checkout of the repository. It makes nothing itself.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Generated:
    """Some files that one command makes."""

    command: str
    """How a developer runs it."""
    made: Callable[[], Mapping[Path, str]]
    """What each of them has to hold, by its path below the root."""

    def stale(self, root: Path = ROOT) -> list[Path]:
        """The files below `root` that are missing, or hold something else."""
        return [path for path, text in self.made().items() if not _holds(root / path, text)]

    def write(self, root: Path = ROOT) -> list[Path]:
        """Write what is stale below `root`; returns it."""
        made, written = self.made(), self.stale(root)
        for path in written:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(made[path].encode())
        return written

    def main(self, arguments: Sequence[str], root: Path = ROOT) -> int:
        """The command: `--check` writes nothing and fails when a file differs; the exit code."""
        if list(arguments) == ["--check"]:
            for path in (found := self.stale(root)):
                sys.stderr.write(f"{path}: not what the models say\nhint: {self.command}\n")
            return 1 if found else 0
        if arguments:
            sys.stderr.write(f"expected --check or nothing, found {' '.join(arguments)}\n")
            return 2
        for path in self.write(root):
            sys.stdout.write(f"wrote {path}\n")
        return 0


def as_json(document: Mapping[str, Any]) -> str:
    """A generated file's text."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
