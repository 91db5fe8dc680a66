"""Decoders with gated delta nets in most of their layers: Qwen3-Next, the text part of Qwen3.5.

Such a layer keeps a state of fixed size for each sequence: figures are elements as vLLM 0.32
allocates them (`model_executor/layers/mamba/mamba_utils.py`), without speculative decoding. The
layers that predict further tokens are not counted, as transformers leaves them out. vLLM 0.32
serves these models; it keeps the matrices in the format that `mamba_ssm_dtype` names, where a
configuration has it (`model_executor/models/config.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.attention import attending
from llmops.planning.architecture.decoder import PLAIN, decoder
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.moe import qwen_layers
from llmops.planning.architecture.profile import (
    Layer,
    Memory,
    Profile,
    Split,
    State,
    Weight,
    Whole,
)
from llmops.planning.architecture.shape import UNEVEN, Shape, Sizes, shape

KEY_HEADS = "key heads of linear attention"


@dataclass(frozen=True, slots=True)
class DeltaNet:
    """A gated delta net: a matrix for each value head; several of these share a key head.

    vLLM 0.32 cuts it by key heads (`layers/mamba/gdn/qwen_gdn_linear_attn.py`).
    """

    hidden: int
    key_heads: int
    value_heads: int
    key: int
    """Size of a key of one head."""
    value: int
    kernel: int
    apart: bool = False
    """Whether its projections are tensors of their own (Qwen3.5), or two that mix them."""
    float32: bool = False
    """Whether the matrices are kept in float32."""

    @property
    def mixed(self) -> int:
        """Channels that pass the convolution: queries, keys and values."""
        return 2 * self.key_heads * self.key + self.inner

    @property
    def inner(self) -> int:
        """Channels of all value heads."""
        return self.value_heads * self.value

    @property
    def _cut(self) -> Split:
        return Split(self.key_heads, KEY_HEADS)

    def weights(self) -> tuple[Weight, ...]:
        """Its weights."""
        cut, name = self._cut, "linear_attn"
        widths = {"qkv": self.mixed, "z": self.inner, "b": self.value_heads, "a": self.value_heads}
        if not self.apart:
            widths = {"qkvz": self.mixed + self.inner, "ba": 2 * self.value_heads}
        return (
            Weight(f"{name}.dt_bias", (self.value_heads,), cut, "other"),
            Weight(f"{name}.A_log", (self.value_heads,), cut, "other", float32=True),
            Weight(f"{name}.conv1d.weight", (self.mixed, 1, self.kernel), cut, "other"),
            *(
                weight
                for part, width in widths.items()
                for weight in blocks.linear(f"{name}.in_proj_{part}", width, self.hidden, cut)
            ),
            *blocks.norm(f"{name}.norm", self.value),
            *blocks.linear_in(f"{name}.out_proj", self.hidden, self.inner, cut),
        )

    @property
    def memory(self) -> tuple[State, ...]:
        """What it keeps of a sequence."""
        return (
            State("conv", self.mixed * (self.kernel - 1), self._cut),
            State("ssm", self.inner * self.key, self._cut, self.float32),
        )


def delta_net(fields: Fields, hidden: int, *, apart: bool = False) -> DeltaNet:
    """The delta net that the fields beginning with `linear_` describe.

    Raises:
        Refusal: When the key heads do not divide the value heads.
    """
    keys = fields.number("linear_num_key_heads", default=16)
    values = fields.number("linear_num_value_heads", default=32)
    fields.divides(values, keys, "linear_num_value_heads", "key heads")
    return DeltaNet(
        hidden=hidden,
        key_heads=keys,
        value_heads=values,
        key=fields.number("linear_key_head_dim", default=128),
        value=fields.number("linear_value_head_dim", default=128),
        kernel=fields.number("linear_conv_kernel_dim", default=4),
        apart=apart,
        float32=fields.text("mamba_ssm_dtype") == "float32",
    )


@dataclass(frozen=True, slots=True)
class Family:
    """In what the models differ."""

    sizes: Sizes
    experts: int = 0
    """In a layer, where the configuration names none; 0: there are none at all."""
    chosen: int = 0
    """Of these for a token, where it names none."""
    mixed: bool = False
    """Whether some layers may be dense and others not."""
    apart: bool = True
    """Whether the projections of a delta net are tensors of their own."""


_NEXT = Family(
    Sizes(kv_heads=2, head_dim=256, positions=32768),
    experts=512,
    chosen=10,
    mixed=True,
    apart=False,
)
_DENSE = Family(Sizes(248320, 4096, 12288, 32, 16, 32768, kv_heads=4, head_dim=256))
_MANY = Family(
    Sizes(248320, 2048, 0, 40, 16, 32768, kv_heads=2, head_dim=256), experts=256, chosen=8
)


def qwen3_next(fields: Fields) -> Profile:
    """Qwen3-Next: three delta nets to one layer of gated attention, many small experts."""
    return _read(fields, _NEXT)


def qwen3_5(fields: Fields) -> Profile:
    """The text part of Qwen3.5 without experts."""
    return _read(fields, _DENSE)


def qwen3_5_moe(fields: Fields) -> Profile:
    """The text part of Qwen3.5 with experts in every layer."""
    return _read(fields, _MANY)


def _read(fields: Fields, family: Family) -> Profile:
    found = shape(fields, family.sizes, UNEVEN)
    net = delta_net(fields, found.hidden, apart=family.apart)
    routed = _routed(fields, family, found.layers)
    forward = {many: _forward(fields, family, found.hidden, many) for many in set(routed)}
    mixers: dict[bool, tuple[tuple[Weight, ...], tuple[Memory, ...]]] = {
        True: (gated_attention(fields, found), (found.heads.keys(),)),
        False: (net.weights(), net.memory),
    }
    kinds = {
        (full, many): Layer(blocks.halves(found.hidden, mixer, weights), memory)
        for full, (mixer, memory) in mixers.items()
        for many, (weights, _) in forward.items()
    }
    experts = _experts(fields, family) if any(routed) else 0
    return decoder(
        fields,
        found,
        [kinds[kind] for kind in zip(_attending(fields, found.layers), routed, strict=True)],
        PLAIN,
        widest=max(width for _, width in forward.values()),
        experts=experts,
        experts_per_token=_chosen(fields, family) if experts else 0,
    )


def gated_attention(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    """Attention whose query projection makes a gate beside every query: twice as wide."""
    bias = fields.flag("attention_bias", default=False)
    return tuple(
        replace(weight, shape=(2 * weight.shape[0], *weight.shape[1:]))
        if weight.name.startswith("self_attn.q_proj")
        else weight
        for weight in found.attention(bias=bias, out_bias=bias, qk_norm=found.heads.size)
    )


def _forward(
    fields: Fields, family: Family, hidden: int, many: bool
) -> tuple[tuple[Weight, ...], int]:
    """A feed-forward layer, with experts or dense; and how wide a token finds it."""
    if not many:
        dense = (
            fields.number("intermediate_size", default=5632)
            if family.experts
            else fields.deciding("intermediate_size", default=family.sizes.width)
        )
        return blocks.gated(hidden, dense), dense
    width = fields.number("moe_intermediate_size", default=512)
    shared = fields.number("shared_expert_intermediate_size", default=512)
    weights = (
        *blocks.experts(hidden, width, _experts(fields, family)),
        *blocks.gated(hidden, shared, prefix="mlp.shared_expert"),
        *blocks.linear("mlp.shared_expert_gate", 1, hidden, Whole(), role="router"),
    )
    return weights, width * _chosen(fields, family) + shared


def _experts(fields: Fields, family: Family) -> int:
    least = 0 if family.mixed else 1
    return fields.number("num_experts", default=family.experts, least=least)


def _chosen(fields: Fields, family: Family) -> int:
    return fields.number("num_experts_per_tok", default=family.chosen)


def _routed(fields: Fields, family: Family, layers: int) -> list[bool]:
    """For each layer whether it has experts."""
    if family.mixed:
        return qwen_layers(fields, layers, _experts(fields, family))
    return [family.experts > 0] * layers


def _attending(fields: Fields, layers: int) -> list[bool]:
    """For each layer whether it attends: `layer_types`, else the last one of every few.

    Raises:
        Refusal: When there is not a known word for each layer.
    """
    if not fields.has("layer_types"):
        period = fields.number("full_attention_interval", default=4)
        return [(number + 1) % period == 0 for number in range(layers)]
    return attending(fields, layers, "linear_attention")


READERS = {
    "qwen3_next": qwen3_next,
    "qwen3_5_text": qwen3_5,
    "qwen3_5_moe_text": qwen3_5_moe,
}
