"""Where this user's state lies, and which target a verb works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.local import LocalTarget


def home() -> Path:
    """`LLMOPS_HOME`, or the platform's folder for state."""
    named = os.environ.get("LLMOPS_HOME")
    if named:
        return Path(named).expanduser().absolute()
    from platformdirs import user_state_path

    return user_state_path("llmops")


def open_target() -> LocalTarget:
    """The target of this machine."""
    from serving.local import LocalTarget

    return LocalTarget(home())


def service_names(incomplete: str) -> list[str]:
    """Names of services for the shell's completion: read from the records' names alone."""
    found = sorted(path.stem for path in (home() / "releases").glob("*.json"))
    return [name for name in found if name.startswith(incomplete)]
