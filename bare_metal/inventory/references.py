"""What a reference to a secret stands for: `env:NAME` or `file:PATH`, looked up when it is needed.

A secret is handed to whoever uses it and kept nowhere. Messages name the reference only.
"""

from __future__ import annotations

import os
from pathlib import Path

from llmops.errors import InputError


def resolved(reference: str, folder: Path) -> str:
    """The secret that a reference stands for, without the newline at its end.

    Args:
        reference: As it stands in the cluster file; its form was checked there.
        folder: Where relative paths begin.

    Raises:
        InputError: When there is no such variable or file, or nothing in it.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        secret = os.environ.get(name, "")
        if not secret:
            raise InputError(f"{reference}: expected a variable with a value, found none")
        return secret
    path = folder / Path(name).expanduser()
    try:
        secret = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{reference}: cannot be read: {why}") from error
    if not secret.strip():
        raise InputError(f"{reference}: expected a secret, found an empty file")
    return secret
