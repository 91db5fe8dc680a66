"""How an unknown architecture's weights are cut over devices, guessed from name and shape.

Guesses follow what vLLM does with the weights of the architectures that it knows: tables by rows of
the vocabulary, attention by heads, the rest by the side that is not the hidden size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.profile import (
    ByExpert,
    ByKvHead,
    ByRow,
    Role,
    Split,
    Weight,
)
from llmops.planning.architecture.unknown import Standard

SMALL = 64
"""A side shorter than this is cut over no devices."""

_NORM = re.compile(r"norm|\bln", re.IGNORECASE)
_ROUTER = re.compile(r"router|gate\.", re.IGNORECASE)
_KEY_OR_VALUE = re.compile(r"\b(k_proj|v_proj|key|value|wk|wv)\b")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_TABLE = re.compile(r"embed|wte|wpe|tok", re.IGNORECASE)
_HEAD = re.compile(r"lm_head|head|output|embed_out", re.IGNORECASE)
_TOWER = re.compile(
    r"vision|visual|audio|image|project|connector|merger|\bmm_|encoder", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Rules:
    """The sizes that shapes are compared with."""

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    experts: int
    expert_width: int | None

    @classmethod
    def of(cls, found: Standard) -> Rules:
        """From the standard fields."""
        width = found.fields.optional("moe_intermediate_size", "intermediate_size")
        return cls(
            found.hidden,
            found.heads,
            found.kv_heads,
            found.head_dim,
            found.vocabulary,
            found.experts,
            width,
        )


def guessed(rules: Rules, weight: Weight) -> Weight:
    """A weight of a decoder's layer, with its cut and role."""
    if weight.role == "expert" or ("experts" in weight.name and len(weight.shape) == 3):
        cut = ByExpert(weight.shape[0], _expert_units(rules, weight.shape[1:]))
        return replace(weight, cut=cut, role="expert")
    if len(weight.shape) < 2:
        return replace(weight, role=_role(weight.name))
    if rules.experts and weight.shape[0] == rules.experts and _ROUTER.search(weight.name):
        return replace(weight, role="router")
    if min(weight.shape) < SMALL:
        return replace(weight, role="other")
    keyed = weight.shape[0] == rules.kv_heads * rules.head_dim
    if keyed and _KEY_OR_VALUE.search(weight.name):
        return replace(weight, cut=ByKvHead(rules.kv_heads))
    if _ATTENTION.search(weight.name):
        return replace(weight, cut=Split(rules.heads, blocks.HEADS))
    return replace(weight, cut=Split(_side(rules, weight.shape), blocks.FEED_FORWARD))


def outside(
    rules: Rules, weights: Iterable[Weight]
) -> tuple[tuple[Weight, ...], tuple[Weight, ...], tuple[Weight, ...]]:
    """Weights in no layer: those before the layers, those behind, and those of towers."""
    before: list[Weight] = []
    after: list[Weight] = []
    beside: list[Weight] = []
    for weight in weights:
        rows = weight.shape[0] if len(weight.shape) == 2 else 0
        table, head = _TABLE.search(weight.name), _HEAD.search(weight.name)
        if rows and rows >= rules.vocabulary and (table or head or rows == rules.vocabulary):
            behind = head is not None and not _inner(weight.name)
            role: Role = "head" if behind else "embedding"
            (after if behind else before).append(replace(weight, cut=ByRow(rows), role=role))
        elif _TOWER.search(weight.name):
            beside.append(replace(weight, role="other"))
        elif table:
            before.append(replace(weight, role="embedding"))
        else:
            after.append(replace(weight, role=_role(weight.name)))
    return tuple(before), tuple(after), tuple(beside)


def _inner(name: str) -> bool:
    """Whether a table that is named like both is the one for words: `embed_out` is the head."""
    return "embed" in name and "embed_out" not in name and "head" not in name


def _expert_units(rules: Rules, shape: tuple[int, ...]) -> int:
    if rules.expert_width and any(side % rules.expert_width == 0 for side in shape):
        return rules.expert_width
    return _side(rules, shape)


def _side(rules: Rules, shape: tuple[int, ...]) -> int:
    """The side that is cut: the longest that is not the hidden size."""
    return max((side for side in shape if side != rules.hidden), default=rules.hidden) or 1


def _role(name: str) -> Role:
    if _NORM.search(name):
        return "norm"
    return "bias" if name.endswith("bias") else "other"
