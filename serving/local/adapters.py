"""Adapters on this machine: what is looked up of one, and what is checked before it is loaded.

Refused is an adapter where further machines have joined the runtime: its files are on this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmops.errors import InputError, ModelError
from llmops.planning import AdapterFacts, ModelFacts, Plan
from llmops.spec import Deployment
from serving.finetune.artefacts import Base, adapter_facts
from serving.models import Models


def look_up(
    home: Path,
    deployment: Deployment,
    models: Models,
    model: ModelFacts,
    endpoint: Mapping[str, Any] | None,
) -> AdapterFacts | None:
    """What is known of the deployment's adapter; None where it has none.

    Raises:
        ModelError: When it cannot be found, is damaged, or is none.
        InputError: When the runtime has several machines.
    """
    asked = deployment.model.adapter
    if asked is None:
        return None
    if endpoint is not None and endpoint.get("ray"):
        raise InputError(
            "adapters are loaded by a runtime of one machine, and further ones have joined this",
            hint="merge it into the weights (output.merge: true), and serve these as model.source",
            path="model.adapter",
        )
    served = Base(model.source, model.revision, models.digests(model.source, model.revision))
    try:
        return adapter_facts(home, asked.source, served)
    except ModelError as error:
        raise ModelError(error.message, hint=error.hint, path="model.adapter.source") from error


def check(home: Path, plan: Plan, models: Models) -> None:
    """Refuse an adapter that is another by now, or of other weights than were fetched.

    Raises:
        ModelError: When it is.
    """
    planned = plan.model.adapter
    if planned is None:
        return
    model = plan.model
    served = Base(model.source, model.revision, models.digests(model.source, model.revision))
    found = adapter_facts(home, planned.source, served)
    if found.digest != planned.digest:
        raise ModelError(
            f"{planned.source} has changed since it was planned with",
            hint="deploy again: the plan is then made for what is there now",
        )
    if found.base == "other":
        raise ModelError(
            f"the adapter was trained on {found.trained_on}, and {model.source} is other weights",
            hint="serve the weights that it was trained on",
        )
