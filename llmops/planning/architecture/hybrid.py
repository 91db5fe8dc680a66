"""Decoders that mix attention with state-space layers: Jamba, Bamba, Granite 4, Falcon H1.

Most of their layers remember a state of fixed size; only the few with attention grow with the
request. vLLM 0.32 serves all of these but Bamba, which it dropped after 0.23.0
(`model_executor/models/registry.py`); what stands here for Bamba is how it was cut when it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import attending
from llmops.planning.architecture.decoder import PLAIN, Frame, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.mamba import Mixer1, hybrid_mixer, time_step_rank
from llmops.planning.architecture.profile import Layer, Memory, Profile, Weight
from llmops.planning.architecture.shape import Shape, Sizes, shape

Part = tuple[tuple[Weight, ...], tuple[Memory, ...]]
"""What stands in a place of a layer: its weights, and what it remembers."""


JAMBA = Sizes(kv_heads=8, positions=262144)
FALCON_H1 = Sizes(kv_heads=8, positions=8192)
GRANITE = Sizes(positions=2048)
FINAL = Frame(norm="model.final_layernorm")


def jamba(fields: Fields) -> Profile:
    """Jamba: Mamba 1, attention in every few layers, experts in every few others."""
    found = shape(fields, JAMBA)
    hidden, width = found.hidden, found.width
    mixer = _jamba_mixer(fields, hidden)
    experts = fields.number("num_experts", "num_local_experts", default=16)
    mixers: Mapping[bool, Part] = {
        True: (found.attention(), (found.heads.keys(),)),
        False: (mixer.weights("mamba"), mixer.memory),
    }
    forward = {
        True: blocks.experts(hidden, width, experts, prefix="feed_forward", router="router"),
        False: found.gated(prefix="feed_forward"),
    }
    kinds = {
        (attends, many): _layer(mixers[attends], hidden, forward[many])
        for attends in (True, False)
        for many in (True, False)
    }
    attends = every(fields, "attn_layer", 8, 4)
    many = every(fields, "expert_layer", 2, 1) if experts > 1 else set[int]()
    chosen = fields.number("num_experts_per_tok", default=2) if experts > 1 else 0
    return decoder(
        fields,
        found,
        [kinds[number in attends, number in many] for number in range(found.layers)],
        FINAL,
        widest=max(width * max(1, chosen), mixer.inner),
        experts=experts if experts > 1 else 0,
        experts_per_token=chosen,
    )


def _jamba_mixer(fields: Fields, hidden: int) -> Mixer1:
    return Mixer1(
        hidden=hidden,
        inner=fields.number("mamba_expand", default=2) * hidden,
        state=fields.number("mamba_d_state", default=16),
        kernel=fields.number("mamba_d_conv", default=4),
        rank=time_step_rank(fields, "mamba_dt_rank", hidden),
        bias=fields.flag("mamba_proj_bias", default=False),
        conv_bias=fields.flag("mamba_conv_bias", default=True),
        norms=True,
    )


def every(fields: Fields, kind: str, period: int, offset: int) -> set[int]:
    """The numbers of the layers of a kind: one in every `{kind}_period`, from `{kind}_offset` on.

    Raises:
        Refusal: When the first one is not in the first period.
    """
    step = fields.number(f"{kind}_period", default=period)
    first = fields.number(f"{kind}_offset", default=offset, least=0)
    if first >= step:
        raise fields.absurd(f"{kind}_offset", f"{first}, which is not below the period of {step}")
    return set(range(first, fields.layers(), step))


def _layer(
    mixer: Part, hidden: int, feed_forward: Iterable[Weight], second: str = "pre_ff_layernorm"
) -> Layer:
    weights, memory = mixer
    return Layer(blocks.halves(hidden, weights, feed_forward, second=second), memory)


def _biased(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    bias = fields.flag("attention_bias", default=False)
    return found.attention(bias=bias, out_bias=bias)


def _forward(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    bias = fields.flag("mlp_bias", default=False)
    return found.gated(bias=bias, prefix="feed_forward")


def bamba(fields: Fields) -> Profile:
    """Bamba: Mamba 2, with attention in the layers that `attn_layer_indices` names."""
    found = shape(fields, JAMBA)
    hidden = found.hidden
    mixer = hybrid_mixer(fields, hidden, fields.number("mamba_expand", default=2) * hidden)
    dense = _forward(fields, found)
    attentive = _layer((_biased(fields, found), (found.heads.keys(),)), hidden, dense)
    remembering = _layer((mixer.weights("mamba"), mixer.memory), hidden, dense)
    attends = set(fields.numbers("attn_layer_indices") or ())
    layers = [attentive if at in attends else remembering for at in range(found.layers)]
    return decoder(fields, found, layers, FINAL, widest=max(found.width, mixer.inner))


def falcon_h1(fields: Fields) -> Profile:
    """Falcon H1: every layer has attention and a Mamba 2 mixer side by side."""
    found = shape(fields, FALCON_H1)
    expanded = fields.number("mamba_expand", default=2) * found.hidden
    # null asks for the expanded hidden size, and a field that is missing for the class's default
    unsaid = expanded if fields.says("mamba_d_ssm") else 1024
    mixer = hybrid_mixer(
        fields,
        found.hidden,
        fields.number("mamba_d_ssm", default=unsaid),
        norm=fields.flag("mamba_rms_norm", default=False),
        out_bias=fields.flag("projectors_bias", default=False),
    )
    both: Part = (
        (*_biased(fields, found), *mixer.weights("mamba")),
        (found.heads.keys(), *mixer.memory),
    )
    layers = (_layer(both, found.hidden, _forward(fields, found)),) * found.layers
    return decoder(fields, found, layers, FINAL, widest=max(found.width, mixer.inner))


def granite_hybrid(fields: Fields) -> Profile:
    """Granite 4: Mamba 2 or attention, then routed experts beside a shared one, or this alone."""
    found = shape(fields, GRANITE)
    hidden = found.hidden
    shared = fields.number("shared_intermediate_size", default=1024)
    mixer = hybrid_mixer(fields, hidden, fields.number("mamba_expand", default=2) * hidden)
    experts = fields.number("num_local_experts", default=8, least=0)
    chosen = fields.number("num_experts_per_tok", default=2) if experts else 0
    forward = (
        *blocks.gated_fused(hidden, shared, "shared_mlp.input_linear", "shared_mlp.output_linear"),
        *_granite_experts(hidden, found.width, experts),
    )
    parts: Mapping[bool, Part] = {
        True: (_biased(fields, found), (found.heads.keys(),)),
        False: (mixer.weights("mamba"), mixer.memory),
    }
    kinds = {
        full: _layer(part, hidden, forward, "post_attention_layernorm")
        for full, part in parts.items()
    }
    return decoder(
        fields,
        found,
        [
            kinds[attends]
            for attends in attending(fields, found.layers, "mamba", "linear_attention")
        ],
        PLAIN,
        widest=max(shared + found.width * chosen, mixer.inner),
        experts=experts,
        experts_per_token=chosen,
    )


def _granite_experts(hidden: int, width: int, experts: int) -> tuple[Weight, ...]:
    if not experts:
        return ()
    return blocks.experts(hidden, width, experts, prefix="block_sparse_moe", router="router")


READERS = {
    "jamba": jamba,
    "bamba": bamba,
    "falcon_h1": falcon_h1,
    "granitemoehybrid": granite_hybrid,
}
