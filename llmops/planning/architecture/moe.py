"""Decoders with routed experts and ordinary attention: Mixtral, Qwen, OLMoE, Granite, Phi.

Which layers have experts, and what stands beside them, is as transformers 5.19 and vLLM 0.32 build
them. Those with shared experts in DeepSeek's manner are in `moe_shared`, latent attention is in
`deepseek`, chunked attention in `llama4`, attention sinks in `gpt_oss`.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks, mixture, windows
from llmops.planning.architecture.decoder import Frame
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.mixture import Beside, Half, Routing
from llmops.planning.architecture.profile import Profile, Whole
from llmops.planning.architecture.shape import UNEVEN, Shape, Sizes, shape

MIXTRAL = Sizes(kv_heads=8, positions=131072)
OLMOE = Sizes(positions=4096)
GRANITE = Sizes(positions=2048)
QWEN_2 = Sizes(kv_heads=16, positions=32768)
QWEN_3 = Sizes(kv_heads=4, positions=32768)
QWEN_3_VL = Sizes(
    vocabulary=151936, hidden=2048, layers=24, heads=16, kv_heads=16, positions=128000
)


def mixtral(fields: Fields) -> Profile:
    """Mixtral: every layer has experts."""
    found = shape(fields, MIXTRAL, UNEVEN)
    keys = found.heads.keys(windows.all_or_none(fields, found.layers))
    routed = mixture.routing(fields, "intermediate_size", default=2)
    return mixture.model(fields, found, Half(found.attention(), keys), routed, _every(found))


def phimoe(fields: Fields) -> Profile:
    """Phi-3.5-MoE: as Mixtral, with biases on attention, norms and head."""
    found = shape(fields, MIXTRAL, UNEVEN)
    bias = fields.flag("attention_bias", default=False)
    half = Half(
        found.attention(bias=bias, out_bias=bias),
        found.heads.keys(windows.all_or_none(fields, found.layers)),
    )
    routed = mixture.routing(fields, "intermediate_size", default=2)
    frame = Frame(norm_bias=True, head_bias=fields.flag("lm_head_bias", default=False))
    return mixture.model(
        fields, found, half, routed, _every(found), frame,
        beside=Beside(router="router"), norm_bias=True,
    )  # fmt: skip


def olmoe(fields: Fields) -> Profile:
    """OLMoE: queries and keys are normed over all heads together."""
    found = shape(fields, OLMOE, UNEVEN)
    bias = fields.flag("attention_bias", default=False)
    attention = (
        *found.attention(bias=bias, out_bias=bias),
        *blocks.norm("self_attn.q_norm", found.hidden),
        *blocks.norm("self_attn.k_norm", found.heads.kv * found.heads.size),
    )
    half = Half(attention, found.heads.keys())
    routed = mixture.routing(fields, "intermediate_size", default=8)
    return mixture.model(fields, found, half, routed, _every(found))


def granite(fields: Fields) -> Profile:
    """Granite 3 MoE, with or without a feed-forward layer beside the experts."""
    found = shape(fields, GRANITE, UNEVEN)
    bias = fields.flag("attention_bias", default=False)
    half = Half(found.attention(bias=bias, out_bias=bias), found.heads.keys())
    routed = mixture.routing(fields, "intermediate_size", default=2)
    beside = mixture.ALONE
    if fields.model_type == "granitemoeshared":
        beside = _granite_shared(fields, found.hidden)
    return mixture.model(fields, found, half, routed, _every(found), beside=beside)


def _granite_shared(fields: Fields, hidden: int) -> Beside:
    width = fields.number("shared_intermediate_size", default=0, least=0)
    if not width:
        return mixture.ALONE
    into, out = "shared_mlp.input_linear", "shared_mlp.output_linear"
    return Beside(blocks.gated_fused(hidden, width, into, out), width)


def qwen2(fields: Fields) -> Profile:
    """Qwen1.5-MoE and Qwen2-MoE: a shared expert with a gate of its own beside the routed ones."""
    found = shape(fields, QWEN_2, UNEVEN)
    # Without a list of kinds transformers makes every other layer slide, which vLLM takes for none.
    size = _qwen_window(fields, found) if fields.has("layer_types") else None
    bias = fields.flag("qkv_bias", default=True)
    half = Half(found.attention(bias=bias), found.heads.keys(size))
    routed = mixture.routing(fields, "moe_intermediate_size", default=4, least=0)
    width = fields.number("shared_expert_intermediate_size", default=5632)
    shared = (
        *blocks.gated(found.hidden, width, prefix="mlp.shared_expert"),
        *blocks.linear("mlp.shared_expert_gate", 1, found.hidden, Whole(), role="router"),
    )
    has_experts = qwen_layers(fields, found.layers, routed.experts)
    return mixture.model(fields, found, half, routed, has_experts, beside=Beside(shared, width))


def qwen3(fields: Fields) -> Profile:
    """Qwen3-MoE: norms on queries and keys, no shared expert."""
    routed = mixture.routing(fields, "moe_intermediate_size", default=8, least=0)
    return _qwen3(fields, QWEN_3, routed)


def qwen3_vl(fields: Fields) -> Profile:
    """The text part of Qwen3-VL with experts."""
    routed = mixture.routing(
        fields, "moe_intermediate_size", default=4, section=(60, 1408), least=0
    )
    return _qwen3(fields, QWEN_3_VL, routed)


def _qwen3(fields: Fields, sizes: Sizes, routed: Routing) -> Profile:
    found = shape(fields, sizes, UNEVEN)
    bias = fields.flag("attention_bias", default=False)
    half = Half(
        found.attention(bias=bias, out_bias=bias, qk_norm=found.heads.size),
        found.heads.keys(_qwen_window(fields, found)),
    )
    return mixture.model(
        fields, found, half, routed, qwen_layers(fields, found.layers, routed.experts)
    )


def qwen_layers(fields: Fields, layers: int, experts: int) -> list[bool]:
    """Every `decoder_sparse_step`th layer has experts, but for those in `mlp_only_layers`."""
    step = fields.number("decoder_sparse_step", default=1)
    without = set(fields.numbers("mlp_only_layers") or ())
    return [
        bool(experts) and number not in without and not (number + 1) % step
        for number in range(layers)
    ]


def _qwen_window(fields: Fields, found: Shape) -> int | None:
    if not fields.flag("use_sliding_window", default=False):
        return None
    return windows.all_or_none(fields, found.layers, 4096)


def _every(found: Shape) -> list[bool]:
    return [True] * found.layers


READERS = {
    "granitemoe": granite,
    "granitemoeshared": granite,
    "mixtral": mixtral,
    "olmoe": olmoe,
    "phimoe": phimoe,
    "qwen2_moe": qwen2,
    "qwen3_moe": qwen3,
    "qwen3_vl_moe_text": qwen3_vl,
}
