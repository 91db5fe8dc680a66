"""A deployment on machines of a cloud that are made for it. Pure.

Refused before anything is made: what fits on no machine, what costs more than the spec allows, and
what has a budget and no price.
"""

from __future__ import annotations

from itertools import islice

from llmops.planning.cloud import UNKNOWN, CloudFacts, MachineOffer, MachinePlan
from llmops.planning.cluster import Placed
from llmops.planning.figure import Figure
from llmops.planning.layout import parallelism
from llmops.planning.machines.image import image_of
from llmops.planning.machines.offers import Had, next_offers, of_target, offers_for
from llmops.planning.machines.prices import HOURS_OF_A_MONTH
from llmops.planning.machines.refused import (
    nothing_holds_it,
    too_dear,
    unpriced,
    wider_than_a_machine,
)
from llmops.planning.model import Facts
from llmops.planning.subject import Subject
from llmops.spec import CloudTarget, Deployment
from llmops.units import Bytes

MOST_OFFERS = 5
"""Next offers that a plan keeps."""

SYSTEM = 80 * 2**30
"""Bytes of a root volume for the image, Python's packages and logs: the image of AWS has about 40
GiB, and the locked packages take 12."""

STEP = 10 * 2**30
"""What a root volume is a multiple of."""


def place_on_machines(
    deployment: Deployment, target: CloudTarget, facts: Facts, subject: Subject
) -> Placed:
    """Take the cheapest machines that hold it.

    Raises:
        Refusal: When there are none, or they cost more than the spec's budget.
    """
    cloud = facts.cloud
    if cloud is None:
        raise ValueError(f"facts of {target.kind} without what can be had there")
    _check_width(deployment, target, cloud)
    had, found = offers_for(deployment, target, facts, cloud, subject)
    if not had:
        raise nothing_holds_it(deployment, target, cloud, facts.model, subject, found)
    _check_budget(target, had[0].offer)
    first = had[0]
    following = tuple(islice(next_offers(target, cloud, had), MOST_OFFERS))
    return Placed(
        first.deployment,
        first.facts,
        first.choice,
        notes=_notes(deployment, target, first),
        machines=_plan(target, cloud, first.offer, following, subject, len(had)),
    )


def _check_width(deployment: Deployment, target: CloudTarget, cloud: CloudFacts) -> None:
    """Shards of a layer stand on one machine: what is asked to be cut over more GPUs does not."""
    asked, offers = parallelism(deployment), of_target(cloud.catalogue, target)
    if asked is None or not offers:
        return
    widest = max(offers, key=lambda offer: offer.count)
    if asked.tensor > widest.count:
        raise wider_than_a_machine(asked.tensor, widest, target)


def _check_budget(target: CloudTarget, offer: MachineOffer) -> None:
    budget = target.budget.usd_per_hour
    if budget is None:
        return
    if offer.usd_per_hour is None:
        raise unpriced(offer, budget)
    if offer.usd_per_hour > budget:
        raise too_dear(target, offer, budget)


def _plan(
    target: CloudTarget,
    cloud: CloudFacts,
    offer: MachineOffer,
    following: tuple[MachineOffer, ...],
    subject: Subject,
    choices: int,
) -> MachinePlan:
    why = "as asked" if target.machine != "auto" else (
        f"the lowest price of {choices} types that hold it" if choices > 1
        else "the only type that holds it"
    )  # fmt: skip
    return MachinePlan(
        provider=target.kind,
        region=target.region,
        machine=Figure(offer.machine, f"{offer.gpus} x {offer.accelerator}: {why}"),
        count=Figure(offer.count, _counted(target, offer)),
        market=offer.market,
        reservation=target.reservation or "",
        accelerator=offer.accelerator,
        gpus=offer.gpus,
        fabric=offer.fabric,
        rails=offer.rails,
        zones=offer.zones,
        head=Figure(target.head_machine, "gateway, Ray's head and the agent: no GPU"),
        image=image_of(target, cloud.images),
        disk=_disk(subject),
        usd_per_hour=hour(offer),
        usd_per_month=month(offer),
        offers=following,
    )


def _counted(target: CloudTarget, offer: MachineOffer) -> str:
    words = offer.holds
    return f"{words}, and {target.spare} to spare" if target.spare else words


def hour(offer: MachineOffer) -> Figure:
    """What an offer costs an hour, with its reason."""
    usd = offer.usd_per_hour
    return Figure(UNKNOWN if usd is None else usd, offer.reason)


def month(offer: MachineOffer) -> Figure:
    """What an offer costs in a month of running all the time."""
    if offer.usd_per_hour is None:
        return Figure(UNKNOWN, "what an hour costs is not known")
    words = (
        f"{HOURS_OF_A_MONTH} hours; disks, traffic, load balancer and NAT are not in the catalogue"
    )
    return Figure(round(offer.usd_per_hour * HOURS_OF_A_MONTH, 2), words)


def _disk(subject: Subject) -> Figure:
    weights = subject.weight_bytes * 6 // 5
    size = -(-(SYSTEM + weights) // STEP) * STEP
    return Figure(
        size,
        f"{Bytes(SYSTEM).human()} of image and packages + weights {Bytes(weights).human()},"
        " of which machines with NVMe keep a copy there",
    )


def _notes(deployment: Deployment, target: CloudTarget, had: Had) -> tuple[str, ...]:
    offer, notes = had.offer, []
    replicas = deployment.scaling.replicas.high
    idle = (offer.gpus // offer.tensor) * offer.count // offer.stages - replicas
    if deployment.maintenance.strategy != "recreate" and idle < deployment.scaling.replicas.low:
        notes.append(
            f"a new release starts with {deployment.scaling.replicas.low} replica(s) beside the"
            f" old one, and there is room for {idle}: set target.spare, or maintenance.strategy to"
            " recreate"
        )
    if offer.usd_per_hour is None:
        notes.append(f"what it costs is not known in {target.region}: {offer.reason}")
    if not offer.zones:
        notes.append(f"which zones offer {offer.machine} was not looked up")
    if deployment.model.source.startswith("pkg://"):
        notes.append(
            "the machines install the locked packages alone: what carries the model must be there"
        )
    if offer.market == "spot":
        notes.append("spot machines can be taken away within two minutes")
    return tuple(notes)
