"""The machine plan that a stack was last made of, kept in the stack's own store.

The release's record has the plan that the agent made on its machine. What a later deploy has to be
compared with is the plan that was shown and agreed to, and that is this one.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from llmops.planning import Plan
from serving.agent import Blobs

PLAN: TypeAdapter[Plan] = TypeAdapter(Plan)


def read_plan(blobs: Blobs, service: str) -> Plan | None:
    """The plan; None where there is none, or another version has written it: then what is planned
    counts as changed."""
    found = blobs.get(_name(service))
    if found is None:
        return None
    try:
        return PLAN.validate_json(found.data)
    except ValidationError:
        return None


def keep_plan(blobs: Blobs, plan: Plan) -> None:
    """Keep the plan in place of the one before it."""
    found = blobs.get(_name(plan.service))
    version = "" if found is None else found.version
    blobs.put(_name(plan.service), PLAN.dump_json(plan), version)


def _name(service: str) -> str:
    return f"stack/{service}/plan.json"


__all__ = ["keep_plan", "read_plan"]
