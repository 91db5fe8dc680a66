"""The agent: hears what is wanted, has it done, and says that it lives.

Three things go on side by side, so that none waits for another: the beat of the lease; each
service's order, or what was lost of it; and the answers to questions. The main thread only looks,
and decides what is begun.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llmops.errors import BusyError, LlmopsError
from llmops.events import Flow, Progress
from serving.agent import bell, telling
from serving.agent.blobs import Blobs
from serving.agent.machine.answering import Answering
from serving.agent.machine.carrying import Carrier, Stopped
from serving.agent.machine.holding import Fenced, Holding
from serving.agent.machine.joining import Joining, Machines
from serving.agent.machine.keeping import Keeping
from serving.agent.machine.target import MachineTarget
from serving.agent.orders import Orders, Ref
from serving.agent.pace import PACE, Pace
from serving.agent.words import Outcome, Work
from serving.local import LocalTarget

log = logging.getLogger("llmops.agent")

QUESTIONS = 4
"""Questions that are answered at once; more wait."""

ENDING = 60.0
"""Seconds that an agent which was told to end waits for its flows to come to a safe point."""


class Agent:
    """Works for one store on one machine.

    Args:
        home: The machine's state.
        blobs: The store.
        target: The machine; made of these where it is not said.
        joining: How further machines join its Ray; None where none may.
        pace: How often what is looked at and written.
    """

    def __init__(
        self,
        home: Path,
        blobs: Blobs,
        *,
        target: LocalTarget | None = None,
        joining: Joining | None = None,
        pace: Pace = PACE,
    ) -> None:
        self._pace = pace
        self._holding = Holding(blobs, pace=pace)
        self._blobs = Fenced(blobs, self._holding)
        self._machines = Machines(self._blobs, joining)
        self._target = target or MachineTarget(home, self._blobs, self._machines)
        self._orders = Orders(self._blobs)
        self._carrier = Carrier(
            self._orders, self._target, stopping=self.stopping, told=self._told, pace=pace
        )
        self._answering = Answering(self._blobs, self._target)
        self._keeping = Keeping(self._blobs, self._target)
        self._stop = threading.Event()
        self._taken: LlmopsError | None = None
        self._work: dict[str, Work] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._wanted: set[str] = set()
        """Services with an order that waits: what was lost of them is not waited for any longer."""
        self._questions: set[str] = set()
        self._rung: str | None = None
        self._swept = 0.0

    def stop(self) -> None:
        """End at the next safe point. May be called from a signal's handler."""
        self._stop.set()

    def stopping(self) -> bool:
        """Whether it is to end."""
        return self._stop.is_set()

    def begin(self) -> Flow[None]:
        """Take the lease of the store.

        Raises:
            BusyError: When another agent works for it.
        """
        try:
            yield from self._holding.take()
        except BusyError:
            self._fence()
            raise
        log.info("works for %s", self._blobs.where)

    def run(self, *, once: bool = False) -> None:
        """Work until told to end; or, with `once`, until nothing is left to do.

        Raises:
            BusyError: When another agent has taken the lease.
        """
        beat = threading.Thread(target=self._beat, name="beat", daemon=True)
        beat.start()
        with ThreadPoolExecutor(QUESTIONS, "question") as pool:
            try:
                while not self.stopping():
                    busy = self._looked(pool)
                    if once and not busy:
                        break
                    self._stop.wait(self._pace.look)
            finally:
                self._stop.set()
                self._end(beat)
        if self._taken is not None:
            self._fence()
            raise self._taken

    def _fence(self) -> None:
        """End the Ray that runs here, where another machine is the head by now: one that was cut
        off, and was taken for lost, would serve on beside it with old keys and old releases."""
        if self._machines.network is None:
            return
        try:
            if self._holding.elsewhere():
                log.warning("another machine is the head: what runs here ends")
                for _ in self._target.runtime.halt():
                    pass
        except LlmopsError as error:
            log.warning("%s", error.message)

    def _end(self, beat: threading.Thread) -> None:
        until = time.monotonic() + ENDING
        for thread in (*self._threads.values(), beat):
            thread.join(max(0.0, until - time.monotonic()))
        self._holding.end()

    # The beat

    def _beat(self) -> None:
        while not self._stop.wait(self._pace.beat):
            try:
                self._holding.renew(tuple(self._work.values()))
            except BusyError as error:
                self._taken = error
                self._stop.set()
            except LlmopsError as error:
                log.warning("%s", error.message)

    # What is to be done

    def _looked(self, pool: ThreadPoolExecutor) -> bool:
        """Look once, and begin what is to be done; whether anything is being done."""
        try:
            self._look(pool)
        except LlmopsError as error:
            log.warning("%s", error.message)
        self._threads = {s: t for s, t in self._threads.items() if t.is_alive()}
        return bool(self._threads or self._questions)

    def _look(self, pool: ThreadPoolExecutor) -> None:
        self._machines.tell(self._target.runtime.endpoint())
        now, rung = time.monotonic(), bell.heard(self._blobs)
        sweep = not self._swept or now - self._swept >= self._pace.sweep
        if rung == self._rung and not sweep:
            return
        for identifier in self._answering.open():
            if identifier not in self._questions:
                self._questions.add(identifier)
                pool.submit(self._answer, identifier)
        self._keeping.keys()
        orders = self._orders.pending()
        self._wanted = {ref.service for ref in orders}
        for ref in orders:
            self._begin(ref.service, self._carry_out, ref)
        if sweep:
            self._swept = now
            for service in self._keeping.lost():
                self._begin(service, self._bring_back, Ref(service, 0))
        self._rung = rung  # only now: a look that failed halfway is made again

    def _begin(self, service: str, what: Callable[[Ref], None], ref: Ref) -> None:
        """Begin something with a service, unless something is being done with it."""
        thread = self._threads.get(service)
        if thread is not None and thread.is_alive():
            return
        thread = threading.Thread(target=self._run, args=(what, ref), name=service, daemon=True)
        self._threads[service] = thread
        thread.start()

    def _run(self, what: Callable[[Ref], None], ref: Ref) -> None:
        try:
            what(ref)
        except Stopped:
            log.info("%s: stopped where it was; the next agent goes on", ref.service)
        except LlmopsError as error:
            log.warning("%s: %s", ref.service, error.message)
        finally:
            self._work.pop(ref.service, None)
            self._rung = None  # there may be a next order

    def _carry_out(self, ref: Ref) -> None:
        order = self._orders.read(ref)
        if order is not None:
            log.info("order %s: %s", ref.number, telling.told(order))
            now = time.time()
            self._work[ref.service] = Work(ref.service, ref.number, order.verb, now, now)
        self._keeping.keys()  # those that the order's command has made: it may be a step ahead
        outcome = self._carrier.carry_out(ref)
        if outcome is not None:
            log.info("order %s of %s: %s", ref.number, ref.service, _ended(outcome))
            self._keeping.status(ref.service)

    def _bring_back(self, ref: Ref) -> None:
        log.info("%s does not serve as it should: it is brought back", ref.service)
        for event in self._keeping.settle(ref.service):
            if self.stopping():
                raise Stopped
            if ref.service in self._wanted:  # as where too few hosts are left, and it never comes
                log.info("%s: an order goes before that", ref.service)
                return
            if isinstance(event, Progress):
                self._told(ref, f"{event.phase}: {event.reason}")
        self._keeping.status(ref.service)

    def _told(self, ref: Ref, text: str) -> None:
        now = time.time()
        before = self._work.get(ref.service) or Work(ref.service, ref.number, "keep", now, now)
        self._work[ref.service] = Work(
            ref.service, ref.number, before.verb, before.since, now, text
        )
        log.info("%s: %s", ref.service, text)

    def _answer(self, identifier: str) -> None:
        try:
            self._answering.answer(identifier)
        except LlmopsError as error:
            log.warning("%s", error.message)
        finally:
            self._questions.discard(identifier)


def _ended(outcome: Outcome) -> str:
    """How an order ended, in few words."""
    if outcome.fault is not None:
        return f"failed: {outcome.fault.message}"
    if outcome.interrupted:
        return "taken back"
    if outcome.release is None:
        return "gone"
    return f"release {outcome.release} serves" + ("" if outcome.changed else ": nothing changed")
