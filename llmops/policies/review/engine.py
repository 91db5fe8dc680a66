"""The engine: arguments that could run a model's own code, and versions with known holes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from llmops.policies.findings import Finding, Severity
from llmops.policies.holes import OLD_DAYS, Hole, Holes, known_holes
from llmops.policies.layers import Decided, Effective
from llmops.policies.review.subject import Subject, against, unchecked

CODE = (
    "trust_remote_code", "code_revision", "hf_overrides", "worker_cls", "worker_extension_cls",
    "scheduler_cls", "logits_processors", "middleware", "tool_parser_plugin",
    "reasoning_parser_plugin", "io_processor_plugin", "model_class_overrides",
)  # fmt: skip
"""Arguments of vLLM 0.32 with which code that nobody checked could run."""


def check_engine(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about `engine`."""
    if bound := effective.decided.get("security.remote_code"):
        yield from _remote_code(bound, subject)
    if bound := effective.decided.get("security.known_holes"):
        yield from _holes(bound, subject, known_holes())


def _remote_code(bound: Decided, subject: Subject) -> Iterator[Finding]:
    for name, value in subject.deployment.engine.args.items():
        if name.replace("-", "_") in CODE and value not in (False, None):
            yield against(
                bound, True, f"engine.args.{name}",
                f"the engine's argument {name} could run code that comes with a model",
                fix=f"remove engine.args.{name}",
            )  # fmt: skip


def _holes(bound: Decided, subject: Subject, table: Holes) -> Iterator[Finding]:
    if subject.known.versions is None:
        yield unchecked(bound, "engine", "which versions would run was not looked up")
        return
    severity = Severity.BLOCK if bound.value == "refuse" else Severity.WARN
    today = datetime.fromtimestamp(subject.now, UTC).date()
    yield from (
        _hole(bound, hole, version, table, severity)
        for component, version in sorted(subject.known.versions.items())
        for hole in table.of(component, version)
    )
    age = (today - table.date).days
    if age > OLD_DAYS:
        by = bound.deciders[0]
        yield Finding(
            "security.holes-table", Severity.INFO, "engine",
            f"the table of known holes is {age} days old: newer holes are not in it",
            f"dated {table.date}", "use a newer version of llmops", by.policy, by.layer,
        )  # fmt: skip


def _hole(bound: Decided, hole: Hole, version: str, table: Holes, severity: Severity) -> Finding:
    newer = f"{hole.fixed} or newer" if hole.fixed else f"a version other than {hole.affected}"
    by = bound.deciders[0]
    return Finding(
        bound.path, severity, "engine", f"{hole.component} {version} has {hole.id}: {hole.what}",
        f"affected: {hole.affected}; {hole.source}; table of {table.date}",
        f"use {hole.component} {newer}", by.policy, by.layer,
    )  # fmt: skip
