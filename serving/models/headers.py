"""What a safetensors file says of itself, read from its header alone.

The format: eight bytes of little-endian length, then that many bytes of JSON, then the tensors
(https://github.com/huggingface/safetensors#format). Nothing is loaded, and lengths are bounded
before anything is allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import ModelError

MAX_HEADER = 100_000_000
"""Bytes; the same bound that the safetensors library has."""

SIZES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2,
    "U16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Bytes of one element by type name."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What weight files hold: elements by type, and bytes of tensors."""

    dtypes: dict[str, int]
    bytes: int

    @property
    def parameters(self) -> int:
        """Number of elements in all."""
        return sum(self.dtypes.values())


def parse(name: str, read: Callable[[int, int], bytes], size: int) -> dict[str, Any]:
    """The header of one file.

    Args:
        name: For messages.
        read: Returns `length` bytes from an offset: `read(offset, length)`.
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
            f"{name} is not a whole safetensors file: its header claims {length} bytes"
        )
    try:
        header: dict[str, Any] = json.loads(read(8, length))
        header.pop("__metadata__", None)
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"{name} has a damaged safetensors header") from error
    if size != 8 + length + end:
        raise ModelError(f"{name} should have {8 + length + end} bytes, and has {size}")
    return header


def parse_file(path: Path) -> dict[str, Any]:
    """The header of a file on disk."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return parse(path.name, read, path.stat().st_size)


def total(headers: Iterable[dict[str, Any]]) -> Weights:
    """Elements and bytes over several files' headers.

    Raises:
        ModelError: For an element type that is not known.
    """
    dtypes: dict[str, int] = {}
    weight_bytes = 0
    for header in headers:
        for name, entry in header.items():
            kind = entry["dtype"]
            if kind not in SIZES:
                raise ModelError(f"tensor {name} has the unknown type {kind}")
            count = math.prod(entry["shape"])
            dtypes[kind] = dtypes.get(kind, 0) + count
            weight_bytes += count * SIZES[kind]
    return Weights(dtypes, weight_bytes)
