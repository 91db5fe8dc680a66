"""gpt-oss: every other layer attends to a window, with sinks; experts and router have biases."""

from __future__ import annotations

from llmops.planning.architecture import blocks, mixture, windows
from llmops.planning.architecture.attention import Heads
from llmops.planning.architecture.decoder import PLAIN, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Profile, Split, Weight
from llmops.planning.architecture.shape import UNEVEN, Sizes, shape

SIZES = Sizes(kv_heads=8, head_dim=64, positions=131072)


def gpt_oss(fields: Fields) -> Profile:
    """gpt-oss 20B and 120B."""
    found = shape(fields, SIZES, UNEVEN)
    routed = mixture.routing(fields, "intermediate_size", default=4)
    bias = fields.flag("attention_bias", default=True)
    weights = blocks.halves(
        found.hidden,
        _attention(found.hidden, found.heads, bias=bias),
        routed.weights(found.hidden, router="router", bias=True),
    )
    plain, sliding = (
        Layer(weights, (found.heads.keys(size),)) for size in (None, windows.size(fields, 128))
    )
    return decoder(
        fields,
        found,
        _layers(fields, found.layers, plain, sliding),
        PLAIN,
        widest=routed.passes(),
        experts=routed.experts,
        experts_per_token=routed.per_token,
    )


def _attention(hidden: int, heads: Heads, *, bias: bool) -> tuple[Weight, ...]:
    """Attention with a sink for each head.

    KV heads are cut and never repeated: vLLM 0.32 divides them by the tensor parallel size, so
    more ranks than KV heads leave none (`models/gpt_oss.py`).
    """
    by_head, by_kv = Split(heads.count, blocks.HEADS), Split(heads.kv, "KV heads")
    queries, keys = heads.count * heads.size, heads.kv * heads.size
    return (
        Weight("self_attn.sinks", (heads.count,), by_head, "other"),
        *blocks.linear("self_attn.q_proj", queries, hidden, by_head, bias=bias),
        *blocks.linear("self_attn.k_proj", keys, hidden, by_kv, bias=bias),
        *blocks.linear("self_attn.v_proj", keys, hidden, by_kv, bias=bias),
        *blocks.linear_in("self_attn.o_proj", hidden, queries, by_head, bias=bias),
    )


def _layers(fields: Fields, count: int, plain: Layer, sliding: Layer) -> list[Layer]:
    """Layers with an even number slide: vLLM asks the number, transformers `layer_types`."""
    kinds = fields.texts("layer_types", count)
    return [
        sliding if not number % 2 and (kinds is None or kinds[number] == windows.SLIDING) else plain
        for number in range(count)
    ]


READERS = {"gpt_oss": gpt_oss}
