"""Write what is made from the models: the JSON Schema and the reference page.

`python -m llmops.spec.generate` writes both; `--check` writes nothing and fails when one differs.
For developers: it works in a checkout of the repository.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from llmops.spec.reference import reference_page
from llmops.spec.schema import schema

ROOT = Path(__file__).parents[2]
COMMAND = "python -m llmops.spec.generate"


def made() -> dict[Path, str]:
    """What each generated file has to hold, by its path below the root."""
    return {
        Path("llmops/spec/llmops.schema.json"): _json(),
        Path("docs/reference/spec.md"): reference_page(),
    }


def stale(root: Path = ROOT) -> list[Path]:
    """The generated files below `root` that are missing, or hold something else."""
    return [path for path, text in made().items() if not _holds(root / path, text)]


def write(root: Path = ROOT) -> list[Path]:
    """Write what is stale below `root`; returns it."""
    written = stale(root)
    for path in written:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(made()[path].encode())
    return written


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """The command; returns its exit code."""
    if list(arguments) == ["--check"]:
        for path in (found := stale(root)):
            sys.stderr.write(f"{path}: not what the models say\nhint: {COMMAND}\n")
        return 1 if found else 0
    if arguments:
        sys.stderr.write(f"expected --check or nothing, found {' '.join(arguments)}\n")
        return 2
    for path in write(root):
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _json() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
