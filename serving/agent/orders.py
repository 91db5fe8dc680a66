"""Orders: what is wanted of each service, in order, and how each ended.

The number of an order is given out by creating its object, so two commands never have the same; and
only when the one before has its outcome, so an order is the lock of its service.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmops.errors import BusyError
from serving.agent import bell, names
from serving.agent.blobs import Blobs
from serving.agent.documents import Kind
from serving.agent.telling import told
from serving.agent.words import Order, Outcome

TRIES = 20
KEPT = 20
"""Orders of a service that stay after they have ended, the newest; of older ones nothing does."""

ORDER = Kind(Order, "an order")
OUTCOME = Kind(Outcome, "the outcome of an order")
MARK = Kind(dict[str, Any], "a mark on an order")
EVENTS = Kind(list[dict[str, Any]], "a piece of an order's events")


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """An order by its service and number."""

    service: str
    number: int

    def name(self, kind: str) -> str:
        """Its object of a kind: `orders`, `accepted`, `cancels`, `outcomes`."""
        return names.of_order(kind, self.service, self.number)


class Taken(BusyError):
    """The service has an order that has not ended."""

    def __init__(self, ref: Ref, order: Order, message: str) -> None:
        super().__init__(message, hint="wait until it has ended: the agent goes on with it")
        self.ref, self.order = ref, order


class Orders:
    """The orders of a store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def place(self, order: Order) -> Ref:
        """Want something; returns once it is recorded.

        Raises:
            Taken: When the service has an order that has not ended.
        """
        for _ in range(TRIES):
            last = max(self._all("orders", order.service), default=Ref(order.service, 0))
            if last.number and self.outcome(last) is None:
                self._refuse(last)
            ref = Ref(order.service, last.number + 1)
            if ORDER.create(self._blobs, ref.name("orders"), order):
                bell.ring(self._blobs)
                return ref
        raise BusyError(f"{order.service} gets one order after another", hint="try again")

    def _refuse(self, ref: Ref) -> None:
        order = self.read(ref)
        if order is not None:
            raise Taken(ref, order, told(order))

    def read(self, ref: Ref) -> Order | None:
        """The order; None when it is not kept any more."""
        return ORDER.read(self._blobs, ref.name("orders"))[0]

    def outcome(self, ref: Ref) -> Outcome | None:
        """How it ended; None while it has not."""
        return OUTCOME.read(self._blobs, ref.name("outcomes"))[0]

    def pending(self) -> tuple[Ref, ...]:
        """Every order without an outcome, the oldest of each service first."""
        ended = set(self._all("outcomes"))
        return tuple(ref for ref in self._all("orders") if ref not in ended)

    def _all(self, kind: str, service: str = "") -> list[Ref]:
        listed = self._blobs.names(f"{kind}/{service}/" if service else f"{kind}/")
        return sorted(Ref(names.service_of(name), names.number_of(name)) for name in listed)

    # What the agent says of an order

    def accept(self, ref: Ref, at: float) -> None:
        """Note that its plan holds: from now on its facts change by the work on it. Idempotent."""
        MARK.create(self._blobs, ref.name("accepted"), {"at": at})

    def accepted(self, ref: Ref) -> bool:
        return self._blobs.get(ref.name("accepted")) is not None

    def finish(self, ref: Ref, outcome: Outcome) -> None:
        """Record how it ended. An outcome that is there stays."""
        OUTCOME.create(self._blobs, ref.name("outcomes"), outcome)
        self._forget(ref)

    def _forget(self, ended: Ref) -> None:
        """Remove what is left of old orders of the service; a crash leaves that to the next."""
        for ref in self._all("orders", ended.service)[:-KEPT]:
            for name in tuple(self._blobs.names(names.events(ref.service, ref.number))):
                self._blobs.remove(name)
            # The outcome goes last: an order without one would be done again.
            for kind in ("accepted", "cancels", "orders", "outcomes"):
                self._blobs.remove(ref.name(kind))

    def tell(self, ref: Ref, piece: int, events: list[dict[str, Any]]) -> None:
        """Write a piece of its events."""
        EVENTS.create(self._blobs, names.event(ref.service, ref.number, piece), events)

    def pieces(self, ref: Ref) -> int:
        """How many pieces there are."""
        listed = self._blobs.names(names.events(ref.service, ref.number))
        return max((names.number_of(name) for name in listed), default=0)

    # What a command asks of one

    def cancel(self, ref: Ref, by: str, at: float) -> None:
        """Want it taken back. Idempotent."""
        MARK.create(self._blobs, ref.name("cancels"), {"by": by, "at": at})
        bell.ring(self._blobs)

    def cancelled(self, ref: Ref) -> bool:
        return self._blobs.get(ref.name("cancels")) is not None

    def events(self, ref: Ref, after: int) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """Pieces of its events behind a number, each with its own."""
        since = names.event(ref.service, ref.number, after) if after else ""
        for name in tuple(self._blobs.names(names.events(ref.service, ref.number), since)):
            found, _ = EVENTS.read(self._blobs, name)
            yield names.number_of(name), found or []


def nonce() -> str:
    """A text that no other order has."""
    return secrets.token_hex(16)


__all__ = ["Orders", "Ref", "Taken", "nonce"]
