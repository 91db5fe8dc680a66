"""Dynamic programming over a trace: the cheapest numbers of replicas, for one who knows it all.

Time goes in steps, work in units. A state is how many replicas there are and how much work has come
and is not done. In a step replicas may be added, the work is done as far as they can, what is then
overdue is given up at a price, and replicas may be taken away. All numbers of replicas, all amounts
of work and all changes are weighed; the work that has come and that is due are whole numbers, so
nothing is lost by rounding from one step to the next.

For one price it is exact. A bound on how much may be given up becomes a price (Lagrange); that the
best of the prices bounds the cost from below is weak duality.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

Rows = list[list[float]]
"""Costs by number of replicas above the least, and by units of work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is to be done; costs in seconds of replicas."""

    come: Sequence[int]
    """Units of work that have come by the end of each step, all together."""
    due: Sequence[int]
    """Units that must be done by then; never more than have come."""
    units: int
    """That one replica does in a step."""
    step: float
    """Seconds of a step."""
    low: int
    high: int
    initial: int
    up: float
    """Cost of one more replica in a step, beside its time in this step."""
    down: float
    """What one fewer at the end of a step saves of its time in it."""

    @property
    def slack(self) -> list[int]:
        """Units that may wait at the end of each step."""
        return [come - due for come, due in zip(self.come, self.due, strict=True)]


@dataclass(frozen=True, slots=True)
class Solution:
    """The cheapest way for a price."""

    cost: float
    """Of replicas and of what is given up."""
    replicas: tuple[int, ...]
    """In each step."""
    given_up: int
    """Units."""


def solve(problem: Problem, price: float) -> Solution:
    """The cheapest way.

    Args:
        problem: What is to be done.
        price: Of a unit that is given up, in seconds of replicas.
    """
    most = max(problem.slack, default=0)
    rows = problem.high - problem.low + 1
    after: Rows = [[0.0] * (most + 1) for _ in range(rows)]
    kept: list[list[array[float]]] = []
    for at in reversed(range(len(problem.come))):
        left = _leave(after, problem.down)
        kept.append([array("d", row) for row in left])
        after = _add(_work(problem, left, at, price), problem.up)
    kept.reverse()
    replicas, given_up = _follow(problem, kept, price)
    return Solution(after[problem.initial - problem.low][0], replicas, given_up)


def _leave(after: Rows, saved: float) -> Rows:
    """Cost to go when any of the replicas may be taken away, each saving so much."""
    made = [after[0]]
    for row in after[1:]:
        below = made[-1]
        made.append([min(one, two - saved) for one, two in zip(row, below, strict=True)])
    return made


def _add(work: Rows, cost: float) -> Rows:
    """Cost to go when any number may be added, each at so much."""
    made = [work[-1]]
    for row in reversed(work[:-1]):
        above = made[-1]
        made.append([min(one, two + cost) for one, two in zip(row, above, strict=True)])
    made.reverse()
    return made


def _work(problem: Problem, left: Rows, at: int, price: float) -> Rows:
    """Cost to go before the work of a step."""
    return [_done(problem, row, problem.low + place, at, price) for place, row in enumerate(left)]


def _done(problem: Problem, row: list[float], replicas: int, at: int, price: float) -> list[float]:
    """The same for one number of replicas: what waits moves by what comes and what is done."""
    come = problem.come[at] - (problem.come[at - 1] if at else 0)
    most = problem.come[at] - problem.due[at]
    shift = come - replicas * problem.units
    size, time = len(row), replicas * problem.step
    empty = min(size, max(0, -shift))
    fits = min(size, max(empty, most - shift + 1))
    made = [time + row[0]] * empty
    made += [time + cost for cost in row[empty + shift : fits + shift]]
    over = time + row[most]
    made += [over + price * (waits + shift - most) for waits in range(fits, size)]
    return made


def _follow(
    problem: Problem, kept: list[list[array[float]]], price: float
) -> tuple[tuple[int, ...], int]:
    """The way itself, from the beginning."""
    have, waits, given_up = problem.initial, 0, 0
    replicas = []
    for at in range(len(problem.come)):
        came = problem.come[at] - (problem.come[at - 1] if at else 0)
        most = problem.come[at] - problem.due[at]

        def cost(count: int, came: int = came, most: int = most, at: int = at) -> float:
            left = max(0, waits + came - count * problem.units)  # noqa: B023 - used in this turn
            row = kept[at][count - problem.low]
            extra = max(0, count - have) * problem.up  # noqa: B023 - used in this turn
            over = max(0, left - most) * price
            return extra + count * problem.step + row[min(left, most)] + over

        count = min(range(have, problem.high + 1), key=cost)
        replicas.append(count)
        left = max(0, waits + came - count * problem.units)
        given_up += max(0, left - most)
        waits = min(left, most)
        have = _stay(kept[at], count - problem.low, waits, problem.down) + problem.low
    return tuple(replicas), given_up


def _stay(row: list[array[float]], place: int, waits: int, saved: float) -> int:
    """How many stay: one fewer as long as that is what the cost counts on."""
    while place and row[place][waits] == row[place - 1][waits] - saved:
        place -= 1
    return place
