"""The verbs, from a command's side: plan and ask here, hand one order over, follow it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmops import __version__, workflow
from llmops.errors import InputError, RefusedError, TargetError, UnreachableError
from llmops.events import Finished, Flow, KeyMade, Planned, Progress
from llmops.opening import ANY_TIME, Gate, admit, closed_to
from llmops.planning import Plan
from llmops.releases import History
from llmops.spec import Deployment
from llmops.workflow import Confirm, Planner
from serving.agent import telling
from serving.agent.following import Follower
from serving.agent.keyring import StoreKeys
from serving.agent.orders import Orders, Ref, Taken, nonce
from serving.agent.presence import Watch
from serving.agent.wire import error_of
from serving.agent.words import Lease, Order, Outcome
from serving.holders import user

if TYPE_CHECKING:
    from serving.agent.target import AgentTarget

TAKING_BACK = 120.0
"""Seconds that an interrupted command waits until its order is taken back."""


def who() -> str:
    """Who asks: user and host."""
    return f"{user()}@{socket.gethostname()}"


def plain(deployment: Deployment) -> dict[str, Any]:
    """A deployment as plain data that is read back to the same."""
    document: dict[str, Any] = deployment.model_dump(mode="json", exclude_defaults=True)
    if "target" in document:  # which is a default of each kind of target, and says which kind it is
        document["target"] = {"kind": deployment.target.kind} | document["target"]
    return document


def await_agent(watch: Watch, seconds: float, sleep: Callable[[float], None]) -> Flow[None]:
    """Wait until an agent works for the store."""
    began = time.monotonic()
    while not (presence := watch.look()).alive:
        waited = time.monotonic() - began
        if waited > seconds:
            gone = watch.gone(presence)
            raise UnreachableError(f"{gone.message}, after {waited:.0f} s", hint=gone.hint)
        yield Progress("agent", "waiting for the agent's first sign of life", waited, seconds)
        sleep(1.0)


class Desk:
    """Where orders are written, and followed."""

    def __init__(
        self,
        target: AgentTarget,
        orders: Orders,
        follower: Follower,
        watch: Watch,
        keys: StoreKeys,
        clock: Callable[[], float],
    ) -> None:
        self._target, self._orders, self._follower = target, orders, follower
        self._watch, self._keys, self._clock = watch, keys, clock

    def deploy(
        self,
        deployment: Deployment,
        confirm: Confirm,
        unattended: bool,
        planner: Planner,
        gate: Gate,
    ) -> Flow[Finished]:
        """Plan with the agent's facts, ask, and have it done."""
        lease = yield from self._watch.found()
        self._same_version(lease)
        wanted = self._order(deployment.name, gate, verb="deploy", spec=plain(deployment))
        if (ref := self._at_work(wanted)) is not None:
            return (yield from self._joined(ref))
        planned = yield from workflow.plan(
            self._target, deployment, planner=planner, clock=self._clock
        )
        admit(closed_to(self._target, deployment, planned, self._clock()), gate)
        if planned.changed and not confirm(planned):
            raise RefusedError("nothing was changed")
        yield from self._declared(planned.plan)
        return (yield from self._placed(self._agreed(wanted, planned, unattended)))

    def _same_version(self, lease: Lease) -> None:
        if lease.version != __version__:
            raise RefusedError(
                f"{telling.who(lease)} is llmops {lease.version}, and this is {__version__}: the"
                " plan that is shown would not be the one that is made",
                hint="install the same version on both sides",
            )

    def _agreed(self, order: Order, planned: Planned, unattended: bool) -> Order:
        """The order with the plan that was agreed to."""
        facts = "" if unattended else planned.plan.facts_digest
        return replace(order, identity=planned.plan.identity, facts=facts)

    def _declared(self, plan: Plan) -> Flow[None]:
        """Make the declared keys that are missing: their text is shown before anything can die."""
        have = {key.name for key in self._keys.of(plan.service) if key.revoked_at is None}
        for name in plan.keys:
            if name not in have:
                yield KeyMade(plan.service, name, self._keys.declare(plan.service, name))

    def rollback(self, service: str, number: int | None, gate: Gate, by: str) -> Flow[Finished]:
        """Name the release to repeat, and have it done; or have the one on watch taken back."""
        yield from self._watch.found()
        history = self._target.store.read(service)[0]
        if number is None and workflow.going(history) is not None:
            return (yield from self._by_hand(history, gate, by, promoted=False))
        order = self._order(service, gate, verb="rollback", release=number)
        pending = self._at_work(order)
        if pending is not None and number is None:
            return (yield from self._joined(pending))
        if number is None:
            order = self._order(service, gate, verb="rollback", release=self._earlier(service))
        return (yield from self._placed(order))

    def _earlier(self, service: str) -> int:
        self._target.history(service)
        earlier = self._target.store.read(service)[0].last_good_before
        if earlier is None:
            raise InputError(
                f"{service} has no earlier good release", hint=f"llmops history {service}"
            )
        return earlier.number

    def promote(self, service: str, by: str) -> Flow[Finished]:
        """Have the release on watch get all traffic."""
        lease = yield from self._watch.found()
        self._same_version(lease)
        history = self._target.store.read(service)[0]
        return (yield from self._by_hand(history, ANY_TIME, by, promoted=True))

    def _by_hand(self, history: History, gate: Gate, by: str, *, promoted: bool) -> Flow[Finished]:
        """Record that the watch has ended: whoever carries out an order reads it. Where there is
        none any more, there is one to do what is left."""
        service, number = history.service, None
        if history.on_watch is not None:
            number = workflow.end_watch(
                self._target, history, by, promoted=promoted, clock=self._clock
            ).number
        pending = next((ref for ref in self._orders.pending() if ref.service == service), None)
        if pending is None or number is None:
            verb = "promote" if promoted else "rollback"
            return (yield from self._placed(self._order(service, gate, verb=verb)))
        outcome = yield from self._follower.follow(pending)  # whose command takes it back, if any
        ended = self._target.store.read(service)[0]
        if outcome.fault is not None and promoted:
            raise error_of(outcome.fault)
        release = ended.find(number) if promoted else ended.live
        finished = Finished(release, True, outcome.url or self._target.url(service))
        yield finished
        return finished

    def destroy(self, service: str, gate: Gate) -> Flow[Finished]:
        """Have everything of the service taken away."""
        yield from self._watch.found()
        return (yield from self._placed(self._order(service, gate, verb="destroy")))

    def _order(self, service: str, gate: Gate, **more: Any) -> Order:
        live = self._target.store.read(service)[0].live
        return Order(
            service=service,
            by=gate.emergency.by if gate.emergency else who(),
            at=self._clock(),
            nonce=nonce(),
            live=live.number if live else None,
            wait=gate.wait,
            emergency=gate.emergency.reason if gate.emergency else "",
            **more,
        )

    def _at_work(self, wanted: Order) -> Ref | None:
        """The order of the service that has not ended, where it wants what `wanted` does.

        Raises:
            Taken: When it wants something else.
        """
        for ref in self._orders.pending():
            order = self._orders.read(ref) if ref.service == wanted.service else None
            if order is None:
                continue
            if (order.verb, order.spec) == (wanted.verb, wanted.spec):
                return ref
            raise Taken(ref, order, telling.told(order))
        return None

    def _joined(self, ref: Ref) -> Flow[Finished]:
        yield Progress("agent", f"{ref.service} has this order already (number {ref.number})")
        return (yield from self._followed(ref))

    def _placed(self, order: Order) -> Flow[Finished]:
        try:
            ref = self._orders.place(order)
        except Taken as taken:
            if not taken.order.same(order):
                raise
            return (yield from self._joined(taken.ref))
        yield Progress("agent", f"order {ref.number} of {ref.service} is handed over")
        return (yield from self._followed(ref))

    def _followed(self, ref: Ref) -> Flow[Finished]:
        """Follow the order; an interrupt takes it back, as on a machine of one's own."""
        try:
            outcome = yield from self._follower.follow(ref)
        except (KeyboardInterrupt, GeneratorExit):
            self._follower.taken_back(ref, who(), self._clock(), TAKING_BACK)
            raise
        return (yield from self._finished(ref, outcome))

    def _finished(self, ref: Ref, outcome: Outcome) -> Flow[Finished]:
        if outcome.fault is not None:
            raise error_of(outcome.fault)
        history = self._target.store.read(ref.service)[0]
        if outcome.interrupted:
            raise TargetError(
                f"order {ref.number} of {ref.service} was taken back, as somebody asked",
                hint=f"llmops history {ref.service}",
                serving=history.live is not None,
            )
        release = history.find(outcome.release) if outcome.release is not None else None
        finished = Finished(release, outcome.changed, outcome.url)
        yield finished
        return finished
