"""What is no error of llmops' own: a machine that has run out of something is told as that; of what
nobody expected the traceback goes to a file, and its place to the user."""

from __future__ import annotations

import os
import time
import traceback

from cli.places import home
from llmops.errors import LlmopsError
from llmops.exhausted import exhausted


def scarce(error: Exception) -> LlmopsError | None:
    """What the machine lacks, where that is what has ended a verb; with the file, where known."""
    found = exhausted(error)
    if isinstance(error, PermissionError):
        found = "this user may not use it", "make it this user's own, or set LLMOPS_HOME"
    if found is None:
        return None
    said, hint = found
    file = error.filename if isinstance(error, OSError) else None
    return LlmopsError(f"{said}{f': {file}' if file else f'; LLMOPS_HOME is {home()}'}", hint=hint)


def keep(error: Exception) -> str:
    """Write the error's traceback to the user's own folder; a sentence that says where it is."""
    text = "".join(traceback.format_exception(error))
    path = home() / "logs" / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError as problem:
        return f"this is a fault of llmops; its details could not be written: {problem}"
    return f"this is a fault of llmops; its details are in {path}"
