"""A scaling law fitted by SciPy, and how far it can be trusted.

Losses are fitted as logarithms by least squares, from several starts, since the surface has more
than one valley (Hoffmann et al., 2022, appendix D.2). The uncertainty is a parametric bootstrap:
the runs are drawn anew around the law with the noise that they show, that noise being itself
uncertain by as few runs as there are (a scaled inverse chi-squared), and the law is fitted again.
The run that is asked about is drawn with the same noise, so an interval is of what it would show.
Which exponents are possible is bounded: from 0.01 to 2; published ones lie between 0.05 and 0.6.
A term may be negative, so that runs which show no gain give an interval that holds 0; were only
gains possible, each would be found to be one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from llmops.errors import InputError
from llmops.finetuning import Bought, Law, Point, Step, Varied, best_split, largest, steps, varied

DRAWS = 200
"""Of the bootstrap."""
SEED = 17
EXPONENTS = (0.01, 2.0)
STARTS = (0.1, 0.3, 0.7)
"""Exponents that a fit begins with."""
UNKNOWNS = {Varied.TOKENS: 3, Varied.PARAMETERS: 3, Varied.BOTH: 5}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A law, and what more would buy by it."""

    varied: Varied
    law: Law
    noise: float
    """Standard deviation of the runs' losses around the law, as a share of the loss."""
    confidence: float
    points: tuple[Point, ...]
    bought: tuple[Bought, ...]

    def document(self) -> dict[str, Any]:
        """As plain data, for `-o json`."""
        return {
            "varied": self.varied.value,
            "law": self.law.document(),
            "noise": self.noise,
            "confidence": self.confidence,
            "runs": [
                {name: getattr(point, name) for name in ("name", "parameters", "tokens", "loss")}
                for point in self.points
            ],
            "bought": [entry.document() for entry in self.bought],
        }


def estimate(
    points: Sequence[Point], *, times: float = 2.0, confidence: float = 0.9, seed: int = SEED
) -> Estimate:
    """What `times` as much of what varies would buy.

    Args:
        points: Finished runs, whose losses are of the same held-out data.
        times: How much more, above 1.
        confidence: Of the intervals, two-sided.
        seed: Of the bootstrap.

    Raises:
        InputError: When SciPy is missing, or an argument makes no sense.
        RefusedError: When the runs cannot carry a law, or it is asked too far beyond them.
    """
    if not times > 1.0:
        raise InputError(f"how much more must be above 1, found {times:g}")
    what = varied(points)
    asked = steps(points, what, times)
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise InputError(
            f"a law needs the package {error.name}, which is not installed",
            hint="pip install 'llmops[finetune]'",
        ) from error
    sizes = np.array([[p.parameters, p.tokens] for p in points], dtype=float)
    losses = np.log([p.loss for p in points])
    fit = _Fit(what, sizes)
    law, residuals = fit.best(losses)
    free = len(points) - UNKNOWNS[what]
    noise = math.sqrt(float(residuals @ residuals) / free)
    if what is Varied.BOTH:
        asked = (*asked, best_split(law, *largest(points), times))
    rng = np.random.default_rng(seed)
    draws: list[tuple[Law, float]] = []
    expected = np.log([law.loss(n, d) for n, d in sizes])
    for _ in range(DRAWS):
        scale = noise * math.sqrt(free / rng.chisquare(free))
        drawn = fit.near(expected + rng.normal(0.0, scale, len(points)), law)
        draws.append((drawn, math.exp(rng.normal(0.0, scale))))
    top = largest(points)
    bought = tuple(_bought(step, top, law, draws, confidence) for step in asked)
    return Estimate(what, law, noise, confidence, tuple(points), bought)


def _bought(
    step: Step,
    top: tuple[float, float],
    law: Law,
    draws: Sequence[tuple[Law, float]],
    confidence: float,
) -> Bought:
    import numpy as np

    def gain(of: Law, luck: float) -> float:
        return of.loss(*top) - luck * of.loss(step.parameters, step.tokens)

    tail = (1.0 - confidence) / 2
    low, high = np.quantile([gain(*draw) for draw in draws], [tail, 1.0 - tail])
    expected = law.loss(step.parameters, step.tokens)
    return Bought(step, expected, gain(law, 1.0), float(low), float(high))


class _Fit:
    """Fits to runs of given sizes. Sizes are measured in the runs' geometric mean, so that a
    factor is what its term adds to the loss of a run of that size."""

    def __init__(self, what: Varied, sizes: Any) -> None:
        import numpy as np

        self._what = what
        self._middle = np.exp(np.log(sizes).mean(axis=0))
        self._sizes = np.log(sizes / self._middle)
        self._columns = {Varied.PARAMETERS: [0], Varied.TOKENS: [1], Varied.BOTH: [0, 1]}[what]

    def best(self, losses: Any) -> tuple[Law, Any]:
        """The law that fits best of all starts, and what it leaves."""
        least = math.exp(float(losses.min()))
        found = [
            self._fit(losses, [share * least, *self._terms(exponents, (1 - share) * least)])
            for share in (0.3, 0.7, 0.95)
            for exponents in product(STARTS, repeat=len(self._columns))
        ]
        best = min(found, key=lambda result: result.cost)
        return self._law(best.x), best.fun

    def near(self, losses: Any, law: Law) -> Law:
        """The law that fits, sought from one that nearly does."""
        return self._law(self._fit(losses, self._unknowns(law)).x)

    def _terms(self, exponents: Sequence[float], share: float) -> list[float]:
        each = share / len(exponents)
        return [value for exponent in exponents for value in (each, exponent)]

    def _fit(self, losses: Any, start: list[float]) -> Any:
        import numpy as np
        from scipy.optimize import least_squares

        count = len(self._columns)
        most = math.exp(float(losses.max()))
        low = [0.0, *([-most, EXPONENTS[0]] * count)]
        high = [2.0 * most, *([2.0 * most, EXPONENTS[1]] * count)]
        inside = np.clip(start, np.array(low) + 1e-9, np.array(high) - 1e-9)
        return least_squares(self._off(losses), inside, bounds=(low, high), x_scale="jac")

    def _off(self, losses: Any) -> Callable[[Any], Any]:
        import numpy as np

        def off(unknowns: Any) -> Any:
            loss = np.full(len(losses), unknowns[0])
            for at, column in enumerate(self._columns):
                factor, exponent = unknowns[1 + 2 * at : 3 + 2 * at]
                loss = loss + factor * np.exp(-exponent * self._sizes[:, column])
            return np.log(np.maximum(loss, 1e-12)) - losses

        return off

    def _law(self, unknowns: Any) -> Law:
        terms = {0: (0.0, 1.0), 1: (0.0, 1.0)}
        for at, column in enumerate(self._columns):
            factor, exponent = (float(x) for x in unknowns[1 + 2 * at : 3 + 2 * at])
            terms[column] = (factor * float(self._middle[column]) ** exponent, exponent)
        return Law(float(unknowns[0]), *terms[0], *terms[1])

    def _unknowns(self, law: Law) -> list[float]:
        known = {0: (law.a, law.alpha), 1: (law.b, law.beta)}
        found = [law.floor]
        for column in self._columns:
            factor, exponent = known[column]
            middle = float(self._middle[column])
            found += [factor * middle**-exponent, exponent]
        return found
