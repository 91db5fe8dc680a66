"""How far an engine's start is, told from its log: a wait is always explained.

The log of a release goes on when a replica is started again, so what was printed last counts, and
not what comes last in a start.
"""

from __future__ import annotations

from pathlib import Path

_MARKS = {
    "weights verified after": "importing the engine",
    "Initializing a V1 LLM engine": "starting the engine's workers",
    "Starting to load model": "loading weights",
    "Loading weights took": "making the KV cache and warming up",
    "init engine (profile": "building the API",
    "engine ready after": "the engine answers",
}
"""Texts that the replica or vLLM 0.32 prints when something has been done, and what comes then."""

TAIL = 100_000
"""Bytes from the end of the log that are looked at, ten times a second."""


def startup_phase(log: Path) -> str:
    """What the log shows to be going on."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return "starting a replica"
    at, mark = max((text.rfind(mark), mark) for mark in _MARKS)
    return _MARKS[mark] if at >= 0 else "checking the weights"
