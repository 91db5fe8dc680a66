"""What a load measured, as figures. Pure: it knows neither the network nor a clock.

Percentiles are by nearest rank: each is a value that was measured, none is interpolated. With `n`
values, p99 is the largest one until `n` exceeds 100.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """How a time spreads over requests, in seconds; NaN throughout when `n` is 0."""

    p50: float
    p90: float
    p99: float
    mean: float
    n: int
    """Values that it is of."""

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of `values`, in any order."""
        found = sorted(values)
        if not found:
            return cls(math.nan, math.nan, math.nan, math.nan, 0)
        p50, p90, p99 = (found[math.ceil(p * len(found) / 100) - 1] for p in (50, 90, 99))
        return cls(p50, p90, p99, math.fsum(found) / len(found), len(found))


@dataclass(frozen=True, slots=True)
class Sample:
    """One whole answer; times in seconds from when the request was sent."""

    ttft: float
    """To the first event that carries a token."""
    last: float
    """To the last event that carries a token."""
    latency: float
    """To the stream's own end."""
    prompt_tokens: int
    output_tokens: int
    """Both as the engine counted them."""

    @property
    def tpot(self) -> float | None:
        """Seconds for each output token after the first; None when there was no second."""
        if self.output_tokens < 2:
            return None
        return (self.last - self.ttft) / (self.output_tokens - 1)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load of requests came to. Rates and spreads are of the requests that succeeded."""

    clients: int
    duration: float
    """Seconds from the first request's start to the last one's end; the warm-up is before."""
    ok: int
    failed: int
    failures: Mapping[str, int]
    """Failed requests by reason."""
    prompt_tokens: int
    output_tokens: int
    """In all, as the engine counted them."""
    requests_per_second: float
    output_tokens_per_second: float
    ttft: Spread
    """Time to first token."""
    tpot: Spread
    """Time per output token after the first: one value for each request of two or more."""
    latency: Spread
    """Time to the whole answer."""


def sum_up(
    samples: list[Sample], failures: Iterable[str], *, clients: int, duration: float
) -> Figures:
    """The figures of a load.

    Args:
        samples: The answers that were whole.
        failures: The reason of each request that failed.
        clients: Requests at a time.
        duration: Seconds, more than 0.
    """
    reasons = dict(Counter(failures).most_common())
    output = sum(sample.output_tokens for sample in samples)
    return Figures(
        clients=clients,
        duration=duration,
        ok=len(samples),
        failed=sum(reasons.values()),
        failures=reasons,
        prompt_tokens=sum(sample.prompt_tokens for sample in samples),
        output_tokens=output,
        requests_per_second=len(samples) / duration,
        output_tokens_per_second=output / duration,
        ttft=Spread.of(sample.ttft for sample in samples),
        tpot=Spread.of(tpot for sample in samples if (tpot := sample.tpot) is not None),
        latency=Spread.of(sample.latency for sample in samples),
    )


def figures_document(figures: Figures) -> dict[str, Any]:
    """The figures as plain data, for `-o json`: times in seconds; what was not measured is null."""
    return {
        "clients": figures.clients,
        "duration": figures.duration,
        "requests": {
            "ok": figures.ok,
            "failed": figures.failed,
            "failures": dict(figures.failures),
        },
        "prompt_tokens": figures.prompt_tokens,
        "output_tokens": figures.output_tokens,
        "requests_per_second": figures.requests_per_second,
        "output_tokens_per_second": figures.output_tokens_per_second,
        "ttft": spread_document(figures.ttft),
        "tpot": spread_document(figures.tpot),
        "latency": spread_document(figures.latency),
    }


def spread_document(spread: Spread) -> dict[str, float | int | None]:
    """A spread as plain data: seconds; null throughout when nothing was measured."""
    values = {"p50": spread.p50, "p90": spread.p90, "p99": spread.p99, "mean": spread.mean}
    return {name: None if math.isnan(v) else v for name, v in values.items()} | {"n": spread.n}
