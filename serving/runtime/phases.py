"""How far an engine's start is, told from its log: a wait is always explained."""

from __future__ import annotations

from pathlib import Path

_MARKS = (
    ("Application startup complete", "the engine answers"),
    ("init engine (profile", "building the API"),
    ("Loading weights took", "making the KV cache and warming up"),
    ("Starting to load model", "loading weights"),
    ("Initializing a V1 LLM engine", "starting the engine's workers"),
    ("weights verified", "importing the engine"),
)


def startup_phase(log: Path) -> str:
    """The last phase that the log shows."""
    try:
        text = log.read_text(errors="replace")[-100_000:]
    except OSError:
        return "starting a replica"
    for mark, phase in _MARKS:
        if mark in text:
            return phase
    return "importing the engine"
