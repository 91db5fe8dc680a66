"""Models of Qwen's that see: Qwen2-VL, Qwen2.5-VL, Qwen3-VL, Qwen3.5.

Their towers take images and video of any size, and end in mergers that join neighbouring patches.
Cut as vLLM 0.32 cuts them; see `vision` for what holds of every tower.
"""

from __future__ import annotations

from functools import partial

from llmops.planning.architecture import blocks, vision
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Profile, Split, Weight
from llmops.planning.architecture.text import Reader, Readers, text, within

PREFIX = "model.visual"
MERGED = "features of the merger"

Weights = tuple[Weight, ...]


def qwen2_vl(readers: Readers, fields: Fields) -> Profile:
    """Qwen2-VL: layer norms, feed-forward layers without a gate."""
    inner = _text(fields, readers, "qwen2_vl_text")
    seen = fields.section("vision_config")
    hidden = seen.number("embed_dim", default=1280)
    width = hidden * seen.number("mlp_ratio", default=4)
    layer = (
        *blocks.norm("norm1", hidden, bias=True),
        *blocks.norm("norm2", hidden, bias=True),
        *_attention(seen, hidden),
        *vision.recut(blocks.plain(hidden, width), Split(width, vision.WIDTH)),
    )
    merger = (
        *blocks.norm("ln_q", hidden, bias=True),
        *_merger(seen, hidden, seen.number("hidden_size", default=3584), "mlp.0", "mlp.2"),
    )
    weights = (*_patches(seen, hidden, 14), *_blocks(seen, 32, layer), *_under("merger", merger))
    return within(fields, inner, weights)


def qwen2_5_vl(readers: Readers, fields: Fields) -> Profile:
    """Qwen2.5-VL: RMS norms, gated feed-forward layers."""
    inner = _text(fields, readers, "qwen2_5_vl_text")
    seen = fields.section("vision_config")
    hidden = seen.number("hidden_size", default=3584)
    width = seen.number("intermediate_size", default=3420)
    layer = (
        *blocks.norm("norm1", hidden),
        *blocks.norm("norm2", hidden),
        *_attention(seen, hidden),
        *vision.recut(blocks.gated(hidden, width, bias=True), Split(width, vision.WIDTH)),
    )
    merger = (
        *blocks.norm("ln_q", hidden),
        *_merger(seen, hidden, seen.number("out_hidden_size", default=3584), "mlp.0", "mlp.2"),
    )
    weights = (*_patches(seen, hidden, 14), *_blocks(seen, 32, layer), *_under("merger", merger))
    return within(fields, inner, weights)


def qwen3_vl(kind: str, readers: Readers, fields: Fields) -> Profile:
    """Qwen3-VL, dense or with experts: features of some layers are merged in by themselves."""
    inner = text(fields, readers, kind, forced=True)
    seen = fields.section("vision_config")
    features = seen.numbers("deepstack_visual_indexes")
    return within(fields, inner, _qwen3(seen, 3 if features is None else len(features)))


def qwen3_5(kind: str, readers: Readers, fields: Fields) -> Profile:
    """Qwen3.5, dense or with experts: the tower of Qwen3-VL with one merger."""
    inner = text(fields, readers, kind, forced=True)
    return within(fields, inner, _qwen3(fields.section("vision_config"), 0))


def _qwen3(seen: Fields, features: int) -> Weights:
    """The tower; `features` counts the layers that have a merger of their own."""
    hidden = seen.number("hidden_size", default=1152)
    width = seen.number("intermediate_size", default=4304)
    plain = blocks.plain(hidden, width, up="linear_fc1", down="linear_fc2")
    layer = (
        *blocks.norm("norm1", hidden, bias=True),
        *blocks.norm("norm2", hidden, bias=True),
        *_attention(seen, hidden),
        *vision.recut(plain, Split(width, vision.WIDTH)),
    )
    outputs = seen.number("out_hidden_size", default=3584)
    joined = _merger(seen, hidden, outputs, "linear_fc1", "linear_fc2")
    places = seen.number("num_position_embeddings", default=2304)
    deep = (*blocks.norm("norm", hidden * _square(seen), bias=True), *joined)
    return (
        *_patches(seen, hidden, 16, bias=True),
        vision.other(f"{PREFIX}.pos_embed.weight", places, hidden),
        *_blocks(seen, 27, layer),
        *_under("merger", (*blocks.norm("norm", hidden, bias=True), *joined)),
        *(vision.stack(f"{PREFIX}.deepstack_merger_list", features, deep) if features else ()),
    )


def readers(decoders: Readers) -> dict[str, Reader]:
    """A reader for each `model_type` here, whose text parts are read by `decoders`."""
    return {
        "qwen2_vl": partial(qwen2_vl, decoders),
        "qwen2_5_vl": partial(qwen2_5_vl, decoders),
        "qwen3_vl": partial(qwen3_vl, "qwen3_vl_text", decoders),
        "qwen3_vl_moe": partial(qwen3_vl, "qwen3_vl_moe_text", decoders),
        "qwen3_5": partial(qwen3_5, "qwen3_5_text", decoders),
        "qwen3_5_moe": partial(qwen3_5, "qwen3_5_moe_text", decoders),
    }


def _text(fields: Fields, readers: Readers, kind: str) -> Profile:
    """The text part: a section, or, in the files as published, the top of the configuration."""
    section = "text_config" if fields.has("text_config") else ""
    return text(fields, readers, kind, section=section, tie="either", forced=True)


def _attention(seen: Fields, hidden: int) -> Weights:
    heads = seen.number("num_heads", "num_attention_heads", default=16)
    seen.divides(hidden, heads, "num_heads", "attention heads")
    cut = Split(heads, vision.HEADS)
    return (
        *blocks.linear("attn.qkv", 3 * hidden, hidden, cut, bias=True),
        *blocks.linear_in("attn.proj", hidden, hidden, cut, bias=True),
    )


def _square(seen: Fields) -> int:
    """Patches that become one token."""
    return seen.number("spatial_merge_size", default=2) ** 2


def _merger(seen: Fields, hidden: int, outputs: int, first: str, second: str) -> Weights:
    wide = hidden * _square(seen)
    cut = Split(wide, MERGED)
    return (
        *blocks.linear(first, wide, wide, cut, bias=True),
        *blocks.linear_in(second, outputs, wide, cut, bias=True),
    )


def _patches(seen: Fields, hidden: int, patch: int, *, bias: bool = False) -> Weights:
    size = seen.number("patch_size", default=patch)
    frames = seen.number("temporal_patch_size", default=2)
    channels = seen.number("in_channels", default=3)
    name = f"{PREFIX}.patch_embed.proj"
    weight = vision.other(f"{name}.weight", hidden, channels, frames, size, size)
    return (weight, vision.other(f"{name}.bias", hidden)) if bias else (weight,)


def _blocks(seen: Fields, count: int, layer: Weights) -> Weights:
    return vision.stack(f"{PREFIX}.blocks", seen.number("depth", default=count), layer)


def _under(name: str, weights: Weights) -> Weights:
    """Weights of a part that is there once."""
    return tuple(Weight(f"{PREFIX}.{name}.{w.name}", w.shape, w.cut, w.role) for w in weights)
