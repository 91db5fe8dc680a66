"""Llama 4's text part: chunked attention but for some layers, experts in some layers.

A layer with rotary positions attends to tokens of its own chunk only; one without sees all. Images
are not its business: a model with both is read by another module through `text`.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks, mixture
from llmops.planning.architecture.decoder import PLAIN, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.mixture import Routing
from llmops.planning.architecture.profile import Layer, Profile, Weight
from llmops.planning.architecture.shape import UNEVEN, Shape, Sizes, shape

SIZES = Sizes(202048, 5120, 0, 48, 40, 131072, kv_heads=8, head_dim=128)
PREFIX = "feed_forward"


def text(fields: Fields) -> Profile:
    """Llama 4 Scout and Maverick."""
    found = shape(fields, SIZES, UNEVEN)
    width = fields.number("intermediate_size_mlp", default=16384)
    has_experts = _has_experts(fields, found.layers)
    some = any(has_experts)
    routed = mixture.routing(
        fields, "intermediate_size", default=1, section=(16, 8192), least=1 if some else 0
    )
    beside = routed.passes(routed.width) if some else 0
    return decoder(
        fields,
        found,
        _layers(fields, found, _forward(found.hidden, routed, width), has_experts),
        PLAIN,
        widest=max(beside, 0 if all(has_experts) else width),
        experts=routed.experts if some else 0,
        experts_per_token=routed.per_token if some else 0,
    )


def _forward(hidden: int, routed: Routing, width: int) -> tuple[tuple[Weight, ...], ...]:
    """The feed-forward half of a layer without and of one with experts."""
    dense = blocks.gated(hidden, width, prefix=PREFIX)
    sparse = (
        *routed.weights(hidden, prefix=PREFIX, router="router"),
        *blocks.gated(hidden, routed.width, prefix=f"{PREFIX}.shared_expert"),
    )
    return dense, sparse


def _layers(
    fields: Fields, found: Shape, forward: tuple[tuple[Weight, ...], ...], has_experts: list[bool]
) -> list[Layer]:
    bias = fields.flag("attention_bias", default=False)
    attention = found.attention(bias=bias, out_bias=bias)
    size = fields.number("attention_chunk_size", default=8192, least=0) or None
    made = {
        (experts, near): Layer(
            blocks.halves(found.hidden, attention, forward[experts]),
            (found.heads.keys(chunk=size if near else None),),
        )
        for experts in (False, True)
        for near in (False, True)
    }
    return [made[pair] for pair in zip(has_experts, _near(fields, found.layers), strict=True)]


def _has_experts(fields: Fields, count: int) -> list[bool]:
    """Whether each layer has experts; a step of 0 is none (MobileLLM-R1).

    Raises:
        Refusal: When `moe_layers`, which transformers obeys, names others than
            `interleave_moe_layer_step`, which vLLM obeys.
    """
    step = fields.number("interleave_moe_layer_step", default=1, least=0)
    found = [step > 0 and not (number + 1) % step for number in range(count)]
    named = fields.numbers("moe_layers")
    if named is not None and set(named) != {n for n, experts in enumerate(found) if experts}:
        raise fields.absurd("moe_layers", "not what 'interleave_moe_layer_step' makes of it")
    return found


def _near(fields: Fields, count: int) -> list[bool]:
    """Whether each layer attends to its own chunk only: those with rotary positions do.

    An empty list is as good as none; `no_rope_layers` says 1 for a layer that has them.
    """
    interval = fields.number("no_rope_layer_interval", default=4)
    rotary = fields.numbers("no_rope_layers")
    if not rotary:
        return [bool((number + 1) % interval) for number in range(count)]
    if len(rotary) != count:
        raise fields.absurd(
            "no_rope_layers", f"a list of {len(rotary)}, and there are {count} layers"
        )
    return [bool(flag) for flag in rotary]


READERS = {"llama4_text": text}
