"""Dense decoders of 2024 with layer norms: StableLM, StarCoder2, Nemotron, Command R.

Beside their norms they are of Llama's kind; biases and the number of norms differ.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks, windows
from llmops.planning.architecture.decoder import TIED, Frame, whole
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import ByKvHead, Profile, Split, Weight
from llmops.planning.architecture.shape import Shape, Sizes, shape

STABLELM = Sizes(50304, 2560, 6912, 32, 32, 4096, kv_heads=32)
STARCODER_2 = Sizes(49152, 3072, 12288, 30, 24, 4096, kv_heads=2)
NEMOTRON = Sizes(256000, 6144, 24576, 32, 48, 4096)
COHERE = Sizes(256000, 8192, 22528, 40, 64, 8192)
COHERE_WINDOW = 4096

NORMED = Frame(norm_bias=True)


def stablelm(fields: Fields) -> Profile:
    """StableLM 2 and 3B; with a parallel residual there is one norm for both blocks."""
    found = shape(fields, STABLELM)
    parallel = fields.flag("use_parallel_residual", default=False)
    weights = (
        *found.norms("input_layernorm", bias=True),
        *found.attention(bias=fields.flag("use_qkv_bias", default=False)),
        *(_norm_per_head(found) if fields.flag("qk_layernorm", default=False) else ()),
        *(() if parallel else found.norms("post_attention_layernorm", bias=True)),
        *found.gated(),
    )
    return whole(fields, found, weights, (None,) * found.layers, NORMED)


def _norm_per_head(found: Shape) -> tuple[Weight, ...]:
    return (
        Weight(
            "self_attn.q_layernorm.norms.weight", (found.heads.size,),
            role="norm", copies=found.heads.count,
        ),
        Weight(
            "self_attn.k_layernorm.norms.weight", (found.heads.size,),
            role="norm", copies=found.heads.kv,
        ),
    )  # fmt: skip


def starcoder2(fields: Fields) -> Profile:
    """StarCoder2: biases everywhere, a feed-forward layer without a gate."""
    found = shape(fields, STARCODER_2)
    bias = fields.flag("use_bias", default=True)
    weights = (
        *found.norms("input_layernorm", bias=True),
        *found.attention(bias=bias, out_bias=bias),
        *found.norms("post_attention_layernorm", bias=True),
        *found.plain("c_fc", "c_proj", bias=bias),
    )
    spans = windows.alike(fields, found.layers)
    return whole(fields, found, weights, spans, Frame(tied=True, norm_bias=True))


def nemotron(fields: Fields) -> Profile:
    """Nemotron 4 and Minitron: norms around one, a feed-forward layer without a gate."""
    found = shape(fields, NEMOTRON)
    bias = fields.flag("attention_bias", default=False)
    mlp_bias = fields.flag("mlp_bias", default=False)
    weights = (
        *found.norms("input_layernorm", bias=True),
        *found.attention(bias=bias, out_bias=bias),
        *found.norms("post_attention_layernorm", bias=True),
        *found.plain("up_proj", "down_proj", bias=mlp_bias),
    )
    return whole(fields, found, weights, (None,) * found.layers, NORMED)


def cohere(fields: Fields) -> Profile:
    """Command R and Aya: one norm for both blocks, side by side; a tied table."""
    found = shape(fields, COHERE)
    weights = _cohere_layer(fields, found)
    if fields.flag("use_qk_norm", default=False):
        by_head, by_kv = Split(found.heads.count, blocks.HEADS), ByKvHead(found.heads.kv)
        queries, keys = (found.heads.count, found.heads.size), (found.heads.kv, found.heads.size)
        weights += (
            Weight("self_attn.q_norm.weight", queries, by_head, "norm"),
            Weight("self_attn.k_norm.weight", keys, by_kv, "norm"),
        )
    return whole(fields, found, weights, (None,) * found.layers, TIED)


def cohere2(fields: Fields) -> Profile:
    """Command R7B and Command A: windows on three layers of four.

    vLLM keeps one token more than the window says, since the token itself is beside it.
    """
    found = shape(fields, COHERE)
    every = fields.number("sliding_window_pattern", default=4)
    said = windows.by_type(fields, found.layers, every, COHERE_WINDOW)
    spans = tuple(window and window + 1 for window in said)
    return whole(fields, found, _cohere_layer(fields, found), spans, TIED)


def _cohere_layer(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    bias = fields.flag("attention_bias", default=False)
    attention = found.attention(bias=bias, out_bias=bias)
    return (*found.norms("input_layernorm"), *attention, *found.gated())


READERS = {
    "stablelm": stablelm,
    "starcoder2": starcoder2,
    "nemotron": nemotron,
    "cohere": cohere,
    "cohere2": cohere2,
}
