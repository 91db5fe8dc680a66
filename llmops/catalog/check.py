"""What is stale, contradictory, missing or without a source in a catalogue. Pure.

The loader refuses what cannot be used at all; what is found here can be, and may mislead. Prices
are stale after 90 days, because clouds change them about that often; other figures after five
years: a chip does not change, but machines, drivers and documents do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from enum import StrEnum
from itertools import groupby

from llmops.catalog.build import OWN
from llmops.catalog.model import Accelerator, Catalogue, Offer, Price, Source

PRICES_LAST = timedelta(days=90)
FIGURES_LAST = timedelta(days=5 * 365)

NARROWER = (("fp64", "fp32"), ("fp32", "tf32"), ("tf32", "bf16"), ("tf32", "fp16"),
            ("bf16", "fp8"), ("fp16", "fp8"), ("fp8", "fp6"), ("fp8", "fp4"))  # fmt: skip
"""Number formats of which the second is narrower, and so never slower. Not whole numbers: there
are devices whose int8 is slower than their fp16."""

_NO_FIGURES = frozenset(
    {"name", "vendor", "kind", "aliases", "sources", "provider", "instance", "accelerator"}
)


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Contradictory or without source: a plan made with it cannot be trusted."""
    WARNING = "warning"
    """Stale: look it up anew."""
    NOTE = "note"
    """Missing: a plan says so where it would need it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a catalogue."""

    id: str
    """What kind of thing, such as `spot-over-on-demand`; stable."""
    severity: Severity
    entry: str
    """Name of an accelerator or offer, or of a provider for all of its offers."""
    message: str
    hint: str


def check(catalogue: Catalogue, today: date) -> tuple[Finding, ...]:
    """Everything that is wrong, the worst first, then by entry."""
    found = [
        *_stale(catalogue, today),
        *(f for one in catalogue.accelerators.values() for f in _accelerator(one)),
        *(f for offer in catalogue.offers for f in _offer(offer, catalogue)),
        *_twice(catalogue),
    ]
    order = list(Severity)
    return tuple(sorted(found, key=lambda f: (order.index(f.severity), f.entry, f.id)))


def _stale(catalogue: Catalogue, today: date) -> Iterator[Finding]:
    """Prices by provider, other figures by entry; and dates that have not come yet."""
    offers = sorted(catalogue.offers, key=lambda offer: offer.provider)
    for provider, group in groupby(offers, key=lambda offer: offer.provider):
        of = [offer.sources["prices"].date for offer in group if "prices" in offer.sources]
        old = [day for day in of if today - day > PRICES_LAST]
        if old and provider != OWN:
            days = (today - min(old)).days
            yield Finding(
                "stale-prices", Severity.WARNING, provider,
                f"prices of {len(old)} offers are {days} days old, as of {min(old)}",
                "look up today's prices before you decide; a file of your own replaces entries",
            )  # fmt: skip
    entries: list[Accelerator | Offer] = [*catalogue.accelerators.values(), *catalogue.offers]
    for entry in entries:
        cited = {field: source for field, source in entry.sources.items() if field != "prices"}
        old_ones = {s.id: s for s in cited.values() if today - s.date > FIGURES_LAST}
        yield from (_old(entry.name, source) for source in old_ones.values())
        coming = [source for source in entry.sources.values() if source.date > today]
        if coming:
            yield Finding(
                "date-to-come", Severity.ERROR, entry.name,
                f"its source '{coming[0].id}' is of {coming[0].date}, a day that has not come yet",
                "write the day on which the figure was read",
            )  # fmt: skip


def _old(entry: str, source: Source) -> Finding:
    return Finding(
        "stale-figure", Severity.WARNING, entry,
        f"its source '{source.id}' is of {source.date}, more than five years ago",
        f"read it again: {source.url}" if source.url else "read it again",
    )  # fmt: skip


