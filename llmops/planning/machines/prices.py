"""What machines cost an hour, and where that was read. Pure.

A spot price is bounded by the on-demand price: EC2 bills the market's price and never more than a
request's highest, which is the on-demand price where nobody sets another. So a budget that holds on
demand holds for spot machines, and for the on-demand ones that replace them.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.catalog import Catalogue, Offer, Price

HOURS_OF_A_MONTH = 730
"""A year of 8760 hours, by twelve."""


@dataclass(frozen=True, slots=True)
class Hourly:
    """What one machine costs an hour; None where nobody knows."""

    usd: float | None
    words: str


def hourly(offer: Offer, region: str, market: str) -> Hourly:
    """What one machine of an offer costs in a region, paid for in a way."""
    price = next((one for one in offer.prices if one.region == region), None)
    if market == "capacity_block":
        return Hourly(0.0, "paid when the capacity block was bought")
    if price is None or price.on_demand is None:
        return Hourly(None, _elsewhere(offer, region))
    dated = _dated(offer)
    if market != "spot":
        return Hourly(price.on_demand, f"on demand{dated}")
    if price.spot is not None:
        return Hourly(price.spot, f"spot{dated}")
    return Hourly(price.on_demand, f"the on-demand price{dated}, which spot never exceeds")


def head_hourly(catalogue: Catalogue, provider: str, machine: str, region: str) -> Hourly:
    """What the head costs an hour."""
    name = f"{provider}/{machine}"
    offer = next((one for one in catalogue.offers if one.name == name), None)
    if offer is None:
        return Hourly(None, f"the catalogue has no {name}")
    return hourly(offer, region, "on_demand")


def _dated(offer: Offer) -> str:
    source = offer.sources.get("prices")
    return f" of {source.date}" if source is not None and source.url else ""


def _elsewhere(offer: Offer, region: str) -> str:
    known: list[tuple[float, Price]] = [
        (one.on_demand, one) for one in offer.prices if one.on_demand is not None
    ]
    if not known:
        return f"the catalogue has no price of {offer.name}"
    least, price = min(known, key=lambda pair: pair[0])
    return f"no price in {region} is known; {least:,.4f} USD/h in {price.region}"
