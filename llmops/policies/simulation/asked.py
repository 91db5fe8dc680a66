"""From a spec, bounded by policies, to what is simulated: settings, a replica, rules, a price.

The settings are those that a deploy of the spec would hand to the live decision; a test holds the
two together.
"""

from __future__ import annotations

from dataclasses import replace

from llmops.catalog import Catalogue, offers_of
from llmops.policies.scaling import ScalingSettings, Scheduled
from llmops.policies.simulation.profile import Profile
from llmops.policies.simulation.simulator import Rules
from llmops.policies.simulation.study import rules_of
from llmops.policies.simulation.trace import Trace
from llmops.spec import Deployment

USUAL_TTFT = 2.0
"""Seconds that a request may wait for its first token, where neither spec nor policy says it."""


def settings_for(deployment: Deployment, startup: float) -> ScalingSettings:
    """What the decision is told for a service.

    Args:
        deployment: The spec, as policies leave it.
        startup: Seconds that a replica takes to start.
    """
    scaling = deployment.scaling
    objective = scaling.objective
    return ScalingSettings(
        low=scaling.replicas.low,
        high=scaling.replicas.high,
        target_in_flight=scaling.target_in_flight,
        target_tokens_per_second=scaling.target_tokens_per_second,
        queue=objective.queue,
        ttft=objective.ttft.seconds if objective.ttft is not None else None,
        tpot=objective.tpot.seconds if objective.tpot is not None else None,
        percent=objective.percent,
        warm=scaling.warm,
        schedule=tuple(
            Scheduled(entry.window, entry.replicas.low, entry.replicas.high)
            for entry in scaling.schedule
        ),
        idle_seconds=scaling.idle.seconds,
        settle_seconds=scaling.settle.seconds,
        startup_seconds=startup,
    )


def rules_for(
    deployment: Deployment, settings: ScalingSettings, trace: Trace, profile: Profile
) -> Rules:
    """How the service is run beside its scaling; without any objective, with `USUAL_TTFT`."""
    rules = rules_of(settings, trace, profile)
    hold = deployment.scaling.hold
    if rules.ttft is None and rules.tpot is None:
        rules = replace(rules, ttft=USUAL_TTFT)
    return replace(rules, most_held=hold.requests, hold_seconds=hold.wait.seconds)


def replica_of(deployment: Deployment, profile: Profile) -> Profile:
    """A profile with what the spec says of a replica: what it takes, and its GPUs."""
    return replace(
        profile,
        takes=deployment.scaling.max_in_flight,
        devices=max(profile.devices, devices_of(deployment)),
    )


def devices_of(deployment: Deployment) -> int:
    """GPUs of one replica as the spec says it; 1 where it leaves that to the planner."""
    hardware, parallelism = deployment.hardware, deployment.parallelism
    asked = hardware.count if hardware != "auto" else None
    if asked is not None:
        return asked
    return parallelism.tensor * parallelism.pipeline if parallelism != "auto" else 1


def price_of(deployment: Deployment, catalogue: Catalogue, devices: int) -> float | None:
    """The least that anybody asks for a replica's GPUs, US dollars an hour; None without a GPU
    that the spec names and the catalogue has a price of."""
    hardware = deployment.hardware
    if hardware == "auto" or hardware.gpu is None:
        return None
    prices = [
        price.on_demand / offer.count
        for offer in offers_of(catalogue, gpu=hardware.gpu)
        for price in offer.prices
        if price.on_demand is not None
    ]
    return min(prices) * devices if prices else None
