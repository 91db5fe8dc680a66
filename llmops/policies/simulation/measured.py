"""From measurements of a live replica to its profile, and the profile's file. Pure.

What is measured are times that a client sees: the time per output token with more and more requests
at once, and the time to the first token of short and long prompts. Both are lines in the model of
an engine, so both are fitted as lines. No figure is made up: what could not be told from the
measurements is refused, or noted in the file as a bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmops.policies.simulation.profile import Profile

LEAST_STEP = 1e-6
"""Seconds: what a profile may say at least."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Decoding with a number of requests at once."""

    batch: float
    """Requests in one replica."""
    step: float
    """Seconds per output token of each: one step of the engine."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A prompt that was read by a replica that did nothing else."""

    tokens: float
    seconds: float
    """To the first token of the answer."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What the measurements come to; the fields are those of `Profile`."""

    step: float
    step_each: float
    prefill_rate: float
    bounded: bool
    """Whether longer prompts took no longer, so that `prefill_rate` is only a lower bound."""


def rates(paces: Sequence[Pace], readings: Sequence[Reading], chunk: int) -> Rates:
    """Fit a replica's rates.

    A step with b requests takes step + b * step_each. A prompt of n tokens that is read alone takes
    n / chunk steps of chunk / prefill_rate + step each (`Profile.mixed_step`), and one step more to
    its first token.

    Args:
        paces: Decoding, at one or more numbers of requests.
        readings: Prompts, of two lengths at least.
        chunk: Tokens of prompts that are read in one step.

    Raises:
        ValueError: When there are fewer measurements than that.
    """
    lengths = {one.tokens for one in readings}
    if not paces or len(lengths) < 2:
        raise ValueError("expected a pace, and prompts of two lengths")
    step, each = _steps([(one.batch, one.step) for one in paces])
    slope = _line([(one.tokens, one.seconds) for one in readings])[1] - step / chunk
    if slope > 0:
        return Rates(step, each, 1 / slope, bounded=False)
    longest = max(readings, key=lambda one: one.tokens)
    return Rates(step, each, longest.tokens / longest.seconds, bounded=True)


def profile_text(profile: Profile, notes: Mapping[str, str]) -> str:
    """The file of a profile, which `read_profile` reads.

    Args:
        profile: What to write. `takes` is the spec's, and no part of it.
        notes: A comment for each of the file's fields, by its name.
    """
    values = {
        "slots": f"{profile.slots}",
        "prefill_tokens_per_second": f"{profile.prefill_rate:.6g}",
        "step_seconds": f"{profile.step:.4g}",
        "step_seconds_per_request": f"{profile.step_each:.4g}",
        "chunk_tokens": f"{profile.chunk}",
        "startup": f"{max(1, round(1000 * profile.startup))}ms",
        "gpus": f"{profile.devices}",
        **({"kv_tokens": f"{profile.kv_tokens}"} if profile.kv_tokens else {}),
    }
    lines = [f"{name}: {value}{_note(notes.get(name))}" for name, value in values.items()]
    return "\n".join(["kind: ReplicaProfile", *lines, ""])


def _note(text: str | None) -> str:
    return f"  # {' '.join(text.split())}" if text else ""


def _steps(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """An empty step, and what a request adds. By noise alone a line may fall, or begin below 0:
    then the nearest line that does not is taken, which is level or goes through 0."""
    step, each = _line(points)
    if each < 0:
        return sum(value for _, value in points) / len(points), 0.0
    if step < LEAST_STEP:
        return LEAST_STEP, _through_zero(points)
    return step, each


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope of the least squares; level where there is one place only."""
    x = sum(at for at, _ in points) / len(points)
    y = sum(value for _, value in points) / len(points)
    spread = sum((at - x) ** 2 for at, _ in points)
    slope = sum((at - x) * (value - y) for at, value in points) / spread if spread else 0.0
    return y - slope * x, slope


def _through_zero(points: Sequence[tuple[float, float]]) -> float:
    return sum(at * value for at, value in points) / sum(at * at for at, _ in points)