def _accelerator(one: Accelerator) -> Iterator[Finding]:
    yield from _unsourced(one)
    if one.memory is not None and one.usable is not None and one.usable > one.memory:
        yield _wrong(
            "usable-over-memory", one.name,
            f"{one.usable} bytes are usable of {one.memory} that it has",
        )  # fmt: skip
    for wide, narrow in NARROWER:
        if wide in one.flops and narrow in one.flops and one.flops[narrow] < one.flops[wide]:
            yield _wrong(
                "slower-when-narrower", one.name,
                f"{narrow} with {one.flops[narrow]:g} op/s is slower than {wide} with"
                f" {one.flops[wide]:g} op/s",
            )  # fmt: skip
    if one.link is not None and one.pcie is not None and one.link.bandwidth < one.pcie:
        yield _wrong("link-slower-than-pcie", one.name, "its link is slower than its host link")
    missing = [] if one.kind == "cpu" or one.planned() is not None else ["memory"]
    missing += ["bandwidth"] if one.bandwidth is None else []
    missing += ["flops of bf16 or fp16"] if not one.flops.keys() & {"bf16", "fp16"} else []
    yield from _missing(one.name, missing)


def _offer(offer: Offer, catalogue: Catalogue) -> Iterator[Finding]:
    yield from _unsourced(offer)
    known = catalogue.accelerators.get(offer.accelerator)
    if known is None:
        yield _wrong(
            "unknown-accelerator", offer.name, f"its accelerator {offer.accelerator} is not known"
        )
    link = offer.link or (known.link if known else None)
    if link is not None and link.domain < offer.count:
        yield _wrong(
            "link-smaller-than-machine", offer.name,
            f"its {link.kind} joins at most {link.domain} of its {offer.count} devices",
        )  # fmt: skip
    for price in offer.prices:
        yield from _price(offer.name, price)
    missing = [name for name in ("vcpus", "memory") if getattr(offer, name) is None]
    missing += ["prices"] if not offer.prices and offer.provider != OWN else []
    yield from _missing(offer.name, missing)


def _price(entry: str, price: Price) -> Iterator[Finding]:
    if price.on_demand is None and price.spot is None:
        yield from _missing(entry, [f"any price in {price.region}"])
    elif price.on_demand is not None and price.spot is not None and price.spot > price.on_demand:
        yield _wrong(
            "spot-over-on-demand", entry,
            f"in {price.region} spot costs ${price.spot:g}, more than ${price.on_demand:g} on"
            " demand",
        )  # fmt: skip


def _twice(catalogue: Catalogue) -> Iterator[Finding]:
    seen: set[str] = set()
    for offer in catalogue.offers:
        if offer.name.casefold() in seen:
            yield _wrong("same-offer-twice", offer.name, "it is offered twice under one name")
        seen.add(offer.name.casefold())
        regions = [price.region for price in offer.prices]
        if len(set(regions)) < len(regions):
            yield _wrong("same-region-twice", offer.name, "it has two prices in one region")


def _unsourced(entry: Accelerator | Offer) -> Iterator[Finding]:
    """Figures that say something and have no source."""
    values = {f.name: getattr(entry, f.name) for f in fields(entry) if f.name not in _NO_FIGURES}
    stated = [name for name, value in values.items() if value not in (None, "", (), {})]
    without = [name for name in stated if name not in entry.sources]
    if without:
        yield Finding(
            "without-source", Severity.ERROR, entry.name,
            f"there is no source for {', '.join(without)}",
            "say where the figure was read, or leave it out",
        )  # fmt: skip


def _wrong(kind: str, entry: str, message: str) -> Finding:
    hint = "llmops catalog show names the sources: one of the figures must be another"
    return Finding(kind, Severity.ERROR, entry, message, hint)


def _missing(entry: str, what: list[str]) -> Iterator[Finding]:
    if what:
        yield Finding(
            "missing", Severity.NOTE, entry, f"not known: {', '.join(what)}",
            "a file of your own may state it, with its source",
        )  # fmt: skip
