"""An order carried out: the flow run with it, its events written down, its end recorded.

Whatever kills this in between, it is done again from the start, and the flow does what is left.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from functools import partial

from llmops import workflow
from llmops.errors import LlmopsError, RefusedError
from llmops.events import Event, Finished, Flow, Planned
from llmops.opening import Gate
from llmops.planning import make_plan
from llmops.reconciling import desired_of, reconcile, update
from llmops.releases import Desired, Emergency, records
from llmops.spec import Deployment
from llmops.targets import Operator
from llmops.workflow import Planner
from serving.agent.blobs import StoreUnreachable
from serving.agent.machine.pen import Pen
from serving.agent.orders import Orders, Ref
from serving.agent.pace import PACE, Pace
from serving.agent.wire import fault_of
from serving.agent.words import Fault, Order, Outcome

log = logging.getLogger("llmops.agent")


class Stopped(BaseException):
    """The agent is to end: the flow stops where it is, and takes nothing back."""


class Carrier:
    """Carries out orders.

    Args:
        orders: Those of the store.
        operator: The machine.
        stopping: Whether the agent is to end.
        told: Is told what an order says of itself.
        planner: What makes a plan of facts.
        clock: Unix seconds.
        elapsed: Seconds on a clock that nobody sets.
        sleep: How to pass seconds.
        pace: How often what is looked at and written.
    """

    def __init__(
        self,
        orders: Orders,
        operator: Operator,
        *,
        stopping: Callable[[], bool] = lambda: False,
        told: Callable[[Ref, str], None] = lambda _ref, _text: None,
        planner: Planner = make_plan,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace = PACE,
    ) -> None:
        self._orders, self._operator = orders, operator
        self._stopping, self._told, self._planner = stopping, told, planner
        self._clock, self._elapsed, self._sleep, self._pace = clock, elapsed, sleep, pace

    def carry_out(self, ref: Ref) -> Outcome | None:
        """Carry out an order to its end; None where it has ended already.

        Raises:
            Stopped: When the agent is to end; the order stays.
            StoreUnreachable: When the store cannot be asked; the order stays.
        """
        if self._orders.outcome(ref) is not None:
            return None
        outcome = self._outcome(ref)
        self._orders.finish(ref, outcome)
        return outcome

    def _outcome(self, ref: Ref) -> Outcome:
        try:
            order = self._orders.read(ref)
            if order is None:
                raise RefusedError(f"order {ref.number} of {ref.service} is not there any more")
            return self._done(ref, order)
        except LlmopsError as error:
            if (lost := _of_store(error)) is not None:
                raise lost from error
            return Outcome(self._clock(), fault=fault_of(error))
        except Exception as error:
            # Whatever it was, who waits for the order must be told; the log has all of it.
            log.exception("order %s of %s", ref.number, ref.service)
            message = f"unexpected {type(error).__name__} on the agent's machine"
            fault = Fault("LlmopsError", message, "journalctl -u llmops-agent there has it all")
            return Outcome(self._clock(), fault=fault)

    def _done(self, ref: Ref, order: Order) -> Outcome:
        pen = Pen(self._orders, ref, self._elapsed, self._pace)
        finished = None
        if not self._orders.cancelled(ref):
            finished = self._drive(self._flow(ref, order), ref, pen, cancellable=True)
        if finished is None:
            finished = self._drive(self._taken_back(order), ref, pen, cancellable=False)
        if finished is None:
            return Outcome(self._clock(), interrupted=True)
        number = finished.release.number if finished.release else None
        changed = finished.changed or number != order.live
        return Outcome(self._clock(), number, changed=changed, url=finished.url)

    def _drive(
        self, flow: Flow[Finished | None], ref: Ref, pen: Pen, *, cancellable: bool
    ) -> Finished | None:
        """Run a flow to its end, and what it returns; None when it was interrupted."""
        looked = self._elapsed()
        try:
            while True:
                event: Event = next(flow)
                if text := pen.write(event):
                    self._told(ref, text)
                if self._stopping():
                    raise Stopped
                if cancellable and self._elapsed() - looked >= self._pace.look:
                    looked = self._elapsed()
                    if self._is_cancelled(ref):
                        flow.close()  # the flow takes back what was half done
                        return None
        except StopIteration as end:
            result: Finished | None = end.value
            return result
        finally:
            _leave(flow)
            pen.flush()

    def _is_cancelled(self, ref: Ref) -> bool:
        """Whether a command wants it taken back, as far as the store can be asked."""
        try:
            return self._orders.cancelled(ref)
        except StoreUnreachable:
            return False

    def _flow(self, ref: Ref, order: Order) -> Flow[Finished | None]:
        emergency = Emergency(order.emergency, order.by) if order.emergency else None
        gate = Gate(wait=order.wait, emergency=emergency)
        operator, clock, sleep = self._operator, self._clock, self._sleep
        if order.verb == "destroy":
            return workflow.destroy(operator, ref.service, gate=gate, clock=clock, sleep=sleep)
        if order.verb == "rollback":
            return workflow.rollback(
                operator, ref.service, order.release,
                by=order.by, gate=gate, clock=clock, sleep=sleep,
            )  # fmt: skip
        if order.verb == "promote":
            return workflow.promote(operator, ref.service, by=order.by, clock=clock, sleep=sleep)
        accepted = self._orders.accepted(ref)
        return workflow.deploy(
            operator,
            Deployment.model_validate(order.spec),
            confirm=partial(self._agreed, ref, order, accepted),
            unattended=accepted or not order.facts,
            planner=self._planner,
            gate=gate,
            clock=clock,
            sleep=sleep,
        )

    def _agreed(self, ref: Ref, order: Order, accepted: bool, planned: Planned) -> bool:
        """Whether the plan is the one that was agreed to.

        Once it was, the work on it changes the facts that it was made of: they are not compared
        again.

        Raises:
            RefusedError: When it is another.
        """
        plan = planned.plan
        if order.facts and plan.identity != order.identity:
            raise _outdated()
        if order.facts and not accepted and plan.facts_digest != order.facts:
            raise _outdated()
        self._orders.accept(ref, self._clock())
        return True

    def _taken_back(self, order: Order) -> Flow[Finished | None]:
        """Take back what an order has begun; what it has come to serve by is finished instead.

        Returns:
            How it ended where it was too late to take it back; None where it was not.
        """
        service, clock, operator = order.service, self._clock, self._operator
        if order.verb == "destroy":
            return None
        with operator.lock(service, "taken back"):
            staging = operator.store.read(service)[0].staging
            if staging is not None:
                number = staging.number
                update(operator, service, lambda h: records.fail(h, number, "interrupted", clock()))
            live = operator.store.read(service)[0].live
            desired = desired_of(live.plan, live.number) if live else Desired(None)
            yield from reconcile(operator, service, desired, clock, self._sleep)
            if live is None:
                yield from operator.retire(service, keep_logs=True)
            if live is None or live.number == order.live:
                return None
            return Finished(live, changed=True, url=operator.url(service))


def _leave(flow: Flow[Finished | None]) -> None:
    """End a flow that has not ended, without letting it take anything back: closing it would."""
    with contextlib.suppress(Stopped, StopIteration):
        flow.throw(Stopped())


def _outdated() -> RefusedError:
    return RefusedError(
        "what the plan was made of has changed since it was shown",
        hint="deploy again: it is planned anew",
    )


def _of_store(error: BaseException | None) -> StoreUnreachable | None:
    """The store's error behind an error, if there is one: nobody's release is to blame for it."""
    while error is not None:
        if isinstance(error, StoreUnreachable):
            return error
        error = error.__cause__
    return None


__all__ = ["Carrier", "Stopped"]
