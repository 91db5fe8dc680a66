"""Which machines of a cloud hold a service, the cheapest first. Pure.

The fleet planner weighs the catalogue's machines, as for `llmops plan --on catalog`; then the same
arithmetic that plans a service on a machine confirms each that it ranks. A replica stands on one
machine where one holds it, and a machine holds as many as its GPUs allow; where none does, or
stages are asked for, each stage stands on a machine of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmops.catalog import Accelerator, Catalogue, Offer
from llmops.planning.choice import Choice, choose
from llmops.planning.cloud import CloudFacts, MachineOffer
from llmops.planning.layout import Shape, asked_stages
from llmops.planning.machines.prices import head_hourly, hourly
from llmops.planning.model import Facts, Gpu, MachineFacts
from llmops.planning.refusal import Refusal
from llmops.planning.spanning import share
from llmops.planning.subject import Subject
from llmops.spec import CloudTarget, Deployment
from llmops.units import Replicas

if TYPE_CHECKING:
    from llmops.planning.fleet import FleetOption, FleetPlan, Needs

MOST_MACHINES = 8
"""Machines that one replica is spread over at most where nobody asks for more stages."""

LEAST_CORES = 4
"""Cores to plan with where the catalogue does not have a machine's."""


@dataclass(frozen=True, slots=True)
class Had:
    """An offer on which a replica was planned, and how."""

    offer: MachineOffer
    deployment: Deployment
    facts: Facts
    choice: Choice


def offers_for(
    deployment: Deployment, target: CloudTarget, facts: Facts, cloud: CloudFacts, subject: Subject
) -> tuple[list[Had], FleetPlan]:
    """Every offer that holds it, the cheapest first, and what the fleet planner said of them all.

    What has no price in the region comes last, ranked by its price elsewhere.
    """
    from llmops.planning import fleet

    needs, known = _needs(deployment, target, cloud.catalogue), _only(cloud.catalogue, target)
    found = fleet.search(subject, needs, known)
    had = _had(deployment, target, facts, cloud, subject, found)
    if not had and needs.parallel is None and needs.count is None:
        wider = fleet.search(subject, replace(needs, machines=MOST_MACHINES), known)
        had = _had(deployment, target, facts, cloud, subject, wider)
    return had, found


def _had(
    deployment: Deployment,
    target: CloudTarget,
    facts: Facts,
    cloud: CloudFacts,
    subject: Subject,
    found: FleetPlan,
) -> list[Had]:
    had = [
        one
        for option in found.options
        if (one := _confirmed(deployment, target, facts, cloud, subject, option)) is not None
    ]
    return sorted(had, key=_rank)


def _needs(deployment: Deployment, target: CloudTarget, catalogue: Catalogue) -> Needs:
    from llmops.planning import fleet

    needs, stages = fleet.needs_of(deployment, catalogue), asked_stages(deployment)
    return replace(needs, machines=stages, replicas=1, providers=(target.kind,))


def _only(catalogue: Catalogue, target: CloudTarget) -> Catalogue:
    """The catalogue with the machine that is asked for, where one is."""
    return Catalogue(catalogue.accelerators, of_target(catalogue, target))


def of_target(catalogue: Catalogue, target: CloudTarget) -> tuple[Offer, ...]:
    """Machines of the catalogue that the target may take."""
    return tuple(
        offer
        for offer in catalogue.offers
        if offer.provider == target.kind and target.machine in ("auto", offer.instance)
    )


def _confirmed(
    deployment: Deployment,
    target: CloudTarget,
    facts: Facts,
    cloud: CloudFacts,
    subject: Subject,
    option: FleetOption,
) -> Had | None:
    """The offer as the service's own planner sees such a machine; None where it does not fit."""
    one = deployment.model_copy(
        update={"scaling": deployment.scaling.model_copy(update={"replicas": Replicas(1, 1)})}
    )
    there = replace(facts, machine=_machines(option), live=())
    try:
        choice = choose(one, there, subject)
    except Refusal:
        return None
    offer = _offer(deployment, target, cloud, option, choice.size.shape)
    return Had(offer, one, choice.facts, choice)


