"""How a release's number of replicas follows its load, and how requests are dealt to them, as Ray
Serve and the gateway are told. Pure.

Serve is told to ask our own function (`serving.runtime.autoscaling`) and to add nothing of its own:
no factors, and no delays, since a decision that waits twice is nobody's decision.
"""

from __future__ import annotations

from typing import Any

from llmops.planning import Plan, PlannedScaling
from llmops.policies.scaling import ScalingSettings, Scheduled
from llmops.windows import Window

POLICY = "serving.runtime.autoscaling:Autoscaler"
"""What Serve's controller imports and asks."""

ROUTER = "serving.runtime.sessions:SessionRouter"
"""What Serve's handles choose a replica by, where sessions keep theirs."""

REPORT_SECONDS = 1.0
"""How often Serve's handles and replicas tell their figures."""
LOOK_BACK_SECONDS = 3.0
"""Serve's figures are means over this time. With its own 30 s a service that has just gone to sleep
would be woken by what was asked before."""


def settings_of(plan: Plan) -> ScalingSettings:
    """What the decision is told for a release of this plan."""
    scaling = plan.scaling or PlannedScaling()
    return ScalingSettings(
        low=plan.layout.replicas_low,
        high=plan.layout.replicas_high,
        target_in_flight=plan.target_in_flight,
        target_tokens_per_second=scaling.target_tokens_per_second,
        queue=scaling.queue,
        ttft=scaling.ttft,
        tpot=scaling.tpot,
        percent=scaling.percent,
        warm=scaling.warm,
        schedule=tuple(
            Scheduled(Window.parse(entry.window), entry.replicas_low, entry.replicas_high)
            for entry in scaling.schedule
        ),
        idle_seconds=scaling.idle_seconds,
        settle_seconds=scaling.settle_seconds,
        capacity=plan.limits.in_flight,
    )


def autoscaled(plan: Plan) -> bool:
    """Whether the number of replicas follows the load."""
    return plan.layout.replicas_low != plan.layout.replicas_high


def autoscaling_config(plan: Plan) -> dict[str, Any]:
    """Serve's `autoscaling_config` of a release whose number of replicas follows the load."""
    settings = settings_of(plan)
    least = _least(settings)
    return {
        "min_replicas": least,
        # One at least, though none may be left later: a release is proved by an answer of its own.
        # Not said where Serve begins with as many by itself: it would also go back to this number,
        # under whatever load, when something else of the release is told anew.
        **({} if least else {"initial_replicas": max(1, settings.low)}),
        "max_replicas": settings.high,
        "target_ongoing_requests": plan.target_in_flight,
        "metrics_interval_s": REPORT_SECONDS,
        "look_back_period_s": LOOK_BACK_SECONDS,
        "upscale_delay_s": 0.0,
        "downscale_delay_s": 0.0,
        "policy": {
            "policy_function": POLICY,
            "policy_kwargs": {"settings": settings.document()},
        },
    }


def gateway_table(plan: Plan) -> dict[str, Any] | None:
    """The routing table's `scaling` of a service; None where the number of replicas is fixed."""
    if not autoscaled(plan):
        return None
    scaling = plan.scaling or PlannedScaling()
    table: dict[str, Any] = {}
    if scaling.ttft is not None:
        table["ttft"] = scaling.ttft
    if scaling.tpot is not None:
        table["tpot"] = scaling.tpot
    if (spending := plan.upkeep.spending) is not None:
        # By the table and not in the release's own config: what changes there has Serve's
        # controller forget what the decision knows.
        paid = spending.replicas(plan.layout.tensor * plan.layout.pipeline)
        table["ceiling"] = {"replicas": paid, "by": spending.by}
    if not _least(settings_of(plan)):
        table["hold"] = {"requests": scaling.hold_requests, "seconds": scaling.hold_seconds}
    return table


def router_config(plan: Plan) -> dict[str, Any]:
    """Serve's `request_router_config` of a release whose sessions keep their replica, by its name;
    empty where each request is for itself, and Serve's own router spreads them."""
    if plan.affinity == "request":
        return {}
    most = plan.limits.in_flight
    told = {"request_router_kwargs": {"at_once": most}} if most else {}
    return {"request_router_config": {"request_router_class": ROUTER, **told}}


def _least(settings: ScalingSettings) -> int:
    return min([settings.low, *(entry.low for entry in settings.schedule)])
