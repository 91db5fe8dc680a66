"""Decoders with shared experts beside the routed ones and ordinary attention: GLM, ERNIE, MiniMax.

Which layers have experts is as transformers 5.19 and vLLM 0.32 decide it. Those with a gate on the
shared expert are in `moe`, those with latent attention in `deepseek`.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks, mixture
from llmops.planning.architecture.attention import Heads
from llmops.planning.architecture.decoder import Frame
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.mixture import Beside, Half, Routing
from llmops.planning.architecture.profile import ByKvHead, Profile, Split, Weight, Whole
from llmops.planning.architecture.shape import UNEVEN, Sizes, shape

GLM_4 = Sizes(kv_heads=8, positions=131072)
ERNIE = Sizes(kv_heads=4, positions=131072)
MINIMAX = Sizes(kv_heads=8, head_dim=128, positions=196608)


def glm4(fields: Fields) -> Profile:
    """GLM-4.5 and its like: dense layers first, one shared expert."""
    found = shape(fields, GLM_4, UNEVEN)
    norm = found.heads.size if fields.flag("use_qk_norm", default=False) else 0
    bias = fields.flag("attention_bias", default=False)
    half = Half(found.attention(bias=bias, qk_norm=norm), found.heads.keys())
    routed = mixture.routing(fields, "moe_intermediate_size", default=8, float32=True)
    beside = mixture.shared(fields, found.hidden, routed, default=1)
    first = fields.number("first_k_dense_replace", default=1, least=0)
    has_experts = [number >= first for number in range(found.layers)]
    return mixture.model(fields, found, half, routed, has_experts, beside=beside)


def ernie(fields: Fields) -> Profile:
    """ERNIE 4.5: experts from a first layer to a last one, every so many."""
    found = shape(fields, ERNIE, UNEVEN)
    bias = fields.flag("use_bias", default=False)
    routed = mixture.routing(
        fields,
        "moe_intermediate_size",
        counts=("moe_num_experts", "num_experts"),
        per_token=("moe_k", "num_experts_per_tok"),
        default=6,
        float32=True,
    )
    half = Half(found.attention(bias=bias, out_bias=bias), found.heads.keys())
    beside = _ernie_shared(fields, found.hidden, routed, bias=bias)
    return mixture.model(
        fields, found, half, routed, _ernie_layers(fields), Frame(tied=True, head_bias=bias),
        beside=beside, bias=bias,
    )  # fmt: skip


def _ernie_layers(fields: Fields) -> list[bool]:
    layers = fields.layers()
    first = fields.number("moe_layer_start_index", default=1, least=0)
    last = fields.number("moe_layer_end_index", default=-1, least=-1)
    last = layers - 1 if last < 0 else last
    every = fields.number("moe_layer_interval", default=1)
    return [first <= number <= last and not (number + 1) % every for number in range(layers)]


def _ernie_shared(fields: Fields, hidden: int, routed: Routing, *, bias: bool) -> Beside:
    """Shared experts, and the correction that the router adds before it chooses."""
    width = routed.width * fields.number("moe_num_shared_experts", default=2, least=0)
    correction = Weight(
        "mlp.gate.moe_statics.e_score_correction_bias", (1, routed.experts), Whole(), "bias",
        float32=True,
    )  # fmt: skip
    if not width:
        return Beside((correction,))
    shared = blocks.gated(hidden, width, prefix="mlp.shared_experts", bias=bias)
    return Beside((correction, *shared), width)


def minimax_m2(fields: Fields) -> Profile:
    """MiniMax-M2: queries and keys are normed over all heads together, and the norms are cut."""
    found = shape(fields, MINIMAX, UNEVEN)
    routed = mixture.routing(fields, "intermediate_size", default=8, float32=True)
    half = Half((*found.attention(), *_cut_norms(found.heads)), found.heads.keys())
    return mixture.model(fields, found, half, routed, [True] * found.layers)


def _cut_norms(heads: Heads) -> tuple[Weight, ...]:
    queries, keys = heads.count * heads.size, heads.kv * heads.size
    by_head = Split(heads.count, blocks.HEADS)
    return (
        Weight("self_attn.q_norm.weight", (queries,), by_head, "norm"),
        Weight("self_attn.k_norm.weight", (keys,), ByKvHead(heads.kv), "norm"),
    )


READERS = {"ernie4_5_moe": ernie, "glm4_moe": glm4, "minimax_m2": minimax_m2}
