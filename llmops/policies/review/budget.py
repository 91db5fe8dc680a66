"""What a service costs by the catalogue's prices.

Where the number of replicas follows the load, the budget is their ceiling while it runs: what is
refused is only what it cannot pay at the lowest number. A fixed number has to be paid for whole.

This machine is one's own and costs nothing by the hour, as in the catalogue. Of a cluster nobody
tells what its nodes cost: reckoned is the least that anybody of the catalogue asks for such a GPU,
so what is refused is too dear wherever it runs. Machines of a cloud that are made for it cost what
the plan says. Where a price is not known, a finding says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops.catalog import Catalogue
from llmops.planning import UNKNOWN, Plan, Spending, accelerators_of
from llmops.policies.findings import Finding, Severity
from llmops.policies.layers import Decided, Effective
from llmops.policies.review.subject import (
    Known,
    Subject,
    against,
    plain_plan,
    shown,
    unchecked,
)
from llmops.spec import Deployment, LocalTarget


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
    if bound is None or isinstance(subject.deployment.target, LocalTarget):
        return
    if subject.plan is None:
        yield unchecked(bound, "scaling.replicas", "there is no plan yet")
        return
    if subject.planned("machines"):
        yield from _of_machines(bound, subject)
        return
    if why := _unknown(subject):
        yield _unpriced(bound, why)
        return
    least = cheapest(subject.known.catalogue, _gpu(subject))
    if least is None:
        yield _unpriced(bound, f"the catalogue has no price of {_gpu(subject)}")
    else:
        yield from _compared(bound, subject, least)


def _of_machines(bound: Decided, subject: Subject) -> Iterator[Finding]:
    """Machines that are made for it have a price of their own."""
    cost = subject.planned("machines.usd_per_hour.value")
    why = str(subject.planned("machines.usd_per_hour.reason"))
    if cost == UNKNOWN:
        yield _unpriced(bound, why)
    elif not bound.admits(cost):
        yield against(
            bound, cost, "target.machine",
            f"it costs {cost:,.2f} USD/h, and at most {bound.value:,.2f} is allowed",
            proof=why, fix="lower scaling.replicas or target.spare, or use a cheaper machine",
        )  # fmt: skip


def spending(
    effective: Effective, deployment: Deployment, plan: Plan, known: Known
) -> Spending | None:
    """What bounds the replicas of a plan while it runs; None where nothing does."""
    bound = effective.decided.get("budget.usd_per_hour")
    subject = Subject(deployment, plain_plan(plan), known, 0.0)
    if bound is None or subject.cluster is None or _fixed(subject) or _unknown(subject):
        return None
    least = cheapest(known.catalogue, _gpu(subject))
    if least is None:
        return None
    return Spending(bound.value, least.hourly, bound.deciders[0].policy)


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
    devices = subject.planned("layout.tensor") * subject.planned("layout.pipeline")
    fits = Spending(bound.value, least.hourly, bound.deciders[0].policy).replicas(devices)
    most, needed = subject.planned("layout.replicas_high"), _needed(subject)
    if fits >= most:
        return
    each = least.hourly * devices
    price = f"{devices} {least.accelerator} x {least.hourly:,.4f} USD/h, the least on demand:"
    price += f" {least.offer} of {least.count} in {least.region}"
    if fits >= needed:
        yield _held(bound, most, fits, price)
        return
    yield against(
        bound, each * needed, "scaling.replicas",
        f"it costs at least {each * needed:,.2f} USD/h, and at most {bound.value:,.2f} is allowed",
        proof=f"{needed} replica(s) x {price}",
        fix=f"set scaling.replicas to at most {fits}" if fits else "use a cheaper GPU",
    )  # fmt: skip


def _held(bound: Decided, most: int, fits: int, price: str) -> Finding:
    by = bound.deciders[0]
    return Finding(
        bound.path, Severity.INFO, "scaling.replicas",
        f"of {most} replicas, at most {fits} are paid for: it is held there while it runs",
        f"{by.layer} policy {by.policy}: {shown(bound.value)}; a replica: {price}",
        f"set the highest of scaling.replicas to {fits}, so that no more are planned for",
        by.policy, by.layer,
    )  # fmt: skip


def _needed(subject: Subject) -> int:
    """Replicas that there are at the least, at some time; all, where none may be left out."""
    if _fixed(subject):
        return int(subject.planned("layout.replicas_high"))
    schedule = subject.planned("scaling.schedule") or ()
    lows = [subject.planned("layout.replicas_low"), *(one["replicas_low"] for one in schedule)]
    return int(max(lows))


def _fixed(subject: Subject) -> bool:
    """Whether the number of replicas does not follow the load; of a plan that tells only its
    highest number it is taken for fixed."""
    high = subject.planned("layout.replicas_high")
    return subject.planned("layout.replicas_low") in (None, high)


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
