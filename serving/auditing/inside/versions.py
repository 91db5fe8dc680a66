"""What runs, by version: against the plan and what is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from llmops.policies import Finding, Severity
from serving.auditing.telling import finding


def mixed(
    planned: str, running: Mapping[str, str], installed: Mapping[str, str]
) -> Iterator[Finding]:
    """Versions that are not the same where they should be.

    Args:
        planned: The engine of the live release's plan.
        running: What the runtime says that it was started with.
        installed: What is installed now, by package.
    """
    engine = running.get("engine", "")
    if engine and engine != planned:
        yield finding(
            "audit.versions", "the engine that runs is not the one that was planned",
            f"the plan says {planned}, the runtime {engine}", "llmops upgrade",
        )  # fmt: skip
    for name in sorted(running.keys() & installed.keys()):
        if running[name] != installed[name]:
            yield finding(
                "audit.versions",
                f"the runtime keeps the {name} that it was started with",
                f"it runs {running[name]}, and {installed[name]} is installed",
                "llmops upgrade",
                Severity.WARN,
            )
