"""The plan with its next offer in place of machines that were not to be had. Pure.

It is the same release: what is asked for has not changed, and so neither has its identity.
"""

from __future__ import annotations

from dataclasses import replace

from llmops.planning.figure import Figure
from llmops.planning.machines.place import hour, month
from llmops.planning.model import Plan


def with_offer(plan: Plan, number: int) -> Plan:
    """The plan on one of its next offers.

    Args:
        plan: A plan with machines.
        number: Which of `plan.machines.offers`, from 0 on. Those after it stay as the next ones.

    Raises:
        IndexError: When it has no such offer.
    """
    machines = plan.machines
    if machines is None:
        raise IndexError("the plan makes no machines")
    offer = machines.offers[number]
    before = machines.machine.value
    taken = replace(
        machines,
        machine=Figure(offer.machine, f"{offer.gpus} x {offer.accelerator}: {before} is not there"),
        count=Figure(offer.count, offer.holds),
        market=offer.market,
        accelerator=offer.accelerator,
        gpus=offer.gpus,
        fabric=offer.fabric,
        rails=offer.rails,
        zones=offer.zones,
        usd_per_hour=hour(offer),
        usd_per_month=month(offer),
        offers=machines.offers[number + 1 :],
    )
    return replace(plan, machines=taken)
