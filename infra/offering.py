"""Machines that are not to be had: the plan's next offer in their place, asked for again if dearer.

Nobody pays more than what was agreed to without being asked: where nobody is there to ask, a dearer
offer is refused. What was made before stays recorded, and the next run goes on from it.
"""

from __future__ import annotations

from collections.abc import Callable

from infra.automation import Outputs, StackEngine, StackFailed, bring_up
from infra.progress import told
from llmops.errors import RefusedError
from llmops.events import Flow, Planned, Progress, Warned
from llmops.planning import MachinePlan, Plan, with_offer

Confirm = Callable[[Planned], bool]
PHASE = "stack"


def up_with_offers(
    engine_of: Callable[[Plan], StackEngine],
    planned: Planned,
    confirm: Confirm,
    *,
    unattended: bool,
    limit: float | None = None,
    refresh: bool = False,
) -> Flow[tuple[Plan, Outputs]]:
    """Make the stack, on the machines of the plan or on the next ones that are to be had.

    Args:
        engine_of: The engine that makes a plan's stack.
        planned: What was agreed to, price included.
        confirm: Asked where an offer costs more than that.
        unattended: Nobody is there to ask.
        limit: US dollars an hour that spec and policies allow; None where they bound nothing.
        refresh: Whether the cloud is asked first what there is.

    Returns:
        The plan that was made, and what the stack says of itself.

    Raises:
        StackFailed: When something else failed, or no offer is left.
        RefusedError: When the next offer is dearer and nobody agreed to it.
    """
    plan, agreed = planned.plan, price_of(planned.plan)
    while True:
        try:
            message = f"{plan.service}: plan {plan.identity[:12]}"
            yield Progress(PHASE, f"making {words(plan)}")
            outputs = yield from told(bring_up(engine_of(plan), message, refresh=refresh), PHASE)
        except StackFailed as error:
            following = _next(plan, limit)
            if not error.another_offer_may_do or following is None:
                raise
            yield Warned(f"{words(plan)} cannot be had: {error.failures[0].text}")
            plan = following
            agreed = yield from _dearer(plan, planned, agreed, confirm, unattended=unattended)
            continue
        return plan, outputs


def _dearer(
    plan: Plan, planned: Planned, agreed: float | None, confirm: Confirm, *, unattended: bool
) -> Flow[float | None]:
    """What is agreed to from now on, after asking where the offer costs more."""
    price = price_of(plan)
    if price is not None and agreed is not None and price <= agreed:
        return agreed
    before = "unknown" if agreed is None else f"{agreed:,.2f} USD an hour"
    if unattended:
        raise RefusedError(
            f"the next machines to be had are {words(plan)}, and what was agreed to is {before}",
            hint="deploy again without --yes and agree to it, or allow other machines in target:",
        )
    yield Warned(f"next: {words(plan)}; what was agreed to is {before}")
    again = Planned(plan, planned.live, changed=True)
    if not confirm(again):
        raise RefusedError(
            "nothing more was changed",
            hint=f"what was made so far stays: llmops destroy {plan.service} removes it",
        )
    return price


def _next(plan: Plan, limit: float | None) -> Plan | None:
    """The plan on the next offer that may be taken; None where there is none. With a limit, an
    offer whose price nobody knows is not one."""
    for number, offer in enumerate(_machines(plan).offers):
        price = offer.usd_per_hour
        if limit is None or (price is not None and price <= limit):
            return with_offer(plan, number)
    return None


def words(plan: Plan) -> str:
    """The machines of a plan and their price, for a person."""
    machines = _machines(plan)
    price = price_of(plan)
    cost = "at a price nobody knows" if price is None else f"for {price:,.2f} USD an hour"
    market = machines.market.replace("_", " ")
    return f"{machines.count.value} x {machines.machine.value} ({market}) {cost}"


def price_of(plan: Plan) -> float | None:
    """US dollars an hour of all machines of a plan; None where not known."""
    value = _machines(plan).usd_per_hour.value
    return None if isinstance(value, str) else float(value)


def _machines(plan: Plan) -> MachinePlan:
    if plan.machines is None:
        raise TypeError("a plan for this target has machines")
    return plan.machines


__all__ = ["PHASE", "price_of", "up_with_offers", "words"]
