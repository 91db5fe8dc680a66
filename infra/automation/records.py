"""What the backend tells of a stack, parsed: its record and its history. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from infra.automation.model import Pending, StackState, Update

NAMES = ("git.author", "git.committer", "exec.agent", "ci.build.url")
"""Where the backend's note of an update names somebody, the best first."""


def state_of(exported: Mapping[str, Any]) -> StackState:
    """From `pulumi stack export`."""
    deployment = exported.get("deployment") or {}
    resources = deployment.get("resources") or []
    pending = deployment.get("pending_operations") or []
    return StackState(
        {str(one["urn"]): str(one.get("id") or "") for one in resources},
        tuple(Pending(str(one["resource"]["urn"]), str(one["type"])) for one in pending),
    )


def history_of(found: Sequence[Mapping[str, Any]]) -> tuple[Update, ...]:
    """From `pulumi stack history --json`."""
    return tuple(
        Update(
            str(one.get("kind", "")),
            str(one.get("result", "")),
            _seconds(one.get("startTime")) or 0.0,
            _seconds(one.get("endTime")),
            str(one.get("message", "")),
            dict(one.get("resourceChanges") or {}),
            _who(one.get("environment") or {}),
        )
        for one in found
    )


def _who(environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in NAMES if environment.get(name)), "")


def _seconds(text: Any) -> float | None:
    """Unix seconds of the backend's times, which are UTC."""
    if not isinstance(text, str) or not text:
        return None
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


__all__ = ["history_of", "state_of"]
