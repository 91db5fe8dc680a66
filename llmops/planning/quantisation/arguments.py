"""What compressed-tensors says of one tensor: its bits, and what shares a scale.

The defaults and the contradictions are those of the library's `QuantizationArgs` (0.17).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from llmops.planning.architecture import Fields
from llmops.planning.quantisation.section import block, group, one_of

STRATEGIES = ("tensor", "channel", "group", "block", "token", "tensor_group", "attn_head")
_IN_GROUPS = ("group", "tensor_group")


@dataclass(frozen=True, slots=True)
class Arguments:
    """How one tensor is quantised."""

    bits: int
    kind: Literal["int", "float"]
    strategy: str
    """One of `STRATEGIES`."""
    size: int
    """Inputs of a group; 0 without groups."""
    sides: tuple[int, int] | None
    """Rows and columns of a block."""
    symmetric: bool
    dynamic: bool
    """Whether its scales are made on the fly."""
    shared_exponent: bool
    """Whether its scales are exponents of one byte."""
    reordered: bool
    """Whether its columns are ordered by activation."""


def read_arguments(fields: Fields) -> Arguments:
    """Read a section of a config group.

    Raises:
        Refusal: When it is absurd, or contradicts itself.
    """
    size = group(fields, "group_size") if fields.has("group_size") else 0
    said = fields.text("strategy").lower() or _implied(fields, size)
    strategy = said if said in STRATEGIES else one_of(fields, "strategy", STRATEGIES)
    sides = _sides(fields)
    if strategy in _IN_GROUPS and not size:
        raise fields.absurd("group_size", f"missing, and its strategy is '{strategy}'")
    if size and strategy not in _IN_GROUPS:
        raise fields.absurd("group_size", f"{size}, and its strategy is '{strategy}'")
    if (strategy == "block") is not (sides is not None):
        there = "there" if sides else "missing"
        raise fields.absurd("block_structure", f"{there}, and its strategy is '{strategy}'")
    dynamic = fields.raw().get("dynamic")
    if strategy == "token" and not dynamic:
        raise fields.absurd("dynamic", "not true, and its strategy is 'token'")
    return Arguments(
        bits=one_of(fields, "num_bits", (2, 3, 4, 5, 6, 7, 8), 8),
        kind=one_of(fields, "type", ("int", "float"), "int"),
        strategy=strategy,
        size=size,
        sides=sides,
        symmetric=fields.flag("symmetric", default=True),
        dynamic=bool(dynamic),
        shared_exponent=fields.text("scale_dtype").removeprefix("torch.") == "uint8",
        reordered=fields.raw().get("actorder") in (True, "group", "dynamic"),
    )


def _implied(fields: Fields, size: int) -> str:
    if size:
        return "group"
    return "channel" if fields.has("group_size") else "tensor"


def _sides(fields: Fields) -> tuple[int, int] | None:
    text = fields.text("block_structure")
    if not text:
        return block(fields, "block_structure")
    found = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if found is None:
        raise fields.absurd("block_structure", "not two numbers")
    return (int(found[1]), int(found[2]))
