"""How the catalogue is shown: tables for people, and the same as data with sources and units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from cli.output import print_table, tell
from llmops.catalog import Accelerator, shown
from llmops.units import Bytes

if TYPE_CHECKING:
    from llmops.catalog import Finding, Link, Offer, Price, Source

UNITS = {
    "memory": "B", "usable": "B", "bandwidth": "B/s", "pcie": "B/s", "network": "bit/s",
    "flops": "op/s", "prices": "USD/h",
}  # fmt: skip
"""Units of the figures that have one, as data has them."""

ACCELERATOR_HEADS = ("ACCELERATOR", "MEMORY", "BANDWIDTH", "16-BIT", "FP8", "LINK")
OFFER_HEADS = ("OFFER", "DEVICES", "VCPUS", "MEMORY", "FABRIC", "ON DEMAND", "SPOT", "REGION")

ACCELERATOR = ("memory", "usable", "bandwidth", "flops", "link", "pcie", "capability", "year")
OFFER = ("accelerator", "count", "machines", "vcpus", "memory", "network", "fabric", "gpudirect",
         "rails", "link", "prices")  # fmt: skip


def listing(
    accelerators: Sequence[Accelerator], offers: Sequence[Offer], region: str
) -> dict[str, Any]:
    """What is listed, as data, without sources: `show` has them."""
    return {
        "accelerators": [
            {"name": a.name, "vendor": a.vendor, "kind": a.kind, "aliases": list(a.aliases)}
            | _values(a, ACCELERATOR)
            for a in accelerators
        ],
        "offers": [
            {"name": o.name, "provider": o.provider, "instance": o.instance}
            | _values(o, OFFER)
            | {"prices": [asdict(price) for price in _priced(o, region)]}
            for o in offers
        ],
    }


def print_listing(
    accelerators: Sequence[Accelerator], offers: Sequence[Offer], region: str
) -> None:
    """Two tables, of which either may be missing."""
    if accelerators:
        print_table(ACCELERATOR_HEADS, [_accelerator_row(one) for one in accelerators])
    if accelerators and offers:
        typer.echo("")
    if offers:
        print_table(OFFER_HEADS, [_offer_row(offer, region) for offer in offers])
    if not accelerators and not offers:
        tell("nothing in the catalogue is all of that")


def _accelerator_row(one: Accelerator) -> tuple[str, ...]:
    size = one.planned()
    half = one.flops.get("bf16", one.flops.get("fp16"))
    return (
        one.name, "?" if size is None else Bytes(size).human(), _rate(one.bandwidth, "B/s"),
        _rate(half, "FLOPS"), _rate(one.flops.get("fp8"), "FLOPS"), _link(one.link),
    )  # fmt: skip


def _offer_row(offer: Offer, region: str) -> tuple[str, ...]:
    prices = _priced(offer, region)
    cheapest = min(prices, key=_cost, default=None)
    return (
        offer.name, f"{offer.count} x {offer.accelerator}",
        "?" if offer.vcpus is None else str(offer.vcpus),
        "?" if offer.memory is None else Bytes(offer.memory).human(), offer.fabric or "?",
        _dollars(cheapest.on_demand if cheapest else None),
        _dollars(cheapest.spot if cheapest else None),
        _where(offer, prices, cheapest),
    )  # fmt: skip


def _priced(offer: Offer, region: str) -> tuple[Price, ...]:
    return tuple(price for price in offer.prices if not region or price.region == region)


def _cost(price: Price) -> float:
    known = [cost for cost in (price.on_demand, price.spot) if cost is not None]
    return known[0] if known else float("inf")


def _where(offer: Offer, prices: Sequence[Price], cheapest: Price | None) -> str:
    if cheapest is None:
        return f"{offer.machines} of your own" if offer.machines else "no price known"
    more = f" (+{len(prices) - 1})" if len(prices) > 1 else ""
    return f"{cheapest.region}{more}"


def document(entry: Accelerator | Offer) -> dict[str, Any]:
    """An entry as data: each figure with its unit and its source."""
    names = ACCELERATOR if isinstance(entry, Accelerator) else OFFER
    about = ("vendor", "kind", "aliases") if isinstance(entry, Accelerator) else ("provider",)
    head = {name: _plain(getattr(entry, name)) for name in ("name", *about)}
    figures = {
        name: {"value": value, "unit": UNITS.get(name, "")} | _cited(entry.sources.get(name))
        for name, value in _values(entry, names).items()
        if value not in (None, "", {}, [])
    }
    return {**head, "figures": figures}


def print_entry(entry: Accelerator | Offer) -> None:
    """A table of an entry's figures."""
    names = ACCELERATOR if isinstance(entry, Accelerator) else OFFER
    rows = [
        (label, text, source.title if source else "", str(source.date) if source else "")
        for name in names
        for label, text in _lines(name, getattr(entry, name))
        for source in [entry.sources.get(name)]
    ]
    typer.echo(f"{entry.name}{_also(entry)}")
    print_table(("FIGURE", "VALUE", "SOURCE", "OF"), rows)
    for source in {s.url: s for s in entry.sources.values() if s.url}.values():
        typer.echo(f"{source.id}: {source.url}")


