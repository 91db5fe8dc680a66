"""How the elements of one matrix lie in memory: packed values, scales, zero points.

Sizes are those of the tensors that vLLM 0.32 creates to load a checkpoint into, which a kernel may
then reorder. Some kernels drop zero points that they need not, or merge the scales of fused
projections; some pad what does not fill their tiles: that is not reckoned with here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Order = Literal["bytes", "inputs", "outputs"]
"""Elements side by side in bytes; or in words of 32 bits, along the inputs or along the outputs."""

WHOLE = 0
"""A block without an end: all rows, or all columns."""


class Form(Protocol):
    """What is asked of any form of a matrix."""

    def why_not(self, rows: int, columns: int) -> str:
        """Why a matrix cannot be stored so; empty when it can."""
        ...

    def size(self, rows: int, columns: int, element: int) -> int:
        """Bytes of a matrix of `rows` outputs and `columns` inputs.

        Args:
            rows: Outputs.
            columns: Inputs.
            element: Bytes of an element that is not quantised.
        """
        ...


@dataclass(frozen=True, slots=True)
class Packing:
    """The form of a quantised matrix of (outputs, inputs)."""

    bits: int
    """Of an element."""
    block: tuple[int, int]
    """Rows and columns that share a scale; WHOLE for all of them."""
    scale: int | None = 4
    """Bytes of a scale; None: those of an element that is not quantised."""
    order: Order = "bytes"
    zeros: bool = False
    """Whether each block has a zero point, packed along the outputs."""
    beside: int = 0
    """Bytes of single figures: scales of the whole matrix and of its inputs."""
    uneven: bool = False
    """Whether the last block may be smaller than the others."""
    again: int = 0
    """Scales that share a scale of 4 bytes in their turn; 0: they have none."""

    def why_not(self, rows: int, columns: int) -> str:
        """Why a matrix cannot be stored so; empty when it can."""
        high, wide = self.block
        if not self.uneven and wide and columns % wide:
            return f"groups of {wide} do not divide its {columns} inputs"
        if not self.uneven and high and rows % high:
            return f"blocks of {high} do not divide its {rows} outputs"
        if self.order == "outputs" and rows * self.bits % 32:
            return f"{rows} outputs of {self.bits} bits do not fill words of 32 bits"
        return ""

    def size(self, rows: int, columns: int, element: int) -> int:
        """Bytes of a matrix; see `Form.size`."""
        high, wide = self.block
        down = -(-rows // high) if high else 1
        across = -(-columns // wide) if wide else 1
        scales = down * across * (element if self.scale is None else self.scale)
        scales += 4 * -(-down * across // self.again) if self.again else 0
        zeros = across * words(rows, self.bits) if self.zeros else 0
        return self._values(rows, columns) + scales + zeros + self.beside

    def _values(self, rows: int, columns: int) -> int:
        if self.order == "inputs":
            return rows * words(columns, self.bits)
        if self.order == "outputs":
            return columns * words(rows, self.bits)
        return rows * (-(-columns * self.bits // 8))


def words(count: int, bits: int) -> int:
    """Bytes of `count` elements in words of 32 bits."""
    return 4 * -(-count * bits // 32)


def each(columns: int) -> tuple[int, int]:
    """A block for every `columns` inputs of every output."""
    return (1, columns)


TENSOR = (WHOLE, WHOLE)
"""One scale for the matrix."""

CHANNEL = (1, WHOLE)
"""One scale for each output."""

FP8 = Packing(bits=8, block=TENSOR)
FP8_CHANNEL = Packing(bits=8, block=CHANNEL)
INT8_CHANNEL = Packing(bits=8, block=CHANNEL)
MXFP4 = Packing(bits=4, block=each(32), scale=1)
"""Two to a byte, and a shared exponent for 32 (OCP Microscaling Formats 1.0)."""
MXFP8 = Packing(bits=8, block=each(32), scale=1)
NVFP4 = Packing(bits=4, block=each(16), scale=1, beside=8)
"""Two to a byte, an fp8 scale for 16, one scale for the weight and one for its inputs."""
NVFP4_A16 = Packing(bits=4, block=each(16), scale=1, beside=4)
"""The same, with inputs that are not quantised."""


def fp8_blocks(high: int, wide: int) -> Packing:
    """fp8 with a scale for each block; the last ones may be smaller."""
    return Packing(bits=8, block=(high, wide), uneven=True)
