"""Objects of cases, found by kind and name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clusters.model import Manifest, ServiceState
from clusters.objects import surroundings
from llmops.spec import KubernetesTarget


def found(state: ServiceState, kind: str, ending: str = "") -> Manifest:
    """The only object of the kind whose name ends so."""
    (one,) = of_kind(state, kind, ending)
    return one


def of_kind(state: ServiceState, kind: str, ending: str = "") -> list[Manifest]:
    """Every object of the kind whose name ends so."""
    return [
        m
        for m in surroundings(state)
        if m["kind"] == kind and m["metadata"]["name"].endswith(ending)
    ]


def with_target(state: ServiceState, **changes: Any) -> ServiceState:
    """The state with some fields of every runtime's target changed, as a file would say them."""
    runtimes = []
    for runtime in state.runtimes:
        document = runtime.shape.target.model_dump(mode="json") | changes
        target = KubernetesTarget.model_validate(document, strict=False)
        runtimes.append(replace(runtime, shape=replace(runtime.shape, target=target)))
    return replace(state, runtimes=tuple(runtimes))
