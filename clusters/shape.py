"""What decides over a runtime's pods, and the runtime's id made of it.

A shape is read back from a recorded plan, which a later version of llmops may have written: what
this version does not know of a target is passed over, so that every record stays readable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from clusters.model import Shape
from llmops.errors import InputError
from llmops.planning import Plan
from llmops.spec import KubernetesTarget

OF_PODS = (
    "node_selector", "tolerations", "gpu_resource", "runtime_class", "priority", "queue", "rdma",
    "weights", "model_secret", "pull_secrets", "redis",
)  # fmt: skip
"""Fields of the target that are found in the pods. The others change objects beside them; the
number of gateways changes how many pods there are, not what they are."""

DIGITS = 8


def shape_of(plan: Plan) -> Shape:
    """The shape of the pods that a plan asks for.

    Raises:
        InputError: When the plan is not one for this target, or its record is damaged.
    """
    if plan.pod is None or plan.target.get("kind") != "kubernetes":
        raise InputError(
            f"the plan of {plan.service} is not one for Kubernetes: it has no pods",
            hint="deploy it anew",
        )
    return Shape(
        image=plan.image,
        device=plan.layout.device,
        gpus=int(plan.pod.gpus.value),
        cores=int(plan.pod.cores.value),
        memory=int(plan.pod.memory.value),
        disk=int(plan.pod.disk.value),
        target=_target(plan),
        apart=plan.apart,
        autoscaled=plan.layout.replicas_low != plan.layout.replicas_high,
    )


def digest(shape: Shape) -> str:
    """Id of the runtime that pods of this shape live in: eight hex digits.

    It must be the same in every process and in later versions, or a runtime would not be found
    again. So it is made of values and not of objects, and what is at its default is left out: a
    field that is added later changes no id until it is used.
    """
    target = shape.target.model_dump(mode="json", exclude_defaults=True, include=set(OF_PODS))
    values = {
        "image": shape.image,
        "device": shape.device,
        "gpus": shape.gpus,
        "cores": shape.cores,
        "memory": shape.memory,
        "disk": shape.disk,
        "target": target,
        **({"apart": shape.apart} if shape.apart else {}),
        **({"autoscaled": True} if shape.autoscaled else {}),
    }
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _target(plan: Plan) -> KubernetesTarget:
    known = _known(KubernetesTarget, plan.target)
    try:
        return KubernetesTarget.model_validate(known, strict=False)
    except ValidationError as error:
        raise InputError(
            f"the recorded target of {plan.service} cannot be read: {error.errors()[0]['msg']}",
            hint="a later llmops may have written it: use that one, or deploy anew",
        ) from error


def _known(model: type[BaseModel], written: Mapping[str, Any]) -> dict[str, Any]:
    """What `model` has fields for, in its parts too."""
    fields = model.model_fields
    return {
        key: _known_value(_part(fields[key].annotation), value)
        for key, value in written.items()
        if key in fields
    }


def _known_value(part: type[BaseModel] | None, value: Any) -> Any:
    if part is None:
        return value
    if isinstance(value, Mapping):
        return _known(part, value)
    if isinstance(value, list | tuple):
        return tuple(_known_value(part, item) for item in value)
    return value


def _part(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds: itself, as one of a tuple, or where it may be None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _part(arg))), None)
