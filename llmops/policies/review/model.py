"""Where a model is from, under what licence, and whether it is pinned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from llmops.policies.findings import Finding
from llmops.policies.layers import Decided, Effective
from llmops.policies.review.subject import Subject, against, shown, unchecked
from llmops.spec import adapter_path, adapters_of

COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


def check_model(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about `model`."""
    held = effective.decided
    if bound := held.get("security.sources"):
        yield from _source(bound, subject)
    if bound := held.get("security.licences"):
        yield from _licence(bound, subject)
    if bound := held.get("security.pinned"):
        yield from _pinned(bound, subject)


def _source(bound: Decided, subject: Subject) -> Iterator[Finding]:
    source = subject.deployment.model.source
    if not bound.admits(source):
        yield against(
            bound, source, "model.source", f"models may not come from {source}",
            fix=f"use a model from {_lists(bound)}",
        )  # fmt: skip
    for name, adapter in adapters_of(subject.deployment.model).items():
        if not bound.admits(adapter.source):
            yield against(
                bound, adapter.source, f"{adapter_path(name)}.source",
                f"adapters may not come from {adapter.source}",
                fix=f"use an adapter from {_lists(bound)}",
            )  # fmt: skip


def _licence(bound: Decided, subject: Subject) -> Iterator[Finding]:
    if subject.known.licence is None:
        yield unchecked(bound, "model.source", "the model's licence was not looked up")
        return
    licence = subject.known.licence.lower()
    bound = _lowered(bound)
    if licence and bound.admits(licence):
        return
    what = f"a model under {licence} may not be served" if licence else (
        "the licence of the model is not known, and only some may be served"
    )  # fmt: skip
    yield against(
        bound, licence, "model.source", what,
        proof=f"licence: {licence or 'unknown'}",
        fix=f"use a model under {_lists(bound)}, or ask for a waiver of {bound.path}",
    )  # fmt: skip


def _lowered(bound: Decided) -> Decided:
    """SPDX ids are compared without regard to case (SPDX specification, annex D)."""
    said = tuple(
        replace(one, value=tuple(licence.lower() for licence in one.value)) for one in bound.said
    )
    return replace(bound, value=bound.way.combined([one.value for one in said]), said=said)


def _pinned(bound: Decided, subject: Subject) -> Iterator[Finding]:
    model = subject.deployment.model
    revision = model.revision or ""
    if not bound.value or not model.source.startswith("hf://") or COMMIT.fullmatch(revision):
        return
    commit = subject.planned("model.revision")
    known = isinstance(commit, str) and COMMIT.fullmatch(commit)
    yield against(
        bound, False, "model.revision",
        "a model of the hub must be pinned to a full commit hash",
        proof=f"model.revision is {revision or 'not set'}",
        fix=f"set model.revision: {commit}" if known else "set model.revision to 40 hex digits",
    )  # fmt: skip


def _lists(bound: Decided) -> str:
    return "; and from ".join(shown(patterns) for patterns in bound.value)
