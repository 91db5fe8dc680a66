"""Facts of the agent's machine as they travel: what a plan for a machine looks at, and no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from llmops.planning import Facts, LiveRelease, MachineFacts, ModelFacts


@dataclass(frozen=True, slots=True)
class Found:
    """Facts without those of clusters and clouds, which no agent's machine has."""

    model: ModelFacts
    machine: MachineFacts
    live: tuple[LiveRelease, ...]
    engine_version: str


_FOUND: TypeAdapter[Found] = TypeAdapter(Found)


def facts_document(facts: Facts) -> dict[str, Any]:
    """Facts as plain data."""
    found = Found(facts.model, facts.machine, facts.live, facts.engine_version)
    document: dict[str, Any] = _FOUND.dump_python(found, mode="json")
    return document


def parse_facts(document: dict[str, Any]) -> Facts:
    """The facts again: with the same digest as before."""
    found = _FOUND.validate_python(document)
    return Facts(found.model, found.machine, found.live, found.engine_version)
