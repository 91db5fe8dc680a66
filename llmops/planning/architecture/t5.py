"""T5 and its kin: encoder-decoders with relative positions and norms without means.

The encoder's tokens are kept as keys and values for each layer of the decoder, beside its own. No
length is built in: where the configuration names none, it is the 512 tokens that T5 was trained
with (https://arxiv.org/abs/1910.10683, section 3.1.2). vLLM 0.32 serves none of them
(`model_executor/models/registry.py` lists no T5); the cut is that of its layers of the same kind.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmops.planning.architecture import blocks
from llmops.planning.architecture.ends import kind
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import (
    Cross,
    Keys,
    Layer,
    Profile,
    Split,
    Weight,
    Whole,
)

TRAINED = 512

_HEAD_IN_FILES = (
    "config.json says that the head is a table of its own, and transformers 5.19 takes it for the"
    " embeddings: files that hold one have {elements} parameters more"
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of both stacks."""

    hidden: int
    heads: int
    head_dim: int
    width: int
    gated: bool
    buckets: int
    """Distances that are told apart."""

    @property
    def cut(self) -> Split:
        """How attention is cut."""
        return Split(self.heads, blocks.HEADS)

    def attention(self, name: str, *, biased: bool = False) -> tuple[Weight, ...]:
        """Attention without biases, with a table of distances if `biased`."""
        inner = self.heads * self.head_dim
        table = Weight(
            f"{name}.relative_attention_bias.weight", (self.buckets, self.heads), Whole(), "other"
        )
        return (
            *(
                weight
                for part in "qkv"
                for weight in blocks.linear(f"{name}.{part}", inner, self.hidden, self.cut)
            ),
            *blocks.linear_in(f"{name}.o", self.hidden, inner, self.cut),
            *((table,) * biased),
        )

    def forward(self, name: str) -> tuple[Weight, ...]:
        """The feed-forward layer."""
        cut = Split(self.width, blocks.FEED_FORWARD)
        return (
            *(
                weight
                for part in (("wi_0", "wi_1") if self.gated else ("wi",))
                for weight in blocks.linear(f"{name}.{part}", self.width, self.hidden, cut)
            ),
            *blocks.linear_in(f"{name}.wo", self.hidden, self.width, cut),
        )

    def encoding(self, *, biased: bool) -> Layer:
        """A layer of the encoder."""
        return Layer(
            (
                *self.attention("layer.0.SelfAttention", biased=biased),
                *blocks.norm("layer.0.layer_norm", self.hidden),
                *self.forward("layer.1.DenseReluDense"),
                *blocks.norm("layer.1.layer_norm", self.hidden),
            )
        )

    def decoding(self, *, biased: bool) -> Layer:
        """A layer of the decoder."""
        return Layer(
            (
                *self.attention("layer.0.SelfAttention", biased=biased),
                *blocks.norm("layer.0.layer_norm", self.hidden),
                *self.attention("layer.1.EncDecAttention"),
                *blocks.norm("layer.1.layer_norm", self.hidden),
                *self.forward("layer.2.DenseReluDense"),
                *blocks.norm("layer.2.layer_norm", self.hidden),
            ),
            (
                Keys(self.heads, self.head_dim, self.head_dim),
                Cross(self.heads, self.head_dim, self.head_dim, None),
            ),
        )


def t5(fields: Fields) -> Profile:
    """T5, T5 1.1, Flan-T5 and mT5: the first layer's table of distances serves the whole stack."""
    return _read(fields, everywhere=False)


def umt5(fields: Fields) -> Profile:
    """UMT5: every layer has a table of distances of its own."""
    return _read(fields, everywhere=True)


def _read(fields: Fields, *, everywhere: bool) -> Profile:
    sizes = _sizes(fields)
    layers = fields.layers("num_layers", "num_hidden_layers")
    encoder = _stack(sizes.encoding(biased=True), sizes.encoding(biased=everywhere), layers)
    if fields.name.endswith("EncoderModel"):
        return _profile(fields, sizes, encoder)
    kind(fields, ("conditional",))
    own = fields.layers("num_decoder_layers") if fields.has("num_decoder_layers") else layers
    decoder = _stack(sizes.decoding(biased=True), sizes.decoding(biased=everywhere), own)
    return _profile(fields, sizes, encoder, decoder)


def _sizes(fields: Fields) -> Sizes:
    forward = fields.text("feed_forward_proj", _FORWARDS.get(fields.model_type, "relu"))
    parts = forward.split("-")
    if len(parts) > 2 or (len(parts) == 2 and parts[0] != "gated"):
        raise fields.absurd("feed_forward_proj", "neither an activation nor a gated one")
    return Sizes(
        hidden=fields.number("d_model", "hidden_size"),
        heads=fields.number("num_heads", "num_attention_heads"),
        head_dim=fields.number("d_kv", "head_dim", default=64),
        width=fields.number("d_ff"),
        gated=parts[0] == "gated",
        buckets=fields.number("relative_attention_num_buckets", default=32),
    )


_FORWARDS = {"mt5": "gated-gelu", "umt5": "gated-gelu"}


def _stack(first: Layer, later: Layer, layers: int) -> tuple[Layer, ...]:
    return (first, *((first if later == first else later),) * (layers - 1))


def _profile(
    fields: Fields,
    sizes: Sizes,
    encoder: tuple[Layer, ...],
    decoder: tuple[Layer, ...] = (),
) -> Profile:
    """Both stacks between one table of tokens; or the encoder alone, to give vectors."""
    vocabulary = fields.number("vocab_size")
    untied = bool(decoder) and not fields.flag("tie_word_embeddings", default=True)
    note = _HEAD_IN_FILES.format(elements=vocabulary * sizes.hidden)
    table = blocks.table("shared", vocabulary, sizes.hidden)
    last = blocks.norm("encoder.final_layer_norm", sizes.hidden)
    return Profile(
        name=fields.name,
        model_type=fields.model_type,
        task="transduce" if decoder else "embed",
        hidden=sizes.hidden,
        heads=sizes.heads,
        kv_heads=sizes.heads,
        head_dim=sizes.head_dim,
        intermediate=sizes.width,
        vocabulary=vocabulary,
        max_positions=fields.positions(TRAINED),
        layers=decoder or encoder,
        before=(*table, *last) if decoder else table,
        after=blocks.norm("decoder.final_layer_norm", sizes.hidden) if decoder else last,
        tied=bool(decoder),
        stem="decoder.block" if decoder else "encoder.block",
        encoder=encoder if decoder else (),
        notes=(note,) if untied else (),
    )


READERS = {"t5": t5, "mt5": t5, "umt5": umt5}
