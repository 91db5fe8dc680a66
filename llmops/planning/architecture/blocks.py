"""The parts that most models are built of: linear layers, norms, attention, feed-forward layers.

Each returns weights with the cut that vLLM 0.32 gives them under tensor parallelism: a projection
into heads or into the feed-forward width is cut by its outputs (its bias too), a projection out of
them by its inputs (its bias is whole on every rank).
"""

from __future__ import annotations

from collections.abc import Iterable

from llmops.planning.architecture.profile import (
    ByExpert,
    ByKvHead,
    ByRow,
    Cut,
    Role,
    Split,
    Weight,
    Whole,
)

FEED_FORWARD = "feed-forward columns"
HEADS = "attention heads"


def linear(
    name: str, outputs: int, inputs: int, cut: Cut, *, bias: bool = False, role: Role = "linear"
) -> tuple[Weight, ...]:
    """A projection that is cut by its outputs, or whole."""
    weight = Weight(f"{name}.weight", (outputs, inputs), cut, role)
    return (weight, Weight(f"{name}.bias", (outputs,), cut, "bias")) if bias else (weight,)


def linear_in(
    name: str, outputs: int, inputs: int, cut: Cut, *, bias: bool = False
) -> tuple[Weight, ...]:
    """A projection that is cut by its inputs: every rank has the whole bias."""
    weight = Weight(f"{name}.weight", (outputs, inputs), cut)
    return (weight, Weight(f"{name}.bias", (outputs,), Whole(), "bias")) if bias else (weight,)


def norm(name: str, size: int, *, bias: bool = False) -> tuple[Weight, ...]:
    """A norm over `size` features; on every rank."""
    weight = Weight(f"{name}.weight", (size,), Whole(), "norm")
    return (weight, Weight(f"{name}.bias", (size,), Whole(), "norm")) if bias else (weight,)


def table(name: str, rows: int, width: int, *, role: Role = "embedding") -> tuple[Weight, ...]:
    """A table with a row for each token of the vocabulary."""
    return (Weight(f"{name}.weight", (rows, width), ByRow(rows), role),)


def attention(
    hidden: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    *,
    bias: bool = False,
    out_bias: bool = False,
    qk_norm: int = 0,
    prefix: str = "self_attn",
    out: str = "o_proj",
) -> tuple[Weight, ...]:
    """Multi-head, grouped-query or multi-query attention with separate projections.

    Args:
        qk_norm: Features of the norms of queries and keys; 0 without.
    """
    by_head, by_kv = Split(heads, HEADS), ByKvHead(kv_heads)
    weights = (
        *linear(f"{prefix}.q_proj", heads * head_dim, hidden, by_head, bias=bias),
        *linear(f"{prefix}.k_proj", kv_heads * head_dim, hidden, by_kv, bias=bias),
        *linear(f"{prefix}.v_proj", kv_heads * head_dim, hidden, by_kv, bias=bias),
        *linear_in(f"{prefix}.{out}", hidden, heads * head_dim, by_head, bias=out_bias),
    )
    if not qk_norm:
        return weights
    return (*weights, *norm(f"{prefix}.q_norm", qk_norm), *norm(f"{prefix}.k_norm", qk_norm))


def halves(
    hidden: int,
    mixer: Iterable[Weight],
    feed_forward: Iterable[Weight],
    *,
    second: str = "post_attention_layernorm",
    bias: bool = False,
) -> tuple[Weight, ...]:
    """A layer with a norm before each half: attention or what stands for it, and feed-forward.

    Args:
        second: What the norm before the second half is called.
        bias: Whether the norms have a bias.
    """
    return (
        *norm("input_layernorm", hidden, bias=bias),
        *mixer,
        *norm(second, hidden, bias=bias),
        *feed_forward,
    )


def gated_fused(hidden: int, width: int, into: str, out: str) -> tuple[Weight, ...]:
    """A gated feed-forward layer whose gate and up are one projection."""
    cut = Split(width, FEED_FORWARD)
    return (
        *linear(into, 2 * width, hidden, cut),
        *linear_in(out, hidden, width, cut),
    )


def gated(
    hidden: int, width: int, *, bias: bool = False, prefix: str = "mlp"
) -> tuple[Weight, ...]:
    """A gated feed-forward layer (SwiGLU, GeGLU): gate, up and down."""
    cut = Split(width, FEED_FORWARD)
    return (
        *linear(f"{prefix}.gate_proj", width, hidden, cut, bias=bias),
        *linear(f"{prefix}.up_proj", width, hidden, cut, bias=bias),
        *linear_in(f"{prefix}.down_proj", hidden, width, cut, bias=bias),
    )


def plain(
    hidden: int,
    width: int,
    *,
    bias: bool = True,
    prefix: str = "mlp",
    up: str = "fc1",
    down: str = "fc2",
) -> tuple[Weight, ...]:
    """A feed-forward layer without a gate: up and down; a prefix may be empty."""
    start = f"{prefix}." if prefix else ""
    cut = Split(width, FEED_FORWARD)
    return (
        *linear(f"{start}{up}", width, hidden, cut, bias=bias),
        *linear_in(f"{start}{down}", hidden, width, cut, bias=bias),
    )


def experts(
    hidden: int,
    width: int,
    count: int,
    *,
    prefix: str = "mlp",
    router: str = "gate",
    router_bias: bool = False,
    bias: bool = False,
) -> tuple[Weight, ...]:
    """Routed experts with gated feed-forward layers, and the router that chooses among them.

    A rank that holds parts of experts holds the whole bias of their projections out.
    """
    cut = ByExpert(count, width)
    weights = (
        *linear(f"{prefix}.{router}", count, hidden, Whole(), bias=router_bias, role="router"),
        Weight(f"{prefix}.experts.gate_up_proj", (count, 2 * width, hidden), cut, "expert"),
        Weight(f"{prefix}.experts.down_proj", (count, hidden, width), cut, "expert"),
    )
    if not bias:
        return weights
    out = ByExpert(count, width, whole=True)
    return (
        *weights,
        Weight(f"{prefix}.experts.gate_up_proj_bias", (count, 2 * width), cut, "bias"),
        Weight(f"{prefix}.experts.down_proj_bias", (count, hidden), out, "bias"),
    )