def _also(entry: Accelerator | Offer) -> str:
    aliases = entry.aliases if isinstance(entry, Accelerator) else ()
    return f" ({', '.join(aliases)})" if aliases else ""


def _lines(name: str, value: Any) -> list[tuple[str, str]]:
    """A figure's labels and texts: one for each number format and region."""
    if value is None or value in ("", (), {}):
        return []
    if name in ("memory", "usable"):
        return [(name, f"{Bytes(value).human()} ({value} bytes)")]
    if name in ("bandwidth", "pcie", "network"):
        return [(name, shown(value, UNITS[name]))]
    if name == "flops":
        return [(f"flops {kind}", shown(rate, _operations(kind))) for kind, rate in value.items()]
    if name == "link":
        return [(name, _link(value))]
    if name == "prices":
        return [(f"price {price.region}", _price(price)) for price in value]
    return [(name, "yes" if value is True else "no" if value is False else str(value))]


def findings(found: Sequence[Finding]) -> dict[str, Any]:
    """What is wrong, as data."""
    return {"findings": [asdict(one) | {"severity": one.severity.value} for one in found]}


def print_findings(found: Sequence[Finding]) -> None:
    """A line for each finding, and how many there are."""
    for one in found:
        typer.echo(f"{one.severity.value}: {one.entry}: {one.message} ({one.id})")
    counts = [sum(one.severity.value == kind for one in found) for kind in ("error", "warning")]
    tell(f"{counts[0]} contradictory or without source, {counts[1]} stale")
    for hint in dict.fromkeys(one.hint for one in found if one.severity.value != "note"):
        tell(f"hint: {hint}")


def _values(entry: Accelerator | Offer, names: Sequence[str]) -> dict[str, Any]:
    return {name: _plain(getattr(entry, name)) for name in names}


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if hasattr(value, "items") else value


def _cited(source: Source | None) -> dict[str, Any]:
    return {"source": asdict(source) | {"date": source.date.isoformat()} if source else None}


def _rate(value: float | None, unit: str) -> str:
    return "-" if value is None else shown(value, unit)


def _operations(kind: str) -> str:
    return "OPS" if kind.startswith("int") else "FLOPS"


def _link(link: Link | None) -> str:
    return "" if link is None else f"{link.kind} {shown(link.bandwidth, 'B/s')} x {link.domain}"


def _dollars(value: float | None) -> str:
    return "" if value is None else f"${value:.2f}"


def _price(price: Price) -> str:
    known = {"on demand": price.on_demand, "spot": price.spot}
    return ", ".join(f"${cost:.4g} {what}" for what, cost in known.items() if cost is not None)
