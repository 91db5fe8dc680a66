"""What cannot be meant by the adapters of a spec.

Pure: whether there is such an adapter, and whether it is one of this model, is found out when it is
looked up. Only a runtime on this machine loads adapters: elsewhere the weights are fetched by
whoever runs them, and an adapter has no place there yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from llmops.spec import addresses
from llmops.spec.adapters import Adapter
from llmops.spec.document import Finding
from llmops.spec.models import Deployment, Model
from llmops.spec.nodes import Trail
from llmops.spec.words import quoted

RUN = re.compile(r"run://([a-z](?:[-a-z0-9]{0,38}[a-z0-9])?)/([1-9][0-9]{0,8})", re.ASCII)
"""The address of what a run of `llmops finetune` has made: its name and number."""

OWN = ""
"""Stands for the service's own name, where adapters are listed by the name that is asked for."""


def run_of(source: str) -> tuple[str, int] | None:
    """Name and number of the run whose adapter an address means; None for one of another kind."""
    found = RUN.fullmatch(source)
    return (found[1], int(found[2])) if found else None


def adapters_of(model: Model) -> dict[str, Adapter]:
    """Every adapter of a model, by the name that requests ask for it by: `OWN` is the service's."""
    own = {OWN: model.adapter} if model.adapter else {}
    return own | dict(sorted(model.adapters.items()))


def adapter_path(name: str) -> str:
    """Where in a spec the adapter of that name is written."""
    return ".".join(map(str, _trail(name)))


def find_in_adapters(deployment: Deployment) -> Iterator[Finding]:
    """What is wrong with the adapters of a service, and with the room for them."""
    model, kind = deployment.model, deployment.target.kind
    if kind != "local":
        yield from _elsewhere(deployment)
    for name, adapter in adapters_of(model).items():
        yield from _source((*_trail(name), "source"), adapter.source)
    if deployment.name in model.adapters:
        yield Finding(
            _trail(deployment.name),
            f"expected another name than the service's own, found '{deployment.name}'",
            "what the service's own name is answered with is model.adapter",
            (("name",),), key=True,
        )  # fmt: skip
    yield from _room(deployment)


def _room(deployment: Deployment) -> Iterator[Finding]:
    engine = deployment.engine
    if engine.adapter_count and not engine.adapter_rank and not adapters_of(deployment.model):
        yield Finding(
            ("engine", "adapter_count"), "expected engine.adapter_rank beside it, found none",
            "say for which rank room is kept: adapter_rank: 16", (("engine", "adapter_rank"),),
            key=True,
        )  # fmt: skip


def _elsewhere(deployment: Deployment) -> Iterator[Finding]:
    kind = deployment.target.kind
    for field in ("adapter_rank", "adapter_count"):
        if getattr(deployment.engine, field):
            yield Finding(
                ("engine", field),
                f"expected 0 for the target {kind}: only this machine's runtime loads adapters",
                "remove it", (("target", "kind"),), key=True,
            )  # fmt: skip
    for field in ("adapter", "adapters"):
        if getattr(deployment.model, field):
            yield Finding(
                ("model", field),
                f"expected no adapter for the target {kind}: only this machine's runtime loads"
                " them",
                "merge it into the weights (output.merge: true), and serve these as model.source",
                (("target", "kind"),), key=True,
            )  # fmt: skip


def _trail(name: str) -> Trail:
    return ("model", "adapter") if name == OWN else ("model", "adapters", name)


def _source(trail: Trail, source: str) -> Iterator[Finding]:
    scheme, separator, _ = source.partition("://")
    if separator and scheme == "file":
        if wrong := addresses.check(source):
            yield Finding(trail, wrong.message, wrong.hint)
    elif run_of(source) is None:
        hint = "a path is written in full: file:///path; llmops finetune list shows the runs"
        message = f"expected run://NAME/N or file:///path, found {quoted(source)}"
        yield Finding(trail, message, hint)
