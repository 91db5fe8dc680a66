"""`llmops history`: every release of a service."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from cli.options import Context, Format, Namespace, Output, Service

if TYPE_CHECKING:
    from llmops.releases import Release, Watched

NAME = "history"


def command(
    name: Service,
    context: Context = None,
    namespace: Namespace = None,
    output: Output = Format.TEXT,
) -> None:
    """List the releases of a service: what, when, how far, and why not."""
    from cli.output import print_data, print_table
    from cli.places import service_target
    from llmops.releases import release_document

    releases = service_target(name, context, namespace).history(name)
    if output is not Format.TEXT:
        document = {"name": name, "releases": [release_document(r) for r in releases]}
        print_data(document, output)
        return
    rows = [
        (
            str(release.number),
            release.state.value,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(release.created_at)),
            release.plan.model.source,
            release.plan.model.revision[:12],
            _note(release),
        )
        for release in releases
    ]
    print_table(("RELEASE", "STATE", "CREATED", "MODEL", "REVISION", ""), rows)


def _note(release: Release) -> str:
    """What is worth knowing of a release beside its state."""
    from llmops.releases import State

    notes = [f"repeats release {release.rollback_of}" if release.rollback_of else release.reason]
    notes += _adapters(release)
    if release.state is State.STAGING and release.watched_since is not None:
        steps = release.plan.upkeep.canary_steps
        share = steps[min(len(release.watched), len(steps) - 1)]
        notes.append(f"watched with {share} % of the traffic")
    notes += [_watched(one) for one in release.watched]
    if release.ended_by and release.state in (State.LIVE, State.RETIRED):
        notes.append(f"promoted by {release.ended_by}")
    if release.begins:
        notes.append(f"began with {release.begins} replicas")
    if release.emergency:
        notes.append(f"emergency: {release.emergency} ({release.emergency_by})")
    return "; ".join(note for note in notes if note)


def _watched(step: Watched) -> str:
    """What came of a share that it was watched with, as numbers: its own, and the other's."""
    new, old = step.new, step.old
    counts = [f"{new.failures}/{new.requests} failed ({old.failures}/{old.requests})"]
    for name, mine, others in (
        ("empty", new.empty, old.empty), ("truncated", new.truncated, old.truncated)
    ):  # fmt: skip
        if mine or others:
            counts.append(f"{mine} {name} ({others})")
    for name, now, before in (("TTFT", new.ttft, old.ttft), ("TPOT", new.tpot, old.tpot)):
        if now is not None and before is not None:
            counts.append(f"{name} {now * 1000:.3g} ms ({before * 1000:.3g})")
    return f"{step.share} %: {step.outcome.split(':')[0]}, {', '.join(counts)}"


def _adapters(release: Release) -> list[str]:
    """What it answers with beside the weights, what made that, and whose engine answers."""
    notes = []
    for name, adapter in release.plan.model.adapters_by_name.items():
        made = f", data {adapter.data[:12]}" if adapter.data else ""
        named = f"{name} = " if name else ""
        notes.append(f"{named}adapter {adapter.source} ({adapter.digest[:12]}{made})")
        if adapter.despite_gate:
            notes.append(f"despite its gate: {adapter.despite_gate}")
    if release.hosted_by is not None:
        notes.append(f"in the engine of release {release.hosted_by}")
    return notes
