"""Bounds on a share that hold over all looks at it together, however many there are. Pure.

An interval of the usual kind is wrong in one of so many looks; who looks every five seconds and
acts at the first alarm is wrong sooner or later. These bounds are confidence sequences: the chance
that the truth is ever outside, at any look, is at most `alpha`. They invert the mixture martingale
of the binomial with the beta distribution (H. Robbins, Ann. Math. Statist. 41, 1970), of n requests
with s hits, for a share p:

    M(p) = B(a + s, b + n - s) / B(a, b) / (p^s (1 - p)^(n - s))

where p is the truth, M is a martingale that begins with 1, so by Ville's inequality it ever comes
to 1 / alpha with a chance of at most alpha (S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Ann.
Statist. 49, 2021). Requests count as independent of one another, each with the same share.
"""

from __future__ import annotations

import math

A = B = 0.5
"""Of the beta distribution: Jeffreys', which is quick where a share is near 0 or 1."""

HALVINGS = 40
"""Of the interval in which a bound is looked for: exact to a millionth of a millionth."""


def evidence(hits: int, of: int, share: float) -> float:
    """The natural logarithm of M: how much `hits` of `of` speak against this share of all."""
    misses = of - hits
    if (hits and share <= 0) or (misses and share >= 1):
        return math.inf
    likely = (hits * math.log(share) if hits else 0.0) + (
        misses * math.log1p(-share) if misses else 0.0
    )
    return _log_beta(A + hits, B + misses) - _log_beta(A, B) - likely


def above(hits: int, of: int, share: float, alpha: float) -> bool:
    """Whether the true share is above `share`: said of one that is not, at any look, with a chance
    of at most `alpha`."""
    return of > 0 and hits > share * of and evidence(hits, of, share) >= -math.log(alpha)


def below(hits: int, of: int, share: float, alpha: float) -> bool:
    """Whether the true share is below `share`; as `above`."""
    return of > 0 and hits < share * of and evidence(hits, of, share) >= -math.log(alpha)


def upper(hits: int, of: int, alpha: float) -> float:
    """What the true share is at most: wrong, at any look, with a chance of at most `alpha`."""
    if not of:
        return 1.0
    low, high = hits / of, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if evidence(hits, of, middle) < -math.log(alpha):
            low = middle
        else:
            high = middle
    return high


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


__all__ = ["above", "below", "evidence", "upper"]
