"""The tags of everything that is made: whose it is, and of which plan. Pure.

What carries our tags and belongs to no stack is found by them, and so is what a service costs.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from infra.naming import PROJECT, cloud_target, stack_name
from llmops.planning import MachinePlan, Plan, digest
from llmops.spec import Deployment

PROJECT_TAG = "llmops:project"
STACK_TAG = "llmops:stack"
SERVICE_TAG = "llmops:service"
OWNER_TAG = "llmops:owner"
SPEC_TAG = "llmops:spec"
PLAN_TAG = "llmops:plan"
NAME_TAG = "Name"

STAYING = frozenset({PROJECT_TAG, STACK_TAG, SERVICE_TAG, NAME_TAG})
"""Those that say the same for as long as there is the stack. A launch template gives these alone:
with others it would be another version at each deploy, and every machine would be behind."""

DIGITS = 12
"""Hexadecimal digits of a digest in a tag."""


def tags_of(deployment: Deployment, plan: Plan) -> dict[str, str]:
    """The tags of everything that a plan makes, but for its name."""
    target = cloud_target(deployment)
    return {
        PROJECT_TAG: PROJECT,
        STACK_TAG: stack_name(deployment),
        SERVICE_TAG: deployment.name,
        OWNER_TAG: target.owner or "unnamed",
        SPEC_TAG: plan.identity[:DIGITS],
        PLAN_TAG: machines_digest(plan)[:DIGITS],
    }


def machines_digest(plan: Plan) -> str:
    """Digest of the machines that a plan makes: without prices, reasons and next offers."""
    machines = plan.machines
    return digest(None if machines is None else asdict(_bare(machines)))


def _bare(machines: MachinePlan) -> MachinePlan:
    kept = {
        name: replace(getattr(machines, name), reason="")
        for name in ("machine", "count", "head", "image", "disk")
    }
    unpriced = replace(machines.usd_per_hour, value="", reason="")
    return replace(machines, **kept, usd_per_hour=unpriced, usd_per_month=unpriced, offers=())
