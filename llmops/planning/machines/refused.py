"""Why there are no machines for a service, and what would change that. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from llmops.catalog import Offer
from llmops.planning.cloud import CloudFacts, MachineOffer
from llmops.planning.model import ModelFacts
from llmops.planning.refusal import Refusal
from llmops.planning.subject import Subject
from llmops.spec import CloudTarget, Deployment, nearest

if TYPE_CHECKING:
    from llmops.planning.fleet import FleetPlan

MOST_CHANGES = 2
"""Changes that a hint names."""


def nothing_holds_it(
    deployment: Deployment,
    target: CloudTarget,
    cloud: CloudFacts,
    model: ModelFacts,
    subject: Subject,
    found: FleetPlan,
) -> Refusal:
    """No machine of the catalogue does."""
    if not found.options and not found.rejections and target.machine != "auto":
        return _unknown(target, cloud)
    near = _closest(found)
    words = f"no machine of {target.kind} in the catalogue holds it as asked"
    if target.machine != "auto":
        words = f"{target.machine} does not hold it as asked"
    path = "target.machine" if target.machine != "auto" else "model.source"
    fixes = [{"target.machine": "auto"}] if target.machine != "auto" else []
    return Refusal(
        f"{words}: {near}", path=path, fixes=fixes,
        hint=_changes(deployment, target, cloud, model, subject),
    )  # fmt: skip


def wider_than_a_machine(tensor: int, widest: Offer, target: CloudTarget) -> Refusal:
    """Each layer is to be cut over more GPUs than a machine has."""
    largest = f"the largest of {target.kind} in the catalogue, {widest.instance}, has"
    has = f"{widest.instance} has" if target.machine != "auto" else largest
    return Refusal(
        f"parallelism.tensor is {tensor}, a layer's shards stand on one machine, and {has}"
        f" {widest.count}",
        path="parallelism.tensor",
        hint=f"lower it to at most {widest.count}, with parallelism.pipeline for stages on further"
        " machines; or leave both out: the plan cuts as it must",
    )


def too_dear(target: CloudTarget, offer: MachineOffer, budget: float) -> Refusal:
    """The cheapest costs more than the spec allows."""
    cents = math.ceil((offer.usd_per_hour or 0.0) * 100)
    hint = f"raise it to {cents / 100:,.2f}"
    if target.machine != "auto":
        hint += ", or set target.machine to auto"
    return Refusal(
        f"it costs {offer.usd_per_hour:,.2f} USD/h, and target.budget allows {budget:,.2f}:"
        f" {offer.reason}",
        path="target.budget.usd_per_hour", hint=f"{hint}, or lower scaling.replicas",
    )  # fmt: skip


def unpriced(offer: MachineOffer, budget: float) -> Refusal:
    """What it costs is not known, and there is a budget."""
    return Refusal(
        f"what {offer.machine} costs is not known, so the budget of {budget:,.2f} USD/h cannot be"
        f" kept: {offer.reason}",
        path="target.budget.usd_per_hour",
        hint="write its price into a catalogue of your own (docs/reference/catalog.md), or remove"
        " the budget",
    )


def _unknown(target: CloudTarget, cloud: CloudFacts) -> Refusal:
    known = [offer.instance for offer in cloud.catalogue.offers if offer.provider == target.kind]
    near = nearest(target.machine, known)
    return Refusal(
        f"expected a machine of the catalogue, found '{target.machine}'",
        path="target.machine",
        hint=f"did you mean '{near}'?" if near else
        f"llmops catalog list --provider {target.kind} names them; docs/reference/catalog.md adds"
        " one of your own",
    )  # fmt: skip


def _closest(found: FleetPlan) -> str:
    from llmops.planning import fleet

    near = fleet.nearest_miss(found)
    if near is None and found.rejections:
        near = found.rejections[0]
    if near is None:
        return found.why if not found.options else "its GPUs would not be dealt so"
    return f"{near.offer.instance}: {near.reason}"


def _changes(
    deployment: Deployment,
    target: CloudTarget,
    cloud: CloudFacts,
    model: ModelFacts,
    subject: Subject,
) -> str:
    """What a plan beyond this cloud's machines found to help; where nothing does, the way on."""
    from llmops.planning import fleet

    needs = fleet.needs_of(deployment, cloud.catalogue)
    needs = replace(needs, machines=1, replicas=1, providers=(target.kind,))
    found = fleet.changes(subject, needs, cloud.catalogue, model)
    return "; or ".join(f"with {change.what}: {change.option.offer.instance}"
                        for change in found[:MOST_CHANGES]
                        ) or "llmops plan --on catalog shows what holds it"  # fmt: skip
