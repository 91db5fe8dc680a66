"""How a field holds when several policies say it: what they come to together, and what that admits.

One rule for each kind of field, so that no field can be combined in a way of its own. What every
way keeps is the promise of layers: what two policies admit together, each of them admits alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from llmops.policies.patterns import matches
from llmops.units import Replicas


def _same(combined: Any, said: Any) -> bool:
    return bool(combined == said)


def _something(_combined: Any) -> bool:
    return False


def _as_asked(_combined: Any, asked: Any) -> Any:
    return asked


@dataclass(frozen=True, slots=True)
class Way:
    """How values of one field combine."""

    words: str
    """Which value wins, as `explain` says it."""
    combined: Callable[[Sequence[Any]], Any]
    """What one or more values come to."""
    admits: Callable[[Any, Any], bool]
    """Whether a combined value, the first, admits what a deployment has."""
    decides: Callable[[Any, Any], bool] = _same
    """Whether the combined value comes from one that was said, the second."""
    nearest: Callable[[Any, Any], Any] = _as_asked
    """What a combined value admits, as near as can be to what a deployment has; that itself where
    nothing is near."""
    is_nothing: Callable[[Any], bool] = _something
    """Whether a combined value admits nothing at all."""


LOWEST = Way(
    "the lowest holds",
    combined=min,
    admits=lambda most, asked: asked is not None and asked <= most,
    nearest=lambda most, asked: most if asked is None else min(asked, most),
)
"""A most. A deployment without a limit (None) is beyond it."""

HIGHEST = Way(
    "the highest holds",
    combined=max,
    admits=lambda least, asked: asked is not None and asked >= least,
    nearest=lambda least, asked: least if asked is None else max(asked, least),
)
"""A least."""

KEPT = Way(
    "the highest holds",
    combined=max,
    admits=lambda least, asked: asked == "all" or asked >= least,
    nearest=lambda least, asked: asked if asked == "all" else max(asked, least),
)
"""A least number of what is kept, of which a deployment may keep `all`."""


def _first_of(*order: Any) -> Way:
    """The strictest of words in their order: what comes after it is not admitted."""
    place = order.index
    return Way(
        f"'{str(order[0]).lower()}' wins",
        combined=partial(min, key=place),
        admits=lambda most, asked: place(asked) <= place(most),
    )


DEMANDED = _first_of(True, False)
"""What one policy demands holds, whatever others say."""
PERMITTED = _first_of(False, True)
"""What one policy refuses is refused."""
EXPOSURE = _first_of("machine", "network", "internet")
HOLES = _first_of("refuse", "warn")
TENANTS = _first_of("apart", "together")


def _overlap(ranges: Sequence[Replicas]) -> Replicas:
    """What lies in all of them; its `low` is above its `high` where nothing does."""
    return Replicas(max(r.low for r in ranges), min(r.high for r in ranges))


def _clamped(within: Replicas, asked: Replicas) -> Replicas:
    if within.low > within.high:
        return asked
    low = min(max(asked.low, within.low), within.high)
    return Replicas(low, max(low, min(asked.high, within.high)))


RANGE = Way(
    "the highest lower bound and the lowest upper bound hold",
    combined=_overlap,
    admits=lambda within, asked: within.low <= asked.low and asked.high <= within.high,
    decides=lambda within, said: said.low == within.low or said.high == within.high,
    nearest=_clamped,
    is_nothing=lambda within: within.low > within.high,
)

EVERY = Way(
    "a name must be in the list of each policy that has one",
    combined=tuple,
    admits=lambda lists, asked: all(matches(asked, patterns) for patterns in lists),
    decides=lambda lists, said: said in lists,
)
"""Lists of patterns. The combined value is all of the lists."""


def _common(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(word for word in lists[0] if all(word in words for words in lists))


COMMON = Way(
    "what every list names holds",
    combined=_common,
    admits=lambda allowed, asked: asked in allowed,
    is_nothing=lambda allowed: not allowed,
)
"""Words to choose from. The combined value may be empty: then nothing is admitted."""
