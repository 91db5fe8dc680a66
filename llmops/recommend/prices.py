"""What the cheapest machine costs that holds a model's weights: the seam to the planner.

`recommend` takes any callable from a model to dollars an hour. This one knows offers and memory
only; the planner's own knows layouts, and takes its place when it can.
"""

from __future__ import annotations

from collections.abc import Callable

from llmops.catalog import Accelerator, Catalogue, Offer, OpenModel
from llmops.recommend.memory import SHARDS, devices
from llmops.recommend.request import Gpu

Cost = Callable[[OpenModel], float | None]
"""Dollars an hour of serving one replica; None when nobody knows."""


def cheapest(catalogue: Catalogue, gpu: Gpu | None = None) -> Cost:
    """The least on-demand price of one machine that holds the weights as they are served.

    Args:
        gpu: Only machines of this accelerator.
    """
    priced = [(price, offer) for offer in catalogue.offers if (price := _price(offer)) is not None]
    wanted = gpu.name if gpu else None
    known = sorted(
        (price, memory, offer.count)
        for price, offer in priced
        if (memory := _memory(catalogue, offer, wanted)) is not None
    )

    def cost(model: OpenModel) -> float | None:
        for price, memory, count in known:
            needed = devices(model.weight_bytes, memory)
            if needed is not None and needed <= count:
                return price
        return None

    return cost


def _price(offer: Offer) -> float | None:
    asked = [price.on_demand for price in offer.prices if price.on_demand is not None]
    return min(asked, default=None)


def _memory(catalogue: Catalogue, offer: Offer, wanted: str | None) -> int | None:
    if offer.count < 1 or offer.count > max(SHARDS) or wanted not in (None, offer.accelerator):
        return None
    accelerator = catalogue.accelerator(offer.accelerator)
    if accelerator is None or not _computes_in_16_bits(accelerator):
        return None
    return accelerator.planned()


def _computes_in_16_bits(accelerator: Accelerator) -> bool:
    """Whether vLLM runs bfloat16 on it, the format of nearly all weights: from 8.0 (Ampere) on."""
    if accelerator.vendor != "nvidia":
        return accelerator.vendor == "amd"
    major = accelerator.capability.partition(".")[0]
    return major.isdigit() and int(major) >= 8
