"""The review: everything that the policies, and this version itself, have to say about a plan.

Pure, in milliseconds. A finding blocks, warns or informs; what is not known is said and never taken
for allowed. Nothing is changed here: see `govern` for what policies set by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from llmops.planning import Plan
from llmops.policies.findings import Finding, ordered
from llmops.policies.layers import Effective
from llmops.policies.review.budget import check_budget
from llmops.policies.review.endpoint import check_endpoint
from llmops.policies.review.engine import check_engine
from llmops.policies.review.fields import check_fields
from llmops.policies.review.images import check_images
from llmops.policies.review.keys import check_keys
from llmops.policies.review.maintenance import check_maintenance
from llmops.policies.review.model import check_model
from llmops.policies.review.scaling import check_scaling
from llmops.policies.review.secrets import check_secrets
from llmops.policies.review.subject import Known, Subject, plain_plan
from llmops.policies.review.tenants import check_tenants
from llmops.policies.rules import check_rules
from llmops.policies.waivers import apply_waivers
from llmops.spec import Deployment

AREAS: tuple[Callable[[Effective, Subject], Iterator[Finding]], ...] = (
    check_model,
    check_images,
    check_engine,
    check_endpoint,
    check_tenants,
    check_fields,
    check_scaling,
    check_maintenance,
    check_budget,
    check_keys,
)


def review(
    effective: Effective,
    deployment: Deployment,
    plan: Plan | None,
    *,
    now: float,
    known: Known | None = None,
) -> tuple[Finding, ...]:
    """Review a deployment and its plan.

    Args:
        effective: The policies that apply to it.
        deployment: As policies have set it (`govern`).
        plan: What would run; without one, what only a plan tells is not checked, and said so.
        now: Unix seconds: windows, freezes, waivers and the table of holes depend on it.
        known: What was looked up; what is missing in it is unknown.

    Returns:
        The findings, those that block first, those that a waiver sets aside last.
    """
    return review_of(effective, Subject(deployment, plain_plan(plan), known or Known(), now))


def review_of(effective: Effective, subject: Subject) -> tuple[Finding, ...]:
    """The same for a subject that is put together already, whose plan may be a part of one."""
    found = chain(
        chain.from_iterable(area(effective, subject) for area in AREAS),
        chain.from_iterable(
            check_rules(policy, subject.document, subject.plan) for policy in effective.policies
        ),
        check_secrets(subject),
    )
    settled = apply_waivers(
        effective.policies, found, service=subject.deployment.name, now=subject.now
    )
    return ordered(settled)
