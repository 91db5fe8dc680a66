"""The header of a GGUF file: its key-values and tensors, with every length checked before use.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. It is read
here because the `gguf` package follows any length that a damaged file claims (a count of 2^40 keeps
it busy for ever), and takes seconds over a vocabulary that plans nothing: lists are passed over.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"GGUF"
VERSIONS = (2, 3)

NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
"""How a value of each number type is packed, little-endian."""

STRING, ARRAY = 8, 9

BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""Elements and bytes of a block by tensor type: those of gguf 0.19."""

MOST_DIMENSIONS = 4
"""As ggml has."""

Value = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: values by key (lists are left out), shapes by tensor."""

    values: dict[str, Value]
    shapes: dict[str, tuple[int, ...]]


def read(path: Path) -> Header:
    """Read a file's header, and see that the file reaches as far as its tensors do.

    Raises:
        ValueError: When it is not a whole GGUF file; says where it ends to be one.
        OSError: When it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ValueError("it does not begin as one")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Cursor(content).header()


class _Cursor:
    """A place in the file that moves on as it is read, and never past its end."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content = content
        self._size = len(content)
        self._at = len(MAGIC)

    def header(self) -> Header:
        version = self._number("I")
        if version not in VERSIONS:
            raise ValueError(f"it is of version {version}, and {VERSIONS} are known")
        tensors, pairs = self._count(least=24), self._count(least=13)
        values: dict[str, Value] = {}
        for _ in range(pairs):
            key = self._string()
            value = self._value(int(self._number("I")))
            if value is not None:
                values[key] = value
        shapes, end = {}, 0
        for _ in range(tensors):
            name, shape, last = self._tensor()
            shapes[name], end = shape, max(end, last)
        alignment = values.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 2**20:
            raise ValueError(f"its tensors are aligned to {alignment!r}")
        needed = -(-self._at // alignment) * alignment + end
        if tensors and needed > self._size:
            raise ValueError(f"it should have {needed} bytes, and has {self._size}")
        return Header(values, shapes)

    def _tensor(self) -> tuple[str, tuple[int, ...], int]:
        """Name, shape, and where its bytes end among those of all tensors."""
        name, dimensions = self._string(), self._number("I")
        if dimensions > MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        shape = tuple(int(self._number("Q")) for _ in range(int(dimensions)))
        kind, offset = self._number("I"), int(self._number("Q"))
        elements, size = BLOCKS.get(int(kind), (1, 0))
        return name, shape, offset + math.prod(shape) // elements * size

    def _value(self, kind: int) -> Value | None:
        if kind in NUMBERS:
            return self._number(NUMBERS[kind])
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            self._pass_list()
            return None
        raise ValueError(f"a value has the unknown type {kind}")

    def _pass_list(self) -> None:
        kind = int(self._number("I"))
        if kind in NUMBERS:
            size = struct.calcsize("<" + NUMBERS[kind])
            self._take(self._count(least=size) * size)
        elif kind == STRING:
            for _ in range(self._count(least=8)):
                self._take(self._count(least=1))
        else:
            raise ValueError(f"a list has elements of type {kind}")

    def _string(self) -> str:
        begin = self._take(self._count(least=1))
        return self._content[begin : self._at].decode("utf-8", errors="replace")

    def _number(self, code: str) -> int | float | bool:
        code = "<" + code
        begin = self._take(struct.calcsize(code))
        number: int | float | bool = struct.unpack_from(code, self._content, begin)[0]
        return number

    def _count(self, *, least: int) -> int:
        """A count of things that have `least` bytes each: the file must have room for them."""
        count = int(self._number("Q"))
        if count * least > self._size - self._at:
            raise ValueError(f"it ends before the {count} things that it announces")
        return count

    def _take(self, size: int) -> int:
        """Move on; returns where it was."""
        begin = self._at
        if size > self._size - begin:
            raise ValueError("it ends in its header")
        self._at = begin + size
        return begin
