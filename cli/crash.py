"""What nobody expected: the traceback goes to a file, its place to the user."""

from __future__ import annotations

import os
import time
import traceback

from cli.places import home


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
