"""Settings of what runs that would open it: of the engine's process, and of Ray's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import psutil

from llmops.policies import Finding
from serving.auditing.check import unchecked
from serving.auditing.telling import finding

OFF = frozenset({"", "0", "false", "no", "none"})

RAY = ("gcs_server", "raylet")
"""Programs of Ray's that must ask for its token."""
AUTH = "RAY_AUTH_MODE"


def opened(application: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    """Dangerous settings of an engine.

    Args:
        application: Of which Serve application.
        told: What its replica told: `environment` and `arguments`.
    """
    for kind, word in (("environment", "variable"), ("arguments", "argument")):
        for name, value in told.get(kind, {}).items():
            if str(value if value is not None else "").lower() not in OFF:
                yield finding(
                    "audit.environment",
                    f"the engine of {application} runs with the {word} {name} set",
                    f"its replica told: {name}={value}",
                    f"take {name} away and deploy again",
                )


def unguarded(processes: Iterable[psutil.Process]) -> Iterator[Finding]:
    """Processes of Ray's that would not ask for the token."""
    looked = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            name = process.name()
            if name not in RAY:
                continue
            environment = process.environ()
            if not environment:
                continue  # it has just begun, or ends: nothing can be said of it
            mode = environment.get(AUTH)
            looked += 1
            if mode != "token":
                yield finding(
                    "audit.ray-token",
                    f"{name} does not ask for Ray's token: whoever reaches it runs code here",
                    f"pid {process.pid} has {AUTH}={mode or 'not set'} in its environment",
                    "end the runtime, and deploy again: the launcher sets it",
                )
    if not looked:
        yield unchecked("Ray's token", "no process of Ray's could be looked at")
