"""Traces of made-up users: a seeded generator of loads that look like those of real services.

The arrivals are a Poisson process whose rate is the product of a curve (steady, by the hour of the
day, on and off) and a random factor that is drawn anew for each stretch of time. What the shapes
are taken from is said at each parameter; the figures are round ones, measured from no service. A
trace of your own service says more.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from llmops.policies.simulation.trace import MOST_REQUESTS, Request, Trace, made


class Shape(StrEnum):
    """How the mean rate goes over time."""

    STEADY = "steady"
    DIURNAL = "diurnal"
    BURSTY = "bursty"
    ON_OFF = "on-off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a trace is made of."""

    shape: Shape = Shape.DIURNAL
    seconds: float = 3600.0
    """Length."""
    rate: float = 4.0
    """Requests a second, on the average of the curve."""
    day: float = 3600.0
    """Length of a day of the curve. An hour packs a day's rise and fall into one: the change of a
    real day, 24 times as fast."""
    swing: float = 0.7
    """How far the rate goes above and below its mean over a day, as a share of it. Services that
    people use follow the day (a week of Azure's: AzureLLMInferenceDataset2024, described in
    DynamoLLM, arXiv 2408.00741); a sine is the simplest curve that does."""
    spread: float = 0.25
    """Coefficient of variation of the random factor on the rate. It is Gamma distributed, so that
    counts of requests are negative binomial: the usual model of counts that vary more than Poisson
    (BurstGPT, arXiv 2401.17644, fits Gamma distributions to the arrivals of an LLM service)."""
    stretch: float = 120.0
    """Seconds for which the factor stays."""
    on: float = 600.0
    """Mean seconds of a busy stretch of `on-off`, exponentially distributed; so long are its quiet
    ones too, in which nobody asks."""
    input_median: int = 256
    """Median tokens of a prompt."""
    input_sigma: float = 0.9
    """Standard deviation of the logarithm of a prompt's tokens: log-normal, as lengths of texts
    that people write commonly are."""
    output_median: int = 128
    output_sigma: float = 0.7
    """Of what is generated; log-normal too."""
    longest: int = 4096
    """Most tokens of a prompt, and of what is generated: longer draws are cut to it."""


BURSTS = 1.0
"""Coefficient of variation of the factor in the shape `bursty`, over stretches of 45 s."""


def generate(load: Load, seed: int) -> Trace:
    """A trace: the same for the same load and seed.

    Args:
        load: What it is made of.
        seed: Picks the trace.
    """
    draw = random.Random(seed)  # noqa: S311 - a load to plan with, not a secret
    arrivals = _arrivals(load, draw)
    requests = (
        Request(
            arrival,
            _tokens(draw, load.input_median, load.input_sigma, load.longest),
            _tokens(draw, load.output_median, load.output_sigma, load.longest),
        )
        for arrival in arrivals
    )
    return made(f"{load.shape} {seed}", requests)


def _arrivals(load: Load, draw: random.Random) -> Iterator[float]:
    """Thinning: candidates at each stretch's highest rate, kept in proportion to the curve."""
    begins, count = 0.0, 0
    for length, factor in _stretches(load, draw):
        highest = load.rate * factor * (1 + load.swing)
        at = begins
        while highest > 0:
            at += draw.expovariate(highest)
            if at >= min(begins + length, load.seconds):
                break
            if draw.random() * (1 + load.swing) < curve(load, at):
                yield at
                count += 1
                if count >= MOST_REQUESTS:
                    return
        begins += length
        if begins >= load.seconds:
            return


def curve(load: Load, at: float) -> float:
    """The mean rate at a time, as a share of `rate`."""
    if load.shape is not Shape.DIURNAL:
        return 1.0
    return 1 - load.swing * math.cos(2 * math.pi * at / load.day)


def _stretches(load: Load, draw: random.Random) -> Iterator[tuple[float, float]]:
    """Seconds, and the factor on the rate in them."""
    busy = True
    while True:
        if load.shape is Shape.ON_OFF:
            yield draw.expovariate(1 / load.on), 2.0 if busy else 0.0
            busy = not busy
        elif load.shape is Shape.BURSTY:
            yield 45.0, _gamma(draw, BURSTS)
        else:
            yield load.stretch, _gamma(draw, load.spread)


def _gamma(draw: random.Random, variation: float) -> float:
    """A factor of mean 1 with this coefficient of variation."""
    if variation <= 0:
        return 1.0
    shape = 1 / variation**2
    return draw.gammavariate(shape, 1 / shape)


def _tokens(draw: random.Random, median: int, sigma: float, longest: int) -> int:
    return max(1, min(longest, round(draw.lognormvariate(math.log(median), sigma))))
