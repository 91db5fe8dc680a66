"""A deployment that is tried on some of its traffic first, whatever its file says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops.spec.models import Deployment


def on_some_traffic(deployment: Deployment, percent: int) -> Deployment:
    """The same with `maintenance.strategy: canary` and one step, of this share.

    Args:
        deployment: What the file says.
        percent: Of new requests, 1 to 50.

    Raises:
        pydantic.ValidationError: When the rest of it takes no canary.
    """
    asked = deployment.model_dump(mode="json", exclude_defaults=True)
    asked["target"] = {"kind": deployment.target.kind} | asked.get("target", {})
    return Deployment.model_validate(asked | {"maintenance": tried(asked, percent)})


def tried(asked: Mapping[str, Any], percent: int) -> dict[str, Any]:
    """The `maintenance` of a document, with a canary of one step."""
    upkeep: dict[str, Any] = dict(asked.get("maintenance", {}))
    return upkeep | {
        "strategy": "canary",
        "canary": upkeep.get("canary", {}) | {"steps": [percent]},
    }


__all__ = ["on_some_traffic", "tried"]
