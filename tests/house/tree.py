"""The repository as data: its files, packages and sources. Imports nothing that it looks at."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("llmops", "serving", "clusters", "bare_metal", "infra", "cli")


@cache
def files() -> tuple[Path, ...]:
    """Every file that git tracks or would: relative to the root, sorted."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(sorted(Path(name) for name in listed.stdout.splitlines() if _is_file(name)))


def _is_file(name: str) -> bool:
    return (ROOT / name).is_file()


@cache
def sources(*, shipped: bool = False) -> tuple[Path, ...]:
    """The Python files; only what a wheel carries when `shipped`."""
    return tuple(
        path
        for path in files()
        if path.suffix == ".py" and (not shipped or path.parts[0] in SHIPPED)
    )


@cache
def parsed(path: Path) -> ast.Module:
    """A source's syntax tree."""
    return ast.parse((ROOT / path).read_text(), filename=str(path))


@cache
def packages() -> tuple[str, ...]:
    """Dotted names of the shipped packages."""
    doors = [path for path in sources(shipped=True) if path.name == "__init__.py"]
    return tuple(".".join(door.parent.parts) for door in doors)
