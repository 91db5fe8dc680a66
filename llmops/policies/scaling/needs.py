"""How many replicas each signal asks for, with the sentence that says why. Pure.

Each signal is monotone: more load never asks for fewer. None of them looks at how many replicas
there are to be in the end; bounds and patience are `decide`'s.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from llmops.policies.scaling.averages import constants
from llmops.policies.scaling.memory import QUEUE_PARTS, Memory
from llmops.policies.scaling.observation import Observation
from llmops.policies.scaling.settings import TOLERANCE, ScalingSettings
from llmops.policies.scaling.staffing import staffed

BURST = 1.5
"""Load, of what the replicas are to take, that is answered at once and not when it has lasted."""
KV_FULL = 0.9
"""Share of the KV cache above which the engine soon puts running requests back."""
NOBODY = 0.1
"""Average load below which nobody is there any more: such an average never quite becomes 0."""
CERTAIN = 3.0
"""Standard deviations of the arrivals' noise (Poisson) that a trend must exceed."""
STEEPEST = 2.0
"""Of the arrivals now, the most that is foreseen: a trend does not go on for ever."""


@dataclass(frozen=True, slots=True)
class Need:
    """What one signal asks for."""

    grow: int
    """Replicas below which more are added."""
    keep: int
    """Replicas above which some may go; never fewer than `grow`."""
    reason: str


def needs(
    settings: ScalingSettings, seen: Observation, memory: Memory, lead: float, *, asleep: bool
) -> list[Need]:
    """What every signal asks for now.

    Args:
        settings: Bounds and aims.
        seen: The service now.
        memory: With this observation in it.
        lead: Seconds that a replica takes to start.
        asleep: Whether nothing is foreseen or kept in reserve.
    """
    return [
        _load(settings, seen, memory, lead),
        *_forecast(settings, memory, lead),
        *(() if asleep else _staffing(settings, seen, memory, lead)),
        *_tokens(settings, seen),
        *_queue(settings, seen),
        *_cache(seen),
    ]


def _load(settings: ScalingSettings, seen: Observation, memory: Memory, lead: float) -> Need:
    takes, room = settings.target_in_flight, memory.room(seen, lead)
    burst = not seen.running or room > BURST * seen.provisioned * takes
    load = max(memory.load, room) if burst else memory.load
    load = load if load >= NOBODY else 0.0
    # What decides is the average; the moment may already be another.
    parts = f"{max(seen.in_flight, load - seen.waiting):.0f} in flight"
    if seen.waiting:
        parts += f" and {seen.waiting} waiting"
    reason = f"{parts}, {takes:g} per replica"
    grow = _ceil(load / (takes if burst else takes * TOLERANCE))
    # Whoever is there now must find room, however short the average says that it lasts.
    keep = max(grow, _ceil(load / takes), _ceil(room / (takes * TOLERANCE)))
    return Need(grow, keep, reason)


def _forecast(settings: ScalingSettings, memory: Memory, lead: float) -> Iterator[Need]:
    """What will be there when a replica that is asked for now has started."""
    if not memory.stay:
        return
    short, long = constants(lead)
    apart = memory.short - memory.long
    # The variance of the difference of two such averages of a Poisson process.
    variance = max(memory.long, 1 / long) * (0.5 / short + 0.5 / long - 2 / (short + long))
    noise = math.sqrt(variance)
    if apart <= CERTAIN * noise:
        return
    slope = apart / (long - short)
    now = memory.short + slope * short
    later = min(now + slope * lead, now * STEEPEST)
    expected = later * memory.stay
    reason = f"arrivals rise: {later:.2g}/s in {lead:.0f} s, when a replica asked for now answers"
    need = _ceil(expected / settings.target_in_flight / TOLERANCE)
    yield Need(need, need, reason)


def _staffing(
    settings: ScalingSettings, seen: Observation, memory: Memory, lead: float
) -> Iterator[Need]:
    """What keeps replicas from being full, now and when one that is asked for now answers."""
    ahead, since = memory.foresight, memory.since
    if not settings.capacity or not ahead.cost or since is None or seen.now - since < lead / 4:
        return
    queue = seen.waiting * QUEUE_PARTS / lead if seen.running else 0.0
    now, later = ahead.quick + queue, ahead.expected(lead) + queue
    rate = max(now, later) - ahead.evened(lead, settings.ttft or 0.0)
    need = staffed(rate * ahead.cost, settings.capacity)
    reason = (
        f"{ahead.quick:.2g} requests/s, up to {max(now, later):.2g}/s expected in {lead:.0f} s,"
        f" {1 / ahead.cost:.2g}/s fill a replica"
    )
    yield Need(need, need, reason)


def _tokens(settings: ScalingSettings, seen: Observation) -> Iterator[Need]:
    aim = settings.target_tokens_per_second
    if aim is None:
        return
    reason = f"{seen.tokens_per_second:.0f} tokens/s, {aim:g} per replica"
    yield Need(
        _ceil(seen.tokens_per_second / (aim * TOLERANCE)),
        _ceil(seen.tokens_per_second / aim),
        reason,
    )


def _queue(settings: ScalingSettings, seen: Observation) -> Iterator[Need]:
    """Replicas that are full: what waits inside them says so, whatever the aim was."""
    if settings.queue is None or not seen.running:
        return
    over = seen.queued - settings.queue * seen.running
    if over > 0:
        need = seen.running + _ceil(over / max(settings.target_in_flight, 1))
        yield Need(need, need, f"{seen.queued:.0f} queued, {settings.queue} per replica allowed")


def _cache(seen: Observation) -> Iterator[Need]:
    if seen.kv_use is None or not seen.running:
        return
    need = _ceil(seen.running * seen.kv_use / KV_FULL)
    yield Need(need, need, f"the KV cache is {seen.kv_use:.0%} full")


def _ceil(value: float) -> int:
    """Rounded up; a rounding error of floating point asks for no replica."""
    return math.ceil(value - 1e-9)
