"""What carries our tags and belongs to no stack, and what it costs. Pure.

A thing belongs to a stack when the stack's record holds it, or it is attached to, or was started
by, something that does. A stack that another backend keeps looks from here like one that is gone:
so each thing is told with the reason for which it was listed, and whoever removes it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from infra.account.model import Priced, Thing
from infra.tags import SERVICE_TAG, SPEC_TAG, STACK_TAG

HOURS = 730
"""Hours of a month, as AWS counts them."""

Price = Callable[[str, str], float | None]
"""US dollars an hour of a type of machine in a market."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that no stack holds."""

    priced: Priced
    stack: str
    why: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What the running machines of one release cost."""

    stack: str
    service: str
    release: str
    """The beginning of its plan's identity."""
    machines: Mapping[str, int]
    """How many run, by type."""
    usd_per_hour: float
    unpriced: tuple[str, ...]
    """Types whose price the catalogue does not have: they are not in the sum."""

    @property
    def usd_per_month(self) -> float:
        """If they run for a whole month."""
        return self.usd_per_hour * HOURS


def leftovers(
    things: Iterable[Thing], held: Mapping[str, frozenset[str]], backend: str, price: Price
) -> tuple[Leftover, ...]:
    """What no stack holds.

    Args:
        things: Everything that carries our tags.
        held: By stack that the backend knows, the ids of what it holds.
        backend: Where stacks were looked for, for people.
        price: Of a machine.
    """
    known = owned(things := tuple(things), frozenset().union(*held.values()))
    found = []
    for thing in things:
        if thing.arn in known:
            continue
        stack = thing.tags.get(STACK_TAG, "")
        why = (
            f"stack {stack} does not hold it" if stack in held else f"no stack {stack} in {backend}"
        )
        found.append(Leftover(priced(thing, price), stack, why))
    return tuple(found)


def owned(things: Iterable[Thing], ids: frozenset[str]) -> frozenset[str]:
    """ARNs of the things that are held, or hang on something that is."""
    things = tuple(things)
    known = {thing.arn for thing in things if _held(thing, ids)}
    reached = set(ids) | {thing.id for thing in things if thing.arn in known}
    grew = True
    while grew:
        new = [t for t in things if t.arn not in known and t.owner and t.owner in reached]
        known |= {thing.arn for thing in new}
        reached |= {thing.id for thing in new}
        grew = bool(new)
    return frozenset(known)


def _held(thing: Thing, ids: frozenset[str]) -> bool:
    return thing.arn in ids or thing.id in ids or thing.id.rsplit("/", 1)[-1] in ids


def priced(thing: Thing, price: Price) -> Priced:
    """What it costs; only machines have a price in the catalogue."""
    return Priced(thing, price(thing.machine, thing.market) if thing.machine else None)


def costs(machines: Iterable[Thing], price: Price) -> tuple[Cost, ...]:
    """What the running machines of each release cost, the dearest first."""
    groups: dict[tuple[str, str, str], list[Thing]] = {}
    for one in machines:
        if one.machine:
            tags = one.tags
            key = tags.get(STACK_TAG, ""), tags.get(SERVICE_TAG, ""), tags.get(SPEC_TAG, "")
            groups.setdefault(key, []).append(one)
    found = [_cost(key, group, price) for key, group in groups.items()]
    return tuple(sorted(found, key=lambda cost: (-cost.usd_per_hour, cost.stack)))


def _cost(key: tuple[str, str, str], group: list[Thing], price: Price) -> Cost:
    prices = [(one.machine, price(one.machine, one.market)) for one in group]
    counted = {name: sum(name == other for other, _ in prices) for name, _ in prices}
    unpriced = tuple(sorted({name for name, usd in prices if usd is None}))
    return Cost(*key, counted, sum(usd or 0.0 for _, usd in prices), unpriced)


__all__ = ["Cost", "HOURS", "Leftover", "Price", "costs", "leftovers", "owned", "priced"]
