"""LFM2: short convolutions in most layers, attention in some, dense or with experts.

A convolution keeps the last inputs that it sees, and nothing else: elements as vLLM 0.32 allocates
them (`model_executor/layers/mamba/mamba_utils.py`, `short_conv_state_shape`). vLLM 0.32 serves both
models.
"""

from __future__ import annotations

from collections.abc import Sequence

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import attending
from llmops.planning.architecture.decoder import Frame, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Memory, Profile, Split, State, Weight
from llmops.planning.architecture.shape import UNEVEN, Shape, Sizes, shape

CHANNELS = "convolution channels"


SIZES = Sizes(kv_heads=8, positions=128_000)


def lfm2(fields: Fields) -> Profile:
    """LFM2 with a gated feed-forward layer everywhere."""
    found = shape(fields, SIZES, UNEVEN)
    width = _adjusted(fields)
    layers = _layers(fields, found, _plain(found.hidden, width), (), [False] * found.layers)
    return _profile(fields, found, layers, width)


def lfm2_moe(fields: Fields) -> Profile:
    """LFM2 with experts in all layers but the first few.

    The bias by which experts are chosen is no parameter, as transformers keeps it.
    """
    found = shape(fields, SIZES, UNEVEN)
    width = fields.number("intermediate_size", default=7168)
    small = fields.number("moe_intermediate_size", default=1792)
    experts = fields.number("num_experts", default=32)
    chosen = fields.number("num_experts_per_tok", default=4)
    dense = fields.number("num_dense_layers", default=2, least=0)
    routed = [number >= dense for number in range(found.layers)]
    many = blocks.experts(found.hidden, small, experts, prefix="feed_forward")
    layers = _layers(fields, found, _plain(found.hidden, width), many, routed)
    widest = max(small * chosen if any(routed) else 0, width if dense else 0)
    if not any(routed):
        return _profile(fields, found, layers, widest)
    return _profile(fields, found, layers, widest, experts, chosen)


def _layers(
    fields: Fields,
    found: Shape,
    dense: tuple[Weight, ...],
    many: tuple[Weight, ...],
    routed: Sequence[bool],
) -> list[Layer]:
    norms = found.norms("operator_norm", "ffn_norm")
    operators = {True: _attention(found), False: _convolution(fields, found.hidden)}
    kinds = {
        (full, sparse): Layer((*norms, *weights, *(many if sparse else dense)), memory)
        for full, (weights, memory) in operators.items()
        for sparse in set(routed)
    }
    return [kinds[kind] for kind in zip(_attending(fields, found.layers), routed, strict=True)]


def _profile(
    fields: Fields,
    found: Shape,
    layers: Sequence[Layer],
    widest: int,
    experts: int = 0,
    chosen: int = 0,
) -> Profile:
    if fields.has("tie_embedding"):  # its older name, which counts before the other
        fields = fields.like({**fields.raw(), "tie_word_embeddings": fields.raw()["tie_embedding"]})
    return decoder(
        fields,
        found,
        layers,
        Frame(norm="model.embedding_norm", tied=True),
        widest=max(widest, 3 * found.hidden),
        experts=experts,
        experts_per_token=chosen,
    )


def _attention(found: Shape) -> tuple[tuple[Weight, ...], tuple[Memory, ...]]:
    weights = (
        *found.attention(out="out_proj"),
        *blocks.norm("self_attn.q_layernorm", found.heads.size),
        *blocks.norm("self_attn.k_layernorm", found.heads.size),
    )
    return weights, (found.heads.keys(),)


def _convolution(fields: Fields, hidden: int) -> tuple[tuple[Weight, ...], tuple[Memory, ...]]:
    """A gated short convolution over the hidden features."""
    seen = fields.number("conv_L_cache", default=3)
    bias = fields.flag("conv_bias", default=False)
    cut = Split(hidden, CHANNELS)
    weights = (
        Weight("conv.conv.weight", (hidden, 1, seen), cut, "other"),
        *((Weight("conv.conv.bias", (hidden,), cut, "bias"),) * bias),
        *blocks.linear("conv.in_proj", 3 * hidden, hidden, cut, bias=bias),
        *blocks.linear_in("conv.out_proj", hidden, hidden, cut, bias=bias),
    )
    return weights, (State("conv", hidden * (seen - 1), cut),)


def _plain(hidden: int, width: int) -> tuple[Weight, ...]:
    cut, name = Split(width, blocks.FEED_FORWARD), "feed_forward"
    return (
        *blocks.linear(f"{name}.w1", width, hidden, cut),
        *blocks.linear(f"{name}.w3", width, hidden, cut),
        *blocks.linear_in(f"{name}.w2", hidden, width, cut),
    )


def _adjusted(fields: Fields) -> int:
    """The feed-forward width: two thirds of what is said, times a factor, rounded up.

    As `Lfm2MLP` of transformers works it out.

    Raises:
        Refusal: When what is said is absurd.
    """
    width = fields.number("block_ff_dim", "intermediate_size", default=12288)
    if not fields.flag("block_auto_adjust_ff_dim", default=True):
        return width
    step = fields.number("block_multiple_of", default=256)
    scaled = int(fields.real("block_ffn_dim_multiplier", 1.0) * int(2 * width / 3))
    return max(1, -(-scaled // step)) * step


def _attending(fields: Fields, layers: int) -> list[bool]:
    """For each layer whether it attends: `layer_types`, else `full_attn_idxs`, else all do."""
    if fields.has("layer_types"):
        return attending(fields, layers, "conv")
    named = fields.numbers("full_attn_idxs")
    full = set(range(layers) if named is None else named)
    return [number in full for number in range(layers)]


READERS = {"lfm2": lfm2, "lfm2_moe": lfm2_moe}
