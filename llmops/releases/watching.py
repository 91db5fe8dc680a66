"""Watching a new release beside the last good one: what is counted, and what that says. Pure.

Both get requests of the same kind at the same time, by chance, so that what differs is the release.
A release that is as good as the other, within what the file allows, is taken for worse with a
chance of at most `FALSE_ALARMS`: over all looks of all steps, and all that is compared together. It
is dealt out evenly: each comparison takes two bounds, one on each release (see `sequential`).

Shares are compared so: the new one's lower bound against the other's upper bound and what is
allowed. Times are compared by the step within which nine of ten came: that the other's share within
a step is nine tenths or more must be certain, and that more than a tenth of the new one's came
after that step and what is allowed. Where a step that is too quick is certain, so is every one
between it and the true one, and what is late after a later step is late after an earlier one: so
one bound each holds for all steps.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmops.planning import Upkeep
from llmops.releases.sequential import above, below, upper

FALSE_ALARMS = 0.01
"""Chance that a release which is no worse is taken back, over the whole time it is watched."""

COMPARISONS = 5
"""What is compared: failures, empty answers, truncated ones, times to first token and by token."""

PART = 0.9
"""Part of streamed requests whose times are compared."""

_FIRST, _RATIO = 0.001, 1.1
"""Seconds of the first step, and how much longer each is: times are told apart by a tenth."""

Steps = Mapping[int, int]
"""Requests by the step of a time of theirs, see `step_of`."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one release has done since it shares traffic with another."""

    requests: int = 0
    """Answered, or failed; not those that were refused for what they asked."""
    failures: int = 0
    """Those that the release did not answer, or not to the end."""
    ttft: Steps = field(default_factory=dict)
    """Streamed requests by their time to first token."""
    tpot: Steps = field(default_factory=dict)
    """Streamed requests of several tokens by their mean time per output token."""
    cut: int = 0
    """Of the failures: streams that were cut after they had begun."""
    empty: int = 0
    """Answers in which there is nothing: no text, no reasoning, no call of a tool."""
    truncated: int = 0
    """Answers that ended because they were as long as they may be (`finish_reason: length`)."""

    @property
    def answered(self) -> int:
        """Requests that were answered to the end."""
        return self.requests - self.failures


@dataclass(frozen=True, slots=True)
class Summary:
    """Figures as they are kept of a release that was watched. Times are seconds within which nine
    of ten streamed requests were; None without any."""

    requests: int = 0
    failures: int = 0
    cut: int = 0
    empty: int = 0
    truncated: int = 0
    ttft: float | None = None
    tpot: float | None = None


def summary(figures: Figures) -> Summary:
    """What is kept of figures."""
    return Summary(
        figures.requests,
        figures.failures,
        figures.cut,
        figures.empty,
        figures.truncated,
        quantile(figures.ttft, PART),
        quantile(figures.tpot, PART),
    )


def _joined(found: list[Figures]) -> Figures:
    """What several gateways have counted of one release."""
    return Figures(
        sum(f.requests for f in found),
        sum(f.failures for f in found),
        _added(f.ttft for f in found),
        _added(f.tpot for f in found),
        sum(f.cut for f in found),
        sum(f.empty for f in found),
        sum(f.truncated for f in found),
    )


def _added(several: Iterable[Steps]) -> dict[int, int]:
    total: Counter[int] = Counter()
    for one in several:
        total.update(one)
    return dict(total)


def figures_of(gateways: Iterable[Mapping[str, Any]]) -> dict[int, Figures]:
    """What all gateways of a service tell of its releases, by number; nothing where none does."""
    return _over(gateway.get("compared") or {} for gateway in gateways)


def shadows_of(gateways: Iterable[Mapping[str, Any]]) -> dict[int, Summary]:
    """The same of the requests that both releases got, of which clients heard one answer."""
    found = _over((gateway.get("shadow") or {}).get("releases") or {} for gateway in gateways)
    return {number: summary(figures) for number, figures in found.items() if figures.requests}


