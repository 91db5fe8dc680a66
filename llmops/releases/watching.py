"""Watching a new release beside the last good one: what is counted, and what that says. Pure.

Both get requests of the same kind at the same time, by chance, so that what differs is the release.
A difference counts only when it is no chance: shares are compared by the lower end of Wilson's
interval (E. B. Wilson, 1927) at one in a hundred, because they are looked at again and again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmops.planning import Upkeep

Z = 2.326
"""One-sided 99 % of a normal distribution."""

PART = 0.9
"""Part of streamed requests whose time to first token is compared."""

LEAST_FAILURES = 3
"""Failures below which nothing is concluded from them."""

_FIRST, _RATIO = 0.001, 1.1
"""Seconds of the first step, and how much longer each is: times are told apart by a tenth."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one release has done since it shares traffic with another."""

    requests: int = 0
    """Answered, or failed; not those that were refused for what they asked."""
    failures: int = 0
    """Those that the release did not answer, or not to the end."""
    ttft: Mapping[int, int] = field(default_factory=dict)
    """Streamed requests by the step of their time to first token, see `step_of`."""

    @property
    def streamed(self) -> int:
        return sum(self.ttft.values())


def joined(several: Iterable[Figures]) -> Figures:
    """What several gateways have counted of one release."""
    found = list(several)
    steps: Counter[int] = Counter()
    for one in found:
        steps.update(one.ttft)
    return Figures(sum(f.requests for f in found), sum(f.failures for f in found), dict(steps))


def figures_of(service: Mapping[str, Any]) -> dict[int, Figures]:
    """What one gateway tells of a service's releases, by number; nothing where it does not."""
    compared: Mapping[str, Any] = service.get("compared") or {}
    return {
        int(number): Figures(
            int(told["requests"]),
            int(told["failures"]),
            {int(step): int(hits) for step, hits in told["ttft"].items()},
        )
        for number, told in compared.items()
    }


def step_of(seconds: float) -> int:
    """The step that a time belongs to: the first whose end is not before it."""
    return math.ceil(math.log(max(seconds, _FIRST) / _FIRST) / math.log(_RATIO))


def quantile(figures: Figures, part: float) -> float | None:
    """Seconds within which `part` of the streamed requests began to answer; None without any."""
    wanted, passed = part * figures.streamed, 0
    for step in sorted(figures.ttft):
        passed += figures.ttft[step]
        if passed >= wanted:
            return float(_FIRST * _RATIO**step)
    return None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the figures say of a release that is watched."""

    worse: bool
    """Whether it is worse than the last good one, and that is no chance."""
    enough: bool
    """Whether there were requests enough to compare the two."""
    text: str
    """What was seen, for a person."""


def judge(new: Figures, old: Figures, upkeep: Upkeep) -> Verdict:
    """Compare the release that is watched with the last good one."""
    enough = min(new.requests, old.requests) >= upkeep.canary_requests
    for text in (_failing(new, old, upkeep), _slower(new, old, upkeep)):
        if text:
            return Verdict(worse=True, enough=enough, text=text)
    return Verdict(worse=False, enough=enough, text=told(new, old))


def told(new: Figures, old: Figures) -> str:
    """What was counted of both, for a person."""
    text = f"{new.failures} of {new.requests} requests failed ({old.failures} of {old.requests})"
    first, before = quantile(new, PART), quantile(old, PART)
    if first is not None and before is not None:
        text += f", first token within {_time(first)} ({_time(before)})"
    return text


def _failing(new: Figures, old: Figures, upkeep: Upkeep) -> str:
    """Why its failures are too many; empty when they are not."""
    before = old.failures / old.requests if old.requests else 0.0
    most = before + upkeep.canary_failures / 100
    if new.failures < LEAST_FAILURES or surely(new.failures, new.requests) <= most:
        return ""
    return (
        f"{new.failures} of its {new.requests} requests failed; of the last good release"
        f" {old.failures} of {old.requests} did, and {upkeep.canary_failures} % more are allowed"
    )


def _slower(new: Figures, old: Figures, upkeep: Upkeep) -> str:
    """Why its time to first token is too long; empty when it is not."""
    before, now = quantile(old, PART), quantile(new, PART)
    if before is None or now is None or min(new.streamed, old.streamed) < upkeep.canary_requests:
        return ""
    most = before * (1 + upkeep.canary_slower / 100)
    late = sum(count for step, count in new.ttft.items() if step > step_of(most))
    if surely(late, new.streamed) <= 1 - PART:
        return ""
    return (
        f"nine of ten of its first tokens came within {_time(now)}; of the last good release within"
        f" {_time(before)}, and {upkeep.canary_slower} % more are allowed"
    )


def surely(hits: int, of: int) -> float:
    """The lower end of Wilson's interval: what share of all `hits` of `of` shows at least."""
    if not hits:
        return 0.0
    share, weight = hits / of, Z * Z / of
    spread = Z * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    return max(0.0, (share + weight / 2 - spread) / (1 + weight))


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


__all__ = [
    "Figures", "Verdict", "figures_of", "joined", "judge", "quantile", "step_of", "surely",
    "told",
]  # fmt: skip
