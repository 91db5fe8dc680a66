"""How much memory a model's weights take, and whether some accelerators hold them.

A first look only: the planner works out the KV cache, the layout and the rest for one model.
"""

from __future__ import annotations

from llmops.catalog import OpenModel
from llmops.planning import Figure
from llmops.recommend.request import Gpu

GB = 10**9
SHARE = 0.8
"""Share of a device's memory that weights may take here, so that a KV cache and the engine have
room beside them. An assumption; `llmops plan --model SOURCE` works it out."""

FOUR_BITS = 4.5
"""Bits of a weight in 4 bits with a 32-bit scale for 64 of them (Dettmers et al., "QLoRA", 2023,
section 3: 32/64 = 0.5 bits more). Of a given number of bits, 4 for each parameter were mostly best
(Dettmers and Zettlemoyer, "The case for 4-bit precision", 2023)."""

LEAST_FOUR_BITS = 3 * GB
"""Parameters from which quantising is worth its trouble here: smaller ones fit anything."""

SHARDS = (1, 2, 4, 8)
"""Devices that a model is commonly cut over: powers of two divide the heads of nearly all."""


def served(model: OpenModel) -> Figure:
    """Bytes of the weights as they would be served."""
    if model.checkpoint:
        return Figure(int(model.checkpoint), "the published weights, which are quantised")
    return Figure(2 * model.parameters, f"{model.parameters:,} parameters x 2 bytes")


def four_bits(model: OpenModel) -> Figure | None:
    """Bytes of the weights in 4 bits; None for what is small, or published so."""
    if model.checkpoint or model.parameters < LEAST_FOUR_BITS:
        return None
    bytes_ = int(model.parameters * FOUR_BITS / 8)
    return Figure(bytes_, f"{model.parameters:,} parameters x {FOUR_BITS} bits, scales included")


def devices(bytes_: int, memory: int) -> int | None:
    """The least number of devices, a power of two, that hold so much; None above 8."""
    return next((count for count in SHARDS if bytes_ <= SHARE * memory * count), None)


def fits(bytes_: int, gpu: Gpu) -> bool:
    """Whether the accelerators hold the weights."""
    needed = devices(bytes_, gpu.memory)
    return needed is not None and needed <= gpu.count
