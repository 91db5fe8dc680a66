"""Cables that are not where they should be, put together so that each fault is told once.

The ports are taken as points. Between them lie the cables that are planned but were not found, and
those that were found but are not planned; every port has at most one of each. So they fall into
chains and rings: a lone planned cable is missing, a lone found one is extra, a ring is cables that
are swapped among each other, and any other chain is a cable that was plugged in elsewhere. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bare_metal.fabric.model import Cable, End, FabricPlan


@dataclass(frozen=True, slots=True)
class Tangle:
    """Cables that belong together in one fault."""

    planned: tuple[Cable, ...]
    """That were not found."""
    found: tuple[Cable, ...]
    """That are not planned."""

    @property
    def ring(self) -> bool:
        """Whether the same ports are joined, only otherwise."""
        ends = {end for cable in self.planned for end in cable}
        return bool(self.planned) and ends == {end for cable in self.found for end in cable}

    @property
    def ends(self) -> tuple[End, ...]:
        """All ports of it, sorted."""
        return tuple(sorted({end for cable in (*self.planned, *self.found) for end in cable}))


def tangles(plan: FabricPlan, found: Mapping[End, End]) -> Iterator[Tangle]:
    """Each fault of the cabling; `found` has every cable from both its ends."""
    missing = {end: peer for end, peer in plan.peers.items() if found.get(end) != peer}
    extra = {end: peer for end, peer in found.items() if plan.peers.get(end) != peer}
    done: set[End] = set()
    for start in sorted({*missing, *extra}):
        if start not in done:
            ends = _reach(start, missing, extra)
            done |= ends
            yield Tangle(_cables(plan, missing, ends), _cables(plan, extra, ends))


def _reach(start: End, *ways: Mapping[End, End]) -> set[End]:
    reached, open_ends = {start}, [start]
    while open_ends:
        end = open_ends.pop()
        for way in ways:
            peer = way.get(end)
            if peer is not None and peer not in reached:
                reached.add(peer)
                open_ends.append(peer)
    return reached


def _cables(plan: FabricPlan, way: Mapping[End, End], ends: set[End]) -> tuple[Cable, ...]:
    """Cables of one kind between the ends, each once, the end nearer to the hosts first."""
    cables = {
        Cable(*sorted((end, way[end]), key=lambda one: (_height(plan, one), one)))
        for end in ends
        if end in way
    }
    return tuple(sorted(cables))


def _height(plan: FabricPlan, end: End) -> int:
    return plan.heights.get(end.node, 0)
