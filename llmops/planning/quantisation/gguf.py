"""GGUF files: each tensor has a type of its own, so a model is known by the types in its headers.

Without the tensors' names only the sum is known: each matrix is reckoned with the average, which
makes the whole exact and its parts near.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llmops.planning.quantisation.value import ANY, Group, Quantisation

BLOCKS: Mapping[str, tuple[int, int]] = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
    "Q8_1": (32, 40), "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144),
    "Q5_K": (256, 176), "Q6_K": (256, 210), "Q8_K": (256, 292), "IQ2_XXS": (256, 66),
    "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98), "IQ1_S": (256, 50), "IQ4_NL": (32, 18),
    "IQ3_S": (256, 110), "IQ2_S": (256, 82), "IQ4_XS": (256, 136), "IQ1_M": (256, 56),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "Q1_0": (128, 18), "MXFP4": (32, 17), "NVFP4": (64, 36),
}  # fmt: skip
"""Elements and bytes of a block of each type (`GGML_QUANT_SIZES` of the gguf package)."""


UNIT = 256
"""A multiple of every block's elements."""


@dataclass(frozen=True, slots=True)
class Average:
    """The form of a matrix of which only the whole model's sum is known."""

    total: int
    """Bytes of all quantised tensors, times UNIT."""
    elements: int

    def why_not(self, rows: int, columns: int) -> str:  # noqa: ARG002 - any matrix can
        """Never a reason; see `Form.why_not`."""
        return ""

    def size(self, rows: int, columns: int, element: int) -> int:  # noqa: ARG002
        """Bytes of a matrix; see `Form.size`."""
        return -(-rows * columns * self.total // (self.elements * UNIT))


def gguf(dtypes: Mapping[str, int]) -> Quantisation | None:
    """From the number of elements of each type; None when none is GGUF's own."""
    found = {name: count for name, count in dtypes.items() if name in BLOCKS and count > 0}
    if not found:
        return None
    total = sum(
        count * BLOCKS[name][1] * (UNIT // BLOCKS[name][0]) for name, count in found.items()
    )
    form = Average(total, sum(found.values()))
    kinds = ", ".join(sorted(found, key=lambda name: -found[name]))
    return Quantisation(
        method="gguf",
        words=f"matrices of {kinds}; norms stay as they are",
        groups=(Group(form, ANY),),
        unloadable="vLLM 0.32 does not load GGUF files",
    )
