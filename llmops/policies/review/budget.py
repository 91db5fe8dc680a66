"""What a service costs by the catalogue's prices, at its highest number of replicas.

This machine is one's own and costs nothing by the hour, as in the catalogue. Of a cluster nobody
tells what its nodes cost: reckoned is the least that anybody of the catalogue asks for such a GPU,
so what is refused is too dear wherever it runs. Where that is not known, a finding says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops.catalog import Catalogue
from llmops.planning import accelerators_of
from llmops.policies.findings import Finding, Severity
from llmops.policies.layers import Decided, Effective
from llmops.policies.review.subject import Subject, against, unchecked


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The least that one accelerator costs an hour, in US dollars, and whose price that is."""

    hourly: float
    accelerator: str
    offer: str
    region: str
    count: int


def check_budget(effective: Effective, subject: Subject) -> Iterator[Finding]:
    """Findings about money."""
    bound = effective.decided.get("budget.usd_per_hour")
    if bound is None or subject.cluster is None:
        return
    if subject.plan is None:
        yield unchecked(bound, "scaling.replicas", "there is no plan yet")
        return
    if why := _unknown(subject):
        yield _unpriced(bound, why)
        return
    least = cheapest(subject.known.catalogue, _gpu(subject))
    if least is None:
        yield _unpriced(bound, f"the catalogue has no price of {_gpu(subject)}")
    else:
        yield from _compared(bound, subject, least)


def cheapest(catalogue: Catalogue | None, gpu: str) -> Cheapest | None:
    """The lowest on-demand price of one device that is called so; None when there is none."""
    if catalogue is None:
        return None
    names = {accelerator.name for accelerator in accelerators_of(catalogue, gpu)}
    found = [
        Cheapest(
            price.on_demand / offer.count, offer.accelerator, offer.name, price.region, offer.count
        )
        for offer in catalogue.offers
        if offer.accelerator in names
        for price in offer.prices
        if price.on_demand is not None
    ]
    return min(found, key=lambda one: (one.hourly, one.offer, one.region), default=None)


def _compared(bound: Decided, subject: Subject, least: Cheapest) -> Iterator[Finding]:
    shards = subject.planned("layout.tensor") * subject.planned("layout.pipeline")
    replicas = subject.planned("layout.replicas_high")
    cost = least.hourly * shards * replicas
    if bound.admits(cost):
        return
    fits = int(bound.value / (least.hourly * shards))
    yield against(
        bound, cost, "scaling.replicas",
        f"it costs at least {cost:,.2f} USD/h, and at most {bound.value:,.2f} is allowed",
        proof=f"{replicas} replica(s) x {shards} {least.accelerator} x {least.hourly:,.4f} USD/h,"
        f" the least on demand: {least.offer} of {least.count} in {least.region}",
        fix=f"set scaling.replicas to at most {fits}" if fits else "use a cheaper GPU",
    )  # fmt: skip


def _unknown(subject: Subject) -> str:
    """Why there is nothing to reckon with; empty when there is."""
    if subject.known.catalogue is None:
        return "no catalogue was looked at"
    if subject.planned("layout.device") != "gpu":
        return "the catalogue prices GPUs, and it runs on CPUs"
    if not _gpu(subject):
        return "which GPU it would run on is not known"
    return ""


def _gpu(subject: Subject) -> str:
    hardware = subject.deployment.hardware
    asked = hardware.gpu if hardware != "auto" else None
    return subject.known.gpu or asked or ""


def _unpriced(bound: Decided, why: str) -> Finding:
    by = bound.deciders[0]
    return Finding(
        "budget.price-unknown", Severity.WARN, "",
        f"what it costs is not known, so the budget of {bound.value:,.2f} USD/h was not checked",
        why, "write hardware.gpu, or prices of your own in catalog.yaml", by.policy, by.layer,
    )  # fmt: skip
