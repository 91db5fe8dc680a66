"""What a review is told beside a deployment and its plan: looked up where a policy asks for it.

Nothing here decides. What only one policy in a hundred bounds is not looked up for all: to see it
may take a right, or a time, that is needed for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llmops.catalog import Catalogue, load_catalogue
from llmops.opening import recorded
from llmops.planning import Facts, Plan
from llmops.policies import Effective, Known, Neighbour, Policy, neighbours_of
from llmops.spec import Deployment, KubernetesTarget
from llmops.targets import KeyInfo, Observer


def known_of(
    observer: Observer,
    deployment: Deployment,
    rules: Effective,
    facts: Facts,
    now: float,
    held: Sequence[Policy],
) -> Known:
    """What is known of a deployment that is planned.

    Args:
        observer: The target.
        deployment: As policies have set it.
        rules: What the policies about it come to.
        facts: What it was planned with.
        now: Unix seconds.
        held: All policies that hold, whatever they are about.
    """
    return Known.of(
        facts,
        observer.versions(),
        _prices(rules),
        _keys_in_use(observer, deployment.name, rules, now),
        neighbours(observer, deployment, held, now),
    )


def known_of_record(
    observer: Observer,
    deployment: Deployment,
    rules: Effective,
    plan: Plan,
    now: float,
    held: Sequence[Policy],
    beside: Sequence[Plan] = (),
) -> Known:
    """What is known of a plan that was recorded, without a look at the model or the machine.

    Args:
        observer: The target.
        deployment: What was asked for.
        rules: What the policies about it come to.
        plan: The plan.
        now: Unix seconds.
        held: All policies that hold, or will.
        beside: Plans of other services that will be there, beside those that are.
    """
    return Known.of_record(
        plan,
        observer.versions(),
        _prices(rules),
        _keys_in_use(observer, deployment.name, rules, now),
        neighbours(observer, deployment, held, now, beside),
    )


def neighbours(
    observer: Observer,
    deployment: Deployment,
    held: Sequence[Policy],
    now: float,
    beside: Sequence[Plan] = (),
) -> tuple[Neighbour, ...]:
    """The other services of the runtime, where a policy wants any service apart. On a cluster each
    has a runtime of its own."""
    apart = any(policy.security.tenants == "apart" for policy in held)
    if not apart or isinstance(deployment.target, KubernetesTarget):
        return ()
    plans = {plan.service: plan for plan in (*beside, *_recorded(observer))}
    plans.pop(deployment.name, None)
    return neighbours_of(held, [recorded(plan) for plan in plans.values()], now)


def _recorded(observer: Observer) -> Iterator[Plan]:
    """The plan of each service that serves by its record, or is about to."""
    for name in observer.store.services():
        history = observer.store.read(name)[0]
        release = history.live or history.staging
        if release is not None:
            yield release.plan


def _keys_in_use(
    observer: Observer, service: str, rules: Effective, now: float
) -> tuple[KeyInfo, ...]:
    """The keys that open something, where a policy bounds how old they may be: to see them may
    need a right that a plan needs for nothing else."""
    if rules.value("security.key_age") is None:
        return ()
    return tuple(key for key in observer.keys(service) if key.state(now) == "valid")


def _prices(rules: Effective) -> Catalogue | None:
    """The catalogue, where a policy bounds what a service may cost."""
    return load_catalogue() if rules.value("budget.usd_per_hour") is not None else None


__all__ = ["known_of", "known_of_record", "neighbours"]
