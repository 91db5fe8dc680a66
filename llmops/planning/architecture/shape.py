"""The sizes of a model from its configuration: those that all families name, each in its words.

A whole `config.json` must say the sizes itself; only a section inside a larger one leaves out what
its class has as a default. KV heads, the size of a head and the longest request are left out in
both. What is in a layer is the family's business.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import Heads, heads
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Weight


@dataclass(frozen=True, slots=True)
class Sizes:
    """What transformers 5.19 takes for a family where a configuration says nothing; 0: nothing."""

    vocabulary: int = 0
    hidden: int = 0
    width: int = 0
    layers: int = 0
    heads: int = 0
    positions: int = 0
    kv_heads: int = 0
    """KV heads; 0: as many as attention heads."""
    head_dim: int = 0
    """Size of a head; 0: the hidden size over the heads."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a family calls its sizes, each under one or several names."""

    hidden: tuple[str, ...] = ("hidden_size",)
    heads: tuple[str, ...] = ("num_attention_heads",)
    """Empty: a model without attention, or whose reader knows its heads otherwise."""
    kv_heads: tuple[str, ...] = ("num_key_value_heads",)
    head_dim: tuple[str, ...] = ("head_dim",)
    width: tuple[str, ...] = ("intermediate_size",)
    """Empty: the reader works it out."""
    layers: tuple[str, ...] = ()
    """Empty: any of those that `Fields.layers` knows."""


MODERN = Names()

UNEVEN = Names(width=())
"""Of a model whose layers are not all feed-forward layers of one width."""

BARE = Names(heads=(), width=())
"""Of one without attention, or with one whose heads its reader knows."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder or an encoder."""

    hidden: int
    heads: Heads
    width: int
    """Of the feed-forward layers; 0 where each layer has its own."""
    vocabulary: int
    layers: int
    positions: int
    """Longest request in tokens."""

    def attention(
        self,
        *,
        bias: bool = False,
        out_bias: bool = False,
        qk_norm: int = 0,
        prefix: str = "self_attn",
        out: str = "o_proj",
    ) -> tuple[Weight, ...]:
        """Attention with separate projections (see `blocks.attention`)."""
        return blocks.attention(
            self.hidden, self.heads.count, self.heads.kv, self.heads.size,
            bias=bias, out_bias=out_bias, qk_norm=qk_norm, prefix=prefix, out=out,
        )  # fmt: skip

    def gated(self, *, bias: bool = False, prefix: str = "mlp") -> tuple[Weight, ...]:
        """A gated feed-forward layer."""
        return blocks.gated(self.hidden, self.width, bias=bias, prefix=prefix)

    def plain(self, up: str, down: str, *, bias: bool = True) -> tuple[Weight, ...]:
        """A feed-forward layer without a gate."""
        return blocks.plain(self.hidden, self.width, bias=bias, up=up, down=down)

    def norms(self, *names: str, bias: bool = False) -> tuple[Weight, ...]:
        """Norms over the hidden size."""
        return tuple(w for name in names for w in blocks.norm(name, self.hidden, bias=bias))


def shape(fields: Fields, sizes: Sizes, names: Names = MODERN) -> Shape:
    """The sizes that a configuration names.

    Raises:
        Refusal: When one is missing or absurd, or heads do not divide as they must.
    """
    hidden = fields.deciding(*names.hidden, default=sizes.hidden)
    given = Heads(sizes.heads, sizes.kv_heads, sizes.head_dim)
    said = [name for name in names.layers if fields.has(name)]
    return Shape(
        hidden=hidden,
        heads=heads(
            fields, hidden, count=names.heads, kv=names.kv_heads, size=names.head_dim, default=given
        )
        if names.heads
        else Heads(),
        width=fields.deciding(*names.width, default=sizes.width) if names.width else 0,
        vocabulary=fields.deciding("vocab_size", default=sizes.vocabulary),
        layers=fields.layers(*said, default=sizes.layers),
        positions=fields.positions(sizes.positions or None),
    )
