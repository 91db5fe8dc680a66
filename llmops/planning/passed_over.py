"""The nodes of a cluster that no pod of a service may be placed on, in words. Pure."""

from __future__ import annotations

from llmops.planning.model import ClusterFacts


def passed_over(cluster: ClusterFacts | None) -> str:
    """How many nodes were left out, and why: `2 cordoned, 1 not ready`; empty when none was."""
    if cluster is None:
        return ""
    return ", ".join(f"{count} {why}" for why, count in sorted(cluster.passed_over.items()))


def left_out(cluster: ClusterFacts | None) -> str:
    """The same in brackets, to end a message with."""
    words = passed_over(cluster)
    return f" (left out: {words})" if words else ""
