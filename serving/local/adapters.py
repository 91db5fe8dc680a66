"""Adapters on this machine: what is looked up of one, and what is checked before it is loaded.

Refused is an adapter where further machines have joined the runtime: its files are on this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from llmops.errors import InputError, ModelError
from llmops.planning import AdapterFacts, ModelFacts, Plan
from llmops.releases import ReleaseStore
from llmops.spec import Deployment, adapter_path, adapters_of
from serving.finetune.artefacts import Base, adapter_facts
from serving.models import Models


def look_up(
    home: Path,
    deployment: Deployment,
    models: Models,
    model: ModelFacts,
    endpoint: Mapping[str, Any] | None,
) -> dict[str, AdapterFacts]:
    """What is known of the deployment's adapters, by the name that requests ask for them by.

    Raises:
        ModelError: When it cannot be found, is damaged, or is none.
        InputError: When the runtime has several machines.
    """
    asked = adapters_of(deployment.model)
    if not asked:
        return {}
    if endpoint is not None and endpoint.get("ray"):
        raise InputError(
            "adapters are loaded by a runtime of one machine, and further ones have joined this",
            hint="merge it into the weights (output.merge: true), and serve these as model.source",
            path=adapter_path(next(iter(asked))),
        )
    served = _base(models, model.source, model.revision)
    found = {}
    for name, adapter in asked.items():
        try:
            found[name] = adapter_facts(home, adapter.source, served)
        except ModelError as error:
            path = f"{adapter_path(name)}.source"
            raise ModelError(error.message, hint=error.hint, path=path) from error
    return found


def check(home: Path, plan: Plan, models: Models) -> None:
    """Refuse an adapter that is another by now, or of other weights than were fetched.

    Raises:
        ModelError: When one is.
    """
    model, adapters = plan.model, plan.model.adapters_by_name
    if not adapters:
        return
    served = _base(models, model.source, model.revision)
    for planned in adapters.values():
        found = adapter_facts(home, planned.source, served)
        if found.digest != planned.digest:
            raise ModelError(
                f"{planned.source} has changed since it was planned with",
                hint="deploy again: the plan is then made for what is there now",
            )
        if found.base == "other":
            raise ModelError(
                f"{planned.source} was trained on {found.trained_on}, and {model.source} is other"
                " weights",
                hint="serve the weights that it was trained on",
            )


def taken(service: str, members: Iterable[tuple[str, int]], store: ReleaseStore) -> dict[str, str]:
    """The model names of other services, and whose each is.

    Args:
        service: Whose names are not told.
        members: Every release that should run, running or not.
        store: Their records.
    """
    found: dict[str, str] = {}
    for other, number in sorted(members):
        release = store.read(other)[0].find(number) if other != service else None
        if release is not None:
            found |= dict.fromkeys((other, *release.plan.model.adapters), other)
    return found


def _base(models: Models, source: str, revision: str) -> Base:
    return Base(source, revision, models.digests(source, revision))
