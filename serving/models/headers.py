"""What a safetensors file says of itself, read from its header alone.

The format: eight bytes of little-endian length, then that many bytes of JSON, then the tensors
(https://github.com/huggingface/safetensors#format). Nothing is loaded, lengths are bounded before
anything is read, and the whole header is checked: whatever the bytes are, the answer is what the
file holds, or a ModelError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from llmops.planning import Tensor

MAX_HEADER = 100_000_000
"""Bytes; the same bound that the safetensors library has."""

BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16,
    "BF16": 16, "I16": 16, "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
"""Bits of one element by type name: those of safetensors 0.8."""

Read = Callable[[int, int], bytes]
"""`read(offset, length)`: that many bytes of a file, fewer only at its end."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What weight files hold: elements by type, and bytes of tensors."""

    dtypes: dict[str, int]
    bytes: int
    tensors: tuple[Tensor, ...] = field(default=(), compare=False, repr=False)
    """Each of them by name; empty where that is not known."""

    @property
    def parameters(self) -> int:
        """Number of elements in all."""
        return sum(self.dtypes.values())


def parse(name: str, read: Read, size: int) -> Weights:
    """What one file holds.

    Args:
        name: For messages.
        read: Reads the file; asked for the length, then for the header, and for nothing else.
        size: Bytes of the whole file.

    Raises:
        ModelError: When it is not a safetensors file, or ends before its tensors do.
    """
    start = read(0, 8)
    if start.startswith(b"version "):
        raise ModelError(
            f"{name} is a Git LFS pointer, not weights",
            hint="fetch the real files (git lfs pull)",
        )
    length = int.from_bytes(start, "little") if len(start) == 8 else 0
    if not 2 <= length <= min(MAX_HEADER, size - 8):
        raise ModelError(
            f"{name} is not a whole safetensors file: it has {size} bytes, and its header claims"
            f" {length}"
        )
    try:
        header = json.loads(read(8, length))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{name} has a damaged safetensors header") from error
    if not isinstance(header, dict):
        raise ModelError(f"{name} has a damaged safetensors header: it is no object")
    header.pop("__metadata__", None)
    tensors = [_tensor(name, key, entry) for key, entry in header.items()]
    end = _end(name, tensors)
    if size != 8 + length + end:
        raise ModelError(f"{name} should have {8 + length + end} bytes, and has {size}")
    listed = tuple(Tensor(key, t.shape, t.dtype) for key, t in zip(header, tensors, strict=True))
    found = total(Weights({t.dtype: t.count}, t.end - t.begin) for t in tensors)
    return replace(found, tensors=listed)


def total(parts: Iterable[Weights]) -> Weights:
    """Elements and bytes over several files."""
    dtypes: dict[str, int] = {}
    weight_bytes = 0
    tensors: list[Tensor] = []
    for part in parts:
        tensors += part.tensors
        weight_bytes += part.bytes
        for dtype, count in part.dtypes.items():
            dtypes[dtype] = dtypes.get(dtype, 0) + count
    return Weights(dtypes, weight_bytes, tuple(tensors))


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    count: int
    begin: int
    end: int


def _tensor(file: str, name: str, entry: Any) -> _Tensor:
    where = f"tensor {name[:80]!r} of {file}"
    if not isinstance(entry, dict):
        raise ModelError(f"{where} is not described")
    dtype: Any
    shape: Any
    offsets: Any
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in BITS:
        raise ModelError(f"{where} has the unknown type {str(dtype)[:40]!r}")
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        raise ModelError(f"{where} has a damaged shape or place")
    begin, end = offsets
    count = math.prod(shape)
    if count * BITS[dtype] != 8 * (end - begin):
        raise ModelError(f"{where} has {count} elements of {dtype} in {end - begin} bytes")
    return _Tensor(dtype, tuple(shape), count, begin, end)


def _sizes(value: Any) -> bool:
    """Whether it is a list of sizes whose product stays cheap to work out."""
    return (
        isinstance(value, list)
        and len(value) <= 64
        and all(type(size) is int and 0 <= size < 2**63 for size in value)
    )


def _end(file: str, tensors: Iterable[_Tensor]) -> int:
    """Where the last tensor ends; the format leaves no gap and lets none overlap."""
    end = 0
    for tensor in sorted(tensors, key=lambda t: (t.begin, t.end)):
        if tensor.begin != end:
            raise ModelError(f"{file} has a gap or an overlap between tensors at byte {end}")
        end = tensor.end
    return end


def tensors_of(file: Path) -> tuple[Tensor, ...]:
    """The tensors of one safetensors file, by its header alone.

    Raises:
        ModelError: When it is not a whole safetensors file.
    """

    def read(offset: int, length: int) -> bytes:
        with file.open("rb") as opened:
            opened.seek(offset)
            return opened.read(length)

    try:
        return parse(str(file), read, file.stat().st_size).tensors
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror}") from error