def _machines(option: FleetOption) -> MachineFacts:
    """As many machines as each stage of a replica needs one."""
    own = _machine(option.offer, option.accelerator)
    stages = max(option.parallel.pipeline, option.machines)
    if stages == 1:
        return own
    shares = tuple(share((own,) * stages, 1, count) for count in range(1, stages + 1))
    return replace(own, shares=shares)


def _machine(offer: Offer, accelerator: Accelerator) -> MachineFacts:
    """A machine that is not there yet, as if nothing ran on it."""
    memory = accelerator.planned() or 0
    host = offer.memory or 0
    return MachineFacts(
        cores=offer.vcpus or LEAST_CORES,
        memory=host,
        memory_free=host,
        disk_free=0,
        gpus=(Gpu(accelerator.name, memory, memory),) * offer.count,
        port_owner="",
        endpoint_port=None,
    )


def _offer(
    deployment: Deployment,
    target: CloudTarget,
    cloud: CloudFacts,
    option: FleetOption,
    shape: Shape,
) -> MachineOffer:
    offer, stages = option.offer, shape.pipeline
    parts = deployment.scaling.replicas.high * stages
    count = max(stages, machines_for(parts, offer.count // shape.tensor)) + target.spare
    return priced(target, cloud, MachineOffer(
        machine=offer.instance,
        count=count,
        market=target.market,
        accelerator=option.accelerator.name,
        gpus=offer.count,
        fabric=offer.fabric,
        rails=offer.rails or 1,
        zones=_zones(target, cloud, offer.instance),
        usd_per_hour=None,
        tensor=shape.tensor,
        reason="",
        stages=stages,
    ))  # fmt: skip


def _zones(target: CloudTarget, cloud: CloudFacts, machine: str) -> tuple[str, ...]:
    """The zone that is asked for, else all that offer the machine and the head beside it; of a head
    that nobody could look up, or that is nowhere beside it, the deploy's own checks tell."""
    if target.zone is not None:
        return (target.zone,)
    zones = sorted(cloud.zones.get(machine, ()))
    beside = [zone for zone in zones if zone in cloud.zones.get(target.head_machine, ())]
    return tuple(beside or zones)


def machines_for(parts: int, per_machine: int) -> int:
    """Machines that so many replicas, or stages of them, take, where a machine holds so many."""
    return -(-parts // per_machine)


def priced(target: CloudTarget, cloud: CloudFacts, offer: MachineOffer) -> MachineOffer:
    """The offer with what it costs, the head included, and why."""
    name = f"{target.kind}/{offer.machine}"
    known = next(one for one in cloud.catalogue.offers if one.name == name)
    each = hourly(known, target.region, offer.market)
    head = head_hourly(cloud.catalogue, target.kind, target.head_machine, target.region)
    if each.usd is None or head.usd is None:
        missing = each.words if each.usd is None else head.words
        return replace(offer, usd_per_hour=None, reason=f"not known: {missing}")
    words = (
        f"{offer.count} x {offer.machine} x {each.usd:,.4f} USD/h {each.words}"
        f" + head {target.head_machine} {head.usd:,.4f} USD/h"
    )
    return replace(offer, usd_per_hour=round(offer.count * each.usd + head.usd, 6), reason=words)


def in_market(target: CloudTarget, cloud: CloudFacts, had: Had, market: str) -> MachineOffer:
    """The same machines, paid for in another way."""
    return priced(target, cloud, replace(had.offer, market=market))


def next_offers(target: CloudTarget, cloud: CloudFacts, had: list[Had]) -> Iterator[MachineOffer]:
    """What is taken in place of the first: spot machines on demand, then other machines.

    What is reserved has no next: it is there or it is not.
    """
    if target.reservation is not None:
        return
    for index, one in enumerate(had):
        if index:
            yield one.offer
        if one.offer.market == "spot":
            yield in_market(target, cloud, one, "on_demand")


def _rank(had: Had) -> tuple[bool, float, int, str]:
    offer = had.offer
    return (
        offer.usd_per_hour is None, offer.usd_per_hour or 0.0, offer.count * offer.gpus,
        offer.machine,
    )  # fmt: skip
