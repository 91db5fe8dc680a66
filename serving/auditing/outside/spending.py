"""Limits of a day and a month, tried without using them up or spending money.

The answer: one request that could take more than the whole limit must be refused by its name. Each
of its prompts is longer than the model can read, so where the gateway lets it through, the engine
refuses it, and nothing is generated. The count: what one small generation took must stand in the
target's own record of the key afterwards. What neither can show is told as not checked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from llmops.planning import Limits
from llmops.policies import Finding
from serving.auditing.asking import Asked
from serving.auditing.check import unchecked
from serving.auditing.subject import Counted, Outside
from serving.auditing.telling import finding

PROMPTS = 16
"""Prompts that one request may have."""
BEYOND = 8
"""Tokens by which each of them is longer than the context."""
SPARE = 1024
"""Bytes of a body that are left for what is not its prompts."""
COUNTED_WITHIN = 10.0
"""Seconds after which an answer must be counted; it takes one."""
RELEASE = "x-llmops-release"
"""A header of what a release has answered, and not the gateway."""
NAMES = frozenset({"tokens_per_minute", "tokens_per_day", "usd_per_month"})

FIX = "the gateway has to hold to the limits of the release: deploy again, and look at llmops logs"


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of a period."""

    period: str
    """`day` or `month`."""
    name: str
    """Its name in the spec."""
    limit: float


def day(outside: Outside) -> Iterator[Finding]:
    """Tokens of a day."""
    limit = outside.promises.limits.tokens_per_day
    if limit is not None:
        yield from _tried(outside, Bound("day", "tokens_per_day", limit))


def month(outside: Outside) -> Iterator[Finding]:
    """Money of a month, by the release's own prices."""
    limit = outside.promises.limits.usd_per_month
    if limit is not None:
        yield from _tried(outside, Bound("month", "usd_per_month", limit))


def _tried(outside: Outside, bound: Bound) -> Iterator[Finding]:
    yield from _refused(outside, bound)
    yield from _kept(outside, bound)


def _refused(outside: Outside, bound: Bound) -> Iterator[Finding]:
    """A request that is more than the whole limit."""
    body, read, generated = _largest(outside)
    most = _amount(outside.promises.limits, bound, read, generated)
    if most <= bound.limit:
        yield unchecked(
            f"whether {bound.name} {_shown(bound.limit)} is refused",
            f"it takes more than one request, which can ask for {_shown(most)} at most",
        )
        return
    asked = outside.ask("POST", "/v1/completions", keyed=True, document=body)
    code = _code(asked)
    if asked.answer.good or asked.answer.header(RELEASE):
        yield finding(
            f"audit.limits.{bound.period}",
            f"a key may have {_shown(bound.limit)} {bound.name}, and a request that could take"
            f" {_shown(most)} reached the engine",
            asked.proof, FIX,
        )  # fmt: skip
    elif code != bound.name:
        why = f"{code} comes first: " if code in NAMES else ""
        yield unchecked(f"whether {bound.name} is refused", f"{why}{asked.proof}")


def _largest(outside: Outside) -> tuple[dict[str, Any], int, int]:
    """The request that could take the most, and the tokens that it could read and generate."""
    promises, limits = outside.promises, outside.promises.limits
    prompt = [1] * (promises.context + BEYOND)
    fits = (limits.max_body - SPARE) // (len(json.dumps(prompt)) + 2)
    prompts = max(1, min(PROMPTS, fits))
    each = min(
        limits.max_tokens, promises.context,
        *(x for x in (limits.tokens_per_minute, limits.tokens_per_day) if x is not None),
    )  # fmt: skip
    body = outside.body(prompt=[prompt] * prompts, n=limits.max_choices, max_tokens=each)
    return body, prompts * promises.context, prompts * limits.max_choices * each


def _kept(outside: Outside, bound: Bound) -> Iterator[Finding]:
    """What a small generation takes, in the record of its key."""
    counts = outside.counts
    if counts is None:
        yield unchecked(
            f"whether {bound.name} counts what is used", "this target keeps no record to look at"
        )
        return
    key = outside.fresh()
    asked = outside.caller.ask("POST", "/v1/completions", key=key, document=outside.body())
    if not asked.answer.good:
        yield unchecked(f"whether {bound.name} counts what is used", asked.proof)
        return
    wanted = _used(outside.promises.limits, bound, asked)
    deadline = time.monotonic() + COUNTED_WITHIN
    while (found := _of(bound, counts(key.name))) < wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    if found < wanted:
        yield finding(
            f"audit.limits.{bound.period}",
            f"what a key has used is not counted for {bound.name}",
            f"{asked.proof}; its record has {_shown(found)} of {_shown(wanted)}"
            f" {COUNTED_WITHIN:.0f} s later",
            FIX,
        )  # fmt: skip


def _of(bound: Bound, counted: Counted | None) -> float:
    if counted is None:
        return 0
    return counted.tokens if bound.period == "day" else counted.usd


def _used(limits: Limits, bound: Bound, asked: Asked) -> float:
    """What an answer says that it has used, in the limit's own measure."""
    usage = json.loads(asked.answer.body)["usage"]
    return _amount(limits, bound, usage["prompt_tokens"], usage["completion_tokens"])


def _amount(limits: Limits, bound: Bound, read: int, generated: int) -> float:
    """Tokens, or what they cost in US dollars."""
    if bound.period == "day":
        return read + generated
    millions = read * (limits.input_usd or 0.0) + generated * (limits.output_usd or 0.0)
    return millions / 10**6


def _code(asked: Asked) -> str:
    """The name by which an answer refuses; empty where it has none."""
    try:
        return str(json.loads(asked.answer.body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _shown(amount: float) -> str:
    return f"{amount:,.12g}"
