"""What a killed engine leaves torn in a backend of files, put right.

A record is written beside its place and then moved there, so it is whole at any instant. Beside it
lies a side file, `NAME.attrs`, which is emptied first and written then: whoever dies in between
leaves one that no later command of the engine can read ("failed to load checkpoint: EOF"). It holds
nothing that is needed, and where there is none its defaults are taken: so an empty one is removed.
Seen with pulumi 3.260 (its library for files is gocloud.dev's `fileblob`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

SAID = ": EOF"
"""How the engine's sentence ends that cannot read one."""
FOLDER = ".pulumi"


def torn(said: str) -> bool:
    """Whether a command failed as it does at a torn side file.

    Args:
        said: What it printed of its failure.
    """
    return any(line.rstrip().endswith(SAID) for line in said.splitlines())


def mend(environment: Mapping[str, str], folder: Path) -> bool:
    """Remove the side files that are empty; whether there were any.

    A live writer may be about to fill one: it does so in the file that it has open, which is then
    gone, and its defaults are taken.

    Args:
        environment: Of the engine's program.
        folder: Where it runs: a relative place is meant from there.
    """
    root = _root(environment, folder)
    found = list(_empty(root / FOLDER)) if root is not None else []
    for file in found:
        file.unlink(missing_ok=True)
    return bool(found)


def _empty(root: Path) -> Iterator[Path]:
    for file in root.rglob("*.attrs"):
        with contextlib.suppress(OSError):
            if file.stat().st_size == 0:
                yield file


def _root(environment: Mapping[str, str], folder: Path) -> Path | None:
    """The folder of the backend; None where it is not one of files."""
    url = environment.get("PULUMI_BACKEND_URL") or _logged_in(environment)
    if not url.startswith("file://"):
        return None
    place = unquote(url.removeprefix("file://").partition("?")[0])
    return folder / Path(place).expanduser()


def _logged_in(environment: Mapping[str, str]) -> str:
    """The backend of `pulumi login`; empty where nobody has logged in."""
    home = environment.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    try:
        found = json.loads((Path(home) / "credentials.json").read_text())
        return str(found.get("current") or "")
    except (OSError, ValueError, AttributeError):
        return ""


__all__ = ["mend", "torn"]
