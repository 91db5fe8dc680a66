"""Nemotron-H and Nemotron 3: a layer is a state-space mixer, attention, or a feed-forward layer.

A word of one letter a layer says which (`hybrid_override_pattern`), or a list of names. The state
is kept in float32 unless the configuration says otherwise: so vLLM 0.32 does for this family alone
(`model_executor/models/config.py`, `NemotronHForCausalLMConfig`). Layers that predict further
tokens are not counted, as transformers leaves them out.
"""

from __future__ import annotations

from dataclasses import replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import Heads
from llmops.planning.architecture.decoder import Frame, decoder
from llmops.planning.architecture.fields import MOST_LAYERS, Fields, printable
from llmops.planning.architecture.mamba import Mixer2, agrees
from llmops.planning.architecture.profile import (
    ByExpert,
    Layer,
    Memory,
    Profile,
    Weight,
    Whole,
)
from llmops.planning.architecture.shape import UNEVEN, Shape, Sizes, shape

SIZES = Sizes(kv_heads=8, head_dim=128, positions=4096)

_LETTERS = {"M": "mamba", "E": "moe", "*": "attention", "-": "mlp"}

_NAMES = {
    "mamba": "mamba",
    "linear_attention": "mamba",
    "moe": "moe",
    "attention": "attention",
    "full_attention": "attention",
    "mlp": "mlp",
}

_UNSAID = ("mamba", "moe", "attention", "mlp")
"""The layers where the configuration names none, as transformers takes them."""


def nemotron_h(fields: Fields) -> Profile:
    """Nemotron-H, Nemotron Nano 2 and Nemotron 3."""
    kinds = _kinds(fields)
    own = {"tie_word_embeddings": False, "num_hidden_layers": len(kinds)}  # whatever it says
    fields = fields.like({**fields.raw(), **own})
    found = shape(fields, SIZES, UNEVEN)
    built = {kind: _layer(fields, found, kind) for kind in sorted(set(kinds))}
    routed = "moe" in built
    return decoder(
        fields,
        found if "attention" in built else replace(found, heads=Heads()),
        [built[kind] for kind in kinds],
        Frame("model.embeddings", "model.norm_f"),
        widest=max(_width(fields, kind) for kind in built),
        experts=fields.number("n_routed_experts", "num_local_experts", default=8) if routed else 0,
        experts_per_token=fields.number("num_experts_per_tok", default=2) if routed else 0,
    )


def _kinds(fields: Fields) -> tuple[str, ...]:
    """What each layer is. The list counts before the word, as in transformers.

    Raises:
        Refusal: When a layer is of no known kind, or there are none or too many.
    """
    for field in ("layers_block_type", "layer_types"):
        named = fields.texts(field)
        if named is not None:
            return _known(fields, field, named, _NAMES)
    field = "hybrid_override_pattern"
    if not fields.has(field):
        return _UNSAID
    return _known(fields, field, tuple(fields.text(field)), _LETTERS)


def _known(
    fields: Fields, field: str, named: tuple[str, ...], words: dict[str, str]
) -> tuple[str, ...]:
    if not 0 < len(named) <= MOST_LAYERS:
        raise fields.absurd(field, f"not a word for each of 1 to {MOST_LAYERS} layers")
    unknown = [word for word in named if word not in words]
    if unknown:
        raise fields.absurd(field, f"a list with '{printable(unknown[0])}', no known layer")
    return tuple(words[word] for word in named)


def _layer(fields: Fields, found: Shape, kind: str) -> Layer:
    weights: tuple[Weight, ...]
    memory: tuple[Memory, ...] = ()
    if kind == "mamba":
        mixer = _mixer(fields, found.hidden)
        weights, memory = mixer.weights("mixer"), mixer.memory
    elif kind == "attention":
        weights, memory = found.attention(prefix="mixer"), (found.heads.keys(),)
    elif kind == "moe":
        weights = _experts(fields, found.hidden)
    else:
        weights = _forward(fields, found.hidden, fields.number("intermediate_size"), "mixer")
    return Layer((*found.norms("norm"), *weights), memory)


def _mixer(fields: Fields, hidden: int) -> Mixer2:
    bias = fields.flag("use_bias", default=False)
    mixer = Mixer2(
        hidden=hidden,
        heads=fields.number("mamba_num_heads", default=128),
        head_dim=fields.number("mamba_head_dim", default=64),
        groups=fields.number("mamba_n_groups", "n_groups", default=8),
        state=fields.number("ssm_state_size", default=128),
        kernel=fields.number("mamba_d_conv", "conv_kernel", default=4),
        bias=bias,
        out_bias=bias,
        conv_bias=fields.flag("use_conv_bias", default=True),
        float32=fields.text("mamba_ssm_cache_dtype", "float32") == "float32",
    )
    agrees(fields, mixer, mixer.inner, "mamba_num_heads")
    return mixer


def _forward(fields: Fields, hidden: int, width: int, prefix: str) -> tuple[Weight, ...]:
    bias = fields.flag("mlp_bias", default=False)
    return blocks.plain(hidden, width, bias=bias, prefix=prefix, up="up_proj", down="down_proj")


def _experts(fields: Fields, hidden: int) -> tuple[Weight, ...]:
    """Experts without gates, between projections into a narrower space if there is one."""
    count = fields.number("n_routed_experts", "num_local_experts", default=8)
    width = fields.number("moe_intermediate_size", default=7688)
    shared = fields.number("moe_shared_expert_intermediate_size", default=7688)
    latent = fields.optional("moe_latent_size")
    inside = latent or hidden
    bias = fields.flag("mlp_bias", default=False)
    cut = ByExpert(count, width)
    between = (
        (
            *blocks.linear("mixer.fc1_latent_proj", inside, hidden, Whole(), bias=bias),
            *blocks.linear("mixer.fc2_latent_proj", hidden, inside, Whole(), bias=bias),
        )
        if latent
        else ()
    )
    return (
        *blocks.linear("mixer.gate", count, hidden, Whole(), role="router"),
        Weight("mixer.experts.up_proj", (count, width, inside), cut, "expert"),
        Weight("mixer.experts.down_proj", (count, inside, width), cut, "expert"),
        *_forward(fields, hidden, shared, "mixer.shared_experts"),
        *between,
    )


def _width(fields: Fields, kind: str) -> int:
    """How wide a token finds a layer."""
    if kind == "mamba":
        return _mixer(fields, fields.number("hidden_size")).inner
    if kind == "mlp":
        return fields.number("intermediate_size")
    if kind == "attention":
        return 1
    chosen = fields.number("num_experts_per_tok", default=2)
    shared = fields.number("moe_shared_expert_intermediate_size", default=7688)
    return fields.number("moe_intermediate_size", default=7688) * chosen + shared


READERS = {"nemotron_h": nemotron_h}