def _over(gateways: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[int, Figures]:
    found: dict[int, list[Figures]] = {}
    for releases in gateways:
        for number, told in releases.items():
            found.setdefault(int(number), []).append(_figures(told))
    return {number: _joined(several) for number, several in found.items()}


def _figures(told: Mapping[str, Any]) -> Figures:
    """What one gateway tells of a release; one of an earlier version does not count everything."""
    counts = {name: int(told.get(name, 0)) for name in ("cut", "empty", "truncated")}
    ttft, tpot = (_steps(told.get(name, {})) for name in ("ttft", "tpot"))
    return Figures(int(told["requests"]), int(told["failures"]), ttft, tpot, **counts)


def _steps(told: Mapping[str, Any]) -> Steps:
    return {int(step): int(hits) for step, hits in told.items()}


def step_of(seconds: float) -> int:
    """The step that a time belongs to: the first whose end is not before it."""
    return math.ceil(math.log(max(seconds, _FIRST) / _FIRST) / math.log(_RATIO))


def quantile(times: Steps, part: float) -> float | None:
    """Seconds within which `part` of the requests have a time; None without any."""
    wanted, passed = part * sum(times.values()), 0
    for step in sorted(times):
        passed += times[step]
        if passed >= wanted:
            return _end_of(step)
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
    alpha = FALSE_ALARMS / (2 * COMPARISONS * len(upkeep.canary_steps))
    for text in _faults(new, old, upkeep, alpha):
        return Verdict(worse=True, enough=enough, text=text)
    return Verdict(worse=False, enough=enough, text=told(new, old))


def told(new: Figures, old: Figures) -> str:
    """What was counted of both, for a person."""
    text = f"{new.failures} of {new.requests} requests failed ({old.failures} of {old.requests})"
    if new.cut or old.cut:
        text += f", {new.cut} of them streams that were cut ({old.cut})"
    for name, one, other in (
        ("empty", new.empty, old.empty), ("truncated", new.truncated, old.truncated)
    ):  # fmt: skip
        if one or other:
            text += f", {one} were answered {name} ({other})"
    for name, times, others in (
        ("first token", new.ttft, old.ttft), ("a token each", new.tpot, old.tpot)
    ):  # fmt: skip
        now, before = quantile(times, PART), quantile(others, PART)
        if now is not None and before is not None:
            text += f", {name} within {_time(now)} ({_time(before)})"
    return text


def _faults(new: Figures, old: Figures, upkeep: Upkeep, alpha: float) -> Iterable[str]:
    """In what the new release is worse, beyond what is allowed and beyond chance."""
    more, longer = upkeep.canary_failures, upkeep.canary_truncated
    if _more(new.failures, new.requests, old.failures, old.requests, more, alpha):
        cut = f" ({new.cut} of them streams that were cut)" if new.cut else ""
        yield (
            f"{new.failures} of its {new.requests} requests failed{cut}; of the last good release"
            f" {old.failures} of {old.requests} did, and {more} % more are allowed"
        )
    for what, mine, others, allowed in (
        ("empty", new.empty, old.empty, more), ("truncated", new.truncated, old.truncated, longer)
    ):  # fmt: skip
        if _more(mine, new.answered, others, old.answered, allowed, alpha):
            yield (
                f"{mine} of its {new.answered} answers were {what}; of the last good release"
                f" {others} of {old.answered} were, and {allowed} % more are allowed"
            )
    for what, times, before in (
        ("first tokens came", new.ttft, old.ttft), ("streams had a token each", new.tpot, old.tpot)
    ):  # fmt: skip
        if _slower(times, before, upkeep.canary_slower, alpha):
            yield (
                f"nine of ten of its {what} within {_told(times)}; of the last good release within"
                f" {_told(before)}, and {upkeep.canary_slower} % more are allowed"
            )


def _more(hits: int, of: int, others: int, of_others: int, allowed: int, alpha: float) -> bool:
    """Whether the share of hits is surely above that of the others and so many percent more."""
    if not hits or hits / of <= (others / of_others if of_others else 0.0) + allowed / 100:
        return False  # as nearly always, without a bound
    most = upper(others, of_others, alpha) + allowed / 100
    return above(hits, of, most, alpha)


def _slower(times: Steps, before: Steps, allowed: int, alpha: float) -> bool:
    """Whether more than a tenth of these times are surely above what nine of ten of those before
    were within, and so many percent more."""
    certain = _certain(before, alpha)
    if certain is None:
        return False
    most = step_of(_end_of(certain) * (1 + allowed / 100))
    late = sum(hits for step, hits in times.items() if step > most)
    return above(late, sum(times.values()), 1 - PART, alpha)


def _certain(times: Steps, alpha: float) -> int | None:
    """The first step within which surely nine of ten of all times are; None where none is."""
    of = total = sum(times.values())
    for step in sorted(times):
        total -= times[step]
        if below(total, of, 1 - PART, alpha):
            return step
    return None


def _end_of(step: int) -> float:
    return float(_FIRST * _RATIO**step)


def _told(times: Steps) -> str:
    found = quantile(times, PART)
    return "no time" if found is None else _time(found)


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


__all__ = [
    "FALSE_ALARMS", "Figures", "Summary", "Verdict", "figures_of", "judge", "quantile",
    "shadows_of", "step_of", "summary", "told",
]  # fmt: skip
