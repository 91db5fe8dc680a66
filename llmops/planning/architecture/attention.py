"""The attention of a decoder: how many heads it has, of which size, and which layers have any.

Heads, KV heads and the size of a head are read here for all known decoders; what divides what is
asked in one way. What the projections around the heads are is the families' business.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture.fields import Fields, printable
from llmops.planning.architecture.profile import Keys

FULL = frozenset({"attention", "full_attention"})
"""What configurations of different age call a layer of full attention."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of a decoder's attention; all 0 for a model without attention."""

    count: int = 0
    kv: int = 0
    size: int = 0

    def keys(self, window: int | None = None, *, chunk: int | None = None) -> Keys:
        """What a layer remembers, over a window of tokens or within chunks if there are such."""
        return Keys(self.kv, self.size, self.size, window, chunk)


def heads(
    fields: Fields,
    hidden: int,
    *,
    count: tuple[str, ...] = ("num_attention_heads",),
    kv: tuple[str, ...] = ("num_key_value_heads",),
    size: tuple[str, ...] = ("head_dim",),
    default: Heads | None = None,
) -> Heads:
    """The heads that a configuration names.

    Args:
        hidden: Features that the heads divide where no size is said.
        count: Names of their number; so `kv` and `size`, which may have no name at all.
        default: The family's figures where nothing is said, each 0 where it has none: then there
            are as many KV heads as heads, and the size is the hidden size over the heads. Null
            asks for the same.

    Raises:
        Refusal: When a figure is absurd, or KV heads do not divide the heads, or the heads the
            hidden size.
    """
    given = default or Heads()
    many = fields.deciding(*count, default=given.count)
    few = _said(fields, kv, given.kv) or many
    if many % few:
        name = kv[0] if kv else "num_kv_heads"
        raise fields.absurd(name, f"{few}, which does not divide {many} attention heads")
    said = _said(fields, size, given.size)
    return Heads(many, few, said or fields.divides(hidden, many, "hidden_size", "attention heads"))


def _said(fields: Fields, names: tuple[str, ...], default: int) -> int:
    """The figure of that name; 0 where it is null, and the default where it is missing."""
    found = fields.optional(*names) if names else None
    return found or (0 if any(map(fields.says, names)) else default)


def attending(fields: Fields, layers: int, *others: str) -> list[bool]:
    """For each layer whether it attends, as `layer_types` says; none does where nothing is said.

    Args:
        others: What the layers that do not are called.

    Raises:
        Refusal: When there is not a known word for each layer.
    """
    field = "layer_types" if fields.has("layer_types") else "layers_block_type"
    kinds = fields.texts(field, layers)
    if kinds is None:
        return [False] * layers
    unknown = sorted(set(kinds) - FULL - set(others))
    if unknown:
        raise fields.absurd(
            field, f"a list with '{printable(unknown[0])}', which is no known layer"
        )
    return [kind in FULL for kind in kinds]
