"""What no limits of keys can mean: money without a price, and limits that no request keeps to."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.spec.document import Finding, Written
from llmops.spec.limits import KeyLimits
from llmops.spec.models import Deployment, Security
from llmops.spec.nodes import Trail, dotted

RESERVED_KEY = "operator"
"""Name of the key that this machine's own commands ask with."""

OF_ALL: Trail = ("security",)


def find_in_limits(deployment: Deployment, written: Written) -> Iterator[Finding]:
    """Everything that is wrong with the limits of keys."""
    security, context = deployment.security, deployment.model.context
    yield from _money(security)
    for trail, limits in _each(security):
        yield from _shares(security, trail, limits, written)
    for name, limits in security.per_key.items():
        trail = ("security", "per_key", name)
        if name == RESERVED_KEY:
            message = f"expected another name, found '{name}': this machine's own commands use it"
            yield Finding(trail, message, "remove it: that key has no limits", key=True)
        if isinstance(context, int) and limits.max_tokens and limits.max_tokens > context:
            yield Finding(
                (*trail, "max_tokens"),
                f"expected at most model.context ({context}), found {limits.max_tokens}",
                "prompt and answer share the context: lower this, or raise model.context",
                (("model", "context"),),
            )  # fmt: skip


def _each(security: Security) -> Iterator[tuple[Trail, Security | KeyLimits]]:
    yield OF_ALL, security
    for name, limits in security.per_key.items():
        yield ("security", "per_key", name), limits


def _money(security: Security) -> Iterator[Finding]:
    """Money can be counted only where tokens have a price."""
    limited = [(*trail, "usd_per_month") for trail, one in _each(security) if one.usd_per_month]
    prices = security.prices
    if prices is None:
        for trail in limited:
            yield Finding(
                trail, "expected security.prices beside it, found none",
                "say what tokens cost: prices: {input_usd: 0.2, output_usd: 0.6}",
                (("security", "prices"),), key=True,
            )  # fmt: skip
    elif limited and not (prices.input_usd or prices.output_usd):
        yield Finding(
            ("security", "prices"), "expected a price above 0, found none",
            f"nothing would be counted for {dotted(limited[0])}: say what tokens cost",
            tuple(limited), key=True,
        )  # fmt: skip


def _shares(
    security: Security, trail: Trail, limits: Security | KeyLimits, written: Written
) -> Iterator[Finding]:
    """One request must find room in what a key may use in a minute and in a day."""
    above = trail if limits.max_tokens and written((*trail, "max_tokens")) else OF_ALL
    asked: Trail = (*above, "max_tokens")
    one = (limits if above == trail else security).max_tokens or 0
    if not written(asked):
        return
    for name in ("tokens_per_minute", "tokens_per_day"):
        limit = getattr(limits, name)
        if limit is not None and limit < one:
            yield Finding(
                (*trail, name), f"expected at least {dotted(asked)} ({one}), found {limit}",
                "one request may generate as many: lower max_tokens, or raise this", (asked,),
            )  # fmt: skip
