"""DeepSeek's kind: multi-head latent attention, and experts of which some see every token.

Instead of keys and values for each head, a layer remembers one compressed vector for each token,
from which all heads' are made (DeepSeek-V2, arXiv 2405.04434). So there is nothing to cut by head:
under tensor parallelism every rank holds all of it. That is what vLLM 0.32 does unless
`VLLM_MLA_DISABLE` is set; with that, this is not the model to plan with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from llmops.planning.architecture import blocks, mixture
from llmops.planning.architecture.attention import Heads
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.mixture import Half, Routing
from llmops.planning.architecture.profile import Latent, Profile, Split, Weight, Whole
from llmops.planning.architecture.shape import BARE, Sizes, shape


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Sizes of multi-head latent attention."""

    heads: int
    query_rank: int | None
    """Size of the compressed query; None where queries are not compressed."""
    rank: int
    """Size of the compressed keys and values."""
    rope: int
    """Part of a key that carries the position; all heads share it."""
    nope: int
    """Part of a query or key that does not."""
    value: int
    bias: bool

    @classmethod
    def of(
        cls, fields: Fields, *, query_rank: int = 1536, nope: int = 128, value: int = 128
    ) -> LatentAttention:
        """What a configuration names; a query rank that is null compresses no queries.

        Args:
            query_rank: The family's, where the configuration does not speak of it; so the others.

        Raises:
            Refusal: When a size is absurd, or the attention is sparse (DeepSeek-V3.2), which has
                weights and a cache of its own for its index.
        """
        if fields.has("index_topk"):
            raise fields.absurd("index_topk", "a sign of sparse attention, which is not known yet")
        field = "q_lora_rank"
        compressed = fields.has(field) or not fields.says(field)
        return cls(
            heads=fields.number("num_attention_heads"),
            query_rank=fields.number(field, default=query_rank) if compressed else None,
            rank=fields.number("kv_lora_rank", default=512),
            rope=fields.number("qk_rope_head_dim", default=64),
            nope=fields.number("qk_nope_head_dim", default=nope),
            value=fields.number("v_head_dim", default=value),
            bias=fields.flag("attention_bias", default=False),
        )

    def weights(self, hidden: int) -> tuple[Weight, ...]:
        """What a layer holds: projections into heads are cut, those that compress are not."""
        cut = Split(self.heads, blocks.HEADS)
        expanded = self.heads * (self.nope + self.value)
        return (
            *self._queries(hidden, cut),
            *blocks.linear(
                "self_attn.kv_a_proj_with_mqa", self.rank + self.rope, hidden, Whole(),
                bias=self.bias,
            ),
            *blocks.norm("self_attn.kv_a_layernorm", self.rank),
            *blocks.linear("self_attn.kv_b_proj", expanded, self.rank, cut),
            *blocks.linear_in(
                "self_attn.o_proj", hidden, self.heads * self.value, cut, bias=self.bias
            ),
        )  # fmt: skip

    def _queries(self, hidden: int, cut: Split) -> tuple[Weight, ...]:
        size = self.heads * (self.nope + self.rope)
        if self.query_rank is None:
            return blocks.linear("self_attn.q_proj", size, hidden, cut)
        rank = self.query_rank
        return (
            *blocks.linear("self_attn.q_a_proj", rank, hidden, Whole(), bias=self.bias),
            *blocks.norm("self_attn.q_a_layernorm", rank),
            *blocks.linear("self_attn.q_b_proj", size, rank, cut),
        )

    @property
    def seen(self) -> Heads:
        """The heads as vLLM counts them: all read the one compressed vector."""
        return Heads(self.heads, 1, self.nope + self.rope)

    def half(self, hidden: int) -> Half:
        """Half a layer."""
        return Half(self.weights(hidden), Latent(self.rank, self.rope))


def deepseek2(fields: Fields) -> Profile:
    """DeepSeek-V2 and V2-Lite."""
    bias = fields.flag("mlp_bias", default=False)
    routed = mixture.routing(fields, "moe_intermediate_size")
    attention = LatentAttention.of(fields)
    return _deepseek(fields, attention, routed, shared=2, dense=0, positions=2048, bias=bias)


def deepseek3(fields: Fields) -> Profile:
    """DeepSeek-V3 and R1, Kimi K2, Moonlight."""
    routed = mixture.routing(fields, "moe_intermediate_size", default=8)
    attention = LatentAttention.of(fields)
    return _deepseek(fields, attention, routed, shared=1, dense=3, positions=4096)


def glm4_lite(fields: Fields) -> Profile:
    """GLM-4.7-Flash."""
    routed = mixture.routing(fields, "moe_intermediate_size", default=4, float32=True)
    attention = LatentAttention.of(fields, query_rank=768, nope=192, value=256)
    return _deepseek(fields, attention, routed, shared=1, dense=1, positions=202752)


def _deepseek(
    fields: Fields,
    attention: LatentAttention,
    routed: Routing,
    *,
    shared: int,
    dense: int,
    positions: int,
    bias: bool = False,
) -> Profile:
    """The reader, with the defaults of one family.

    Args:
        shared: Shared experts.
        dense: Layers at the start without experts.
        positions: Longest request.
        bias: Whether the feed-forward layers have biases.
    """
    sizes = shape(fields, Sizes(positions=positions), BARE)
    found = replace(sizes, heads=attention.seen)
    return mixture.model(
        fields,
        found,
        attention.half(found.hidden),
        routed,
        _has_experts(fields, dense),
        beside=mixture.shared(fields, found.hidden, routed, default=shared, bias=bias),
        bias=bias,
    )


def _has_experts(fields: Fields, dense: int) -> list[bool]:
    """All but the first layers have experts.

    Raises:
        Refusal: When a field says otherwise that only vLLM or only transformers obeys: they would
            build different models.
    """
    if fields.number("moe_layer_freq", default=1) != 1:
        raise fields.absurd("moe_layer_freq", "not 1")
    first = fields.number("first_k_dense_replace", default=dense, least=0)
    found = [number >= first for number in range(fields.layers())]
    kinds = fields.texts("mlp_layer_types", len(found))
    if kinds is not None and [kind == "sparse" for kind in kinds] != found:
        raise fields.absurd("mlp_layer_types", f"not {first} dense layers and then sparse ones")
    return found


READERS = {
    "deepseek_v2": deepseek2,
    "deepseek_v3": deepseek3,
    "glm4_moe_lite": glm4_lite,
    "kimi_k2": deepseek3,
}
