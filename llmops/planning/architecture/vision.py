"""Vision towers: the encoders that turn an image into what a decoder reads.

Each reader gives the weights of one tower, cut as vLLM 0.32 cuts them (its `mm_encoder_tp_mode` is
`weights` unless the user says otherwise). Layers that are alike are one weight with `copies`, named
as the first layer's. Nothing here reckons what an image takes while it is encoded. vLLM builds some
towers only as deep as their features are taken from; here all of a tower is counted, as it is in
the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from llmops.planning.architecture import blocks
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Cut, Role, Split, Weight, Whole

Weights = tuple[Weight, ...]

Tower = Callable[[Fields, str], Weights]
"""From a tower's section of the configuration, and what its weights' names begin with."""

HEADS = "attention heads of the vision tower"
WIDTH = "feed-forward columns of the vision tower"
FEATURES = "features of the vision tower"

GROUP = 64
"""vLLM's SigLIP quantises its feed-forward layers only when this divides both of their widths."""


def clip(fields: Fields, prefix: str) -> Weights:
    """CLIP's image encoder (`clip_vision_model`)."""
    hidden = fields.number("hidden_size", default=768)
    patch = fields.number("patch_size", default=32)
    places = (fields.number("image_size", default=224) // patch) ** 2 + 1
    channels = fields.number("num_channels", default=3)
    count = fields.number("num_hidden_layers", default=12)
    return (
        other(f"{prefix}.embeddings.class_embedding", hidden),
        other(f"{prefix}.embeddings.patch_embedding.weight", hidden, channels, patch, patch),
        other(f"{prefix}.embeddings.position_embedding.weight", places, hidden),
        *blocks.norm(f"{prefix}.pre_layrnorm", hidden, bias=True),
        *stack(f"{prefix}.encoder.layers", count, _layer(fields, hidden, 3072, 12)),
        *blocks.norm(f"{prefix}.post_layernorm", hidden, bias=True),
    )


def siglip(fields: Fields, prefix: str) -> Weights:
    """SigLIP's image encoder (`siglip_vision_model`), with or without its pooling head."""
    hidden = fields.number("hidden_size", default=768)
    width = fields.number("intermediate_size", default=3072)
    body = _siglip(fields, prefix, hidden, _layer(fields, hidden, 3072, 12), (16, 12))
    if not fields.flag("vision_use_head", default=True):
        return body
    return (*body, *_pooling(f"{prefix}.head", hidden, width))


def idefics(fields: Fields, prefix: str) -> Weights:
    """The SigLIP of Idefics 3 and SmolVLM, without a pooling head."""
    hidden = fields.number("hidden_size", default=1152)
    return _siglip(fields, prefix, hidden, _layer(fields, hidden, 3072, 16, group=1), (32, 12))


def pixtral(fields: Fields, prefix: str) -> Weights:
    """Pixtral's image encoder: RMS norms, rotary positions, gated feed-forward layers."""
    hidden = fields.number("hidden_size", default=1024)
    width = fields.number("intermediate_size", default=4096)
    patch = fields.number("patch_size", default=16)
    heads = _heads(fields, hidden, 16)
    layer = (
        *blocks.norm("attention_norm", hidden),
        *attention(hidden, heads, "attention", bias=False, out="o_proj"),
        *blocks.norm("ffn_norm", hidden),
        *recut(blocks.gated(hidden, width, prefix="feed_forward"), Split(width, WIDTH)),
    )
    channels = fields.number("num_channels", default=3)
    return (
        other(f"{prefix}.patch_conv.weight", hidden, channels, patch, patch),
        *blocks.norm(f"{prefix}.ln_pre", hidden),
        *stack(
            f"{prefix}.transformer.layers", fields.number("num_hidden_layers", default=24), layer
        ),
    )


def internvl(fields: Fields, prefix: str) -> Weights:
    """InternViT as transformers has it (`internvl_vision`); vLLM cuts no attention in it."""
    hidden = fields.number("hidden_size", default=1024)
    width = fields.number("intermediate_size", default=4096)
    _heads(fields, hidden, 16)
    bias = fields.flag("attention_bias", default=False)
    qk_norm = hidden if fields.flag("use_qk_norm", default=False) else 0
    shifted = fields.text("norm_type", "layer_norm") == "layer_norm"
    layer = (
        other("lambda_1", hidden),
        other("lambda_2", hidden),
        *unquantised(
            (
                *blocks.linear("attention.q_proj", hidden, hidden, Whole(), bias=bias),
                *blocks.linear("attention.k_proj", hidden, hidden, Whole(), bias=bias),
                *blocks.linear("attention.v_proj", hidden, hidden, Whole(), bias=bias),
                *blocks.linear("attention.projection_layer", hidden, hidden, Whole(), bias=True),
            )
        ),
        *(blocks.norm("attention.q_norm", qk_norm) if qk_norm else ()),
        *(blocks.norm("attention.k_norm", qk_norm) if qk_norm else ()),
        *recut(blocks.plain(hidden, width), Split(width, WIDTH)),
        *blocks.norm("layernorm_before", hidden, bias=shifted),
        *blocks.norm("layernorm_after", hidden, bias=shifted),
    )
    count = fields.number("num_hidden_layers", default=24)
    pooled = fields.flag("use_mean_pooling", default=True)
    return (
        *_internvl_embeddings(fields, f"{prefix}.embeddings", hidden),
        *stack(f"{prefix}.encoder.layer", count, layer),
        *(() if pooled else blocks.norm(f"{prefix}.layernorm", hidden, bias=True)),
    )


def _internvl_embeddings(fields: Fields, prefix: str, hidden: int) -> Weights:
    image, patch = fields.pair("image_size", 448), fields.pair("patch_size", 14)
    places = (image[0] // patch[0]) * (image[1] // patch[1]) + 1
    channels = fields.number("num_channels", default=3)
    mask = fields.flag("use_mask_token", default=False)
    absolute = fields.flag("use_absolute_position_embeddings", default=True)
    projection = f"{prefix}.patch_embeddings.projection"
    return (
        other(f"{prefix}.cls_token", 1, 1, hidden),
        *((other(f"{prefix}.mask_token", 1, 1, hidden),) if mask else ()),
        *((other(f"{prefix}.position_embeddings", 1, places, hidden),) if absolute else ()),
        other(f"{projection}.weight", hidden, channels, *patch),
        other(f"{projection}.bias", hidden),
    )


def llama4(fields: Fields, prefix: str) -> Weights:
    """Llama 4's image encoder; vLLM never quantises it."""
    hidden = fields.number("hidden_size", default=768)
    width = fields.number("intermediate_size", default=5632)
    size, patch = fields.number("image_size", default=448), fields.number("patch_size", default=14)
    heads = _heads(fields, hidden, 16)
    inner = fields.number("projector_input_dim", default=4096)
    outer = fields.number("projector_output_dim", default=4096)
    bias = fields.flag("multi_modal_projector_bias", default=False)
    layer = (
        *attention(hidden, heads, "self_attn", out="o_proj"),
        *recut(blocks.plain(hidden, width), Split(width, WIDTH)),
        *blocks.norm("input_layernorm", hidden, bias=True),
        *blocks.norm("post_attention_layernorm", hidden, bias=True),
    )
    pixels = fields.number("num_channels", default=3) * patch**2
    adapter, cut = f"{prefix}.vision_adapter.mlp", Split(inner, FEATURES)
    return unquantised(
        (
            other(f"{prefix}.class_embedding", hidden),
            other(f"{prefix}.positional_embedding_vlm", (size // patch) ** 2 + 1, hidden),
            *blocks.linear(
                f"{prefix}.patch_embedding.linear", hidden, pixels, Split(hidden, FEATURES)
            ),
            *blocks.norm(f"{prefix}.layernorm_pre", hidden, bias=True),
            *blocks.norm(f"{prefix}.layernorm_post", hidden, bias=True),
            *stack(f"{prefix}.model.layers", fields.number("num_hidden_layers", default=34), layer),
            *blocks.linear(f"{adapter}.fc1", inner, width, cut, bias=bias),
            *blocks.linear_in(f"{adapter}.fc2", outer, inner, cut, bias=bias),
        )
    )


TOWERS: Mapping[str, Tower] = {
    "clip_vision_model": clip,
    "siglip_vision_model": siglip,
    "idefics3_vision": idefics,
    "smolvlm_vision": idefics,
    "pixtral": pixtral,
    "internvl_vision": internvl,
    "llama4_vision_model": llama4,
}


def other(name: str, *shape: int) -> Weight:
    """A weight that every rank holds and that nothing quantises."""
    return Weight(name, shape, Whole(), "other")


def stack(prefix: str, count: int, layer: Iterable[Weight]) -> Weights:
    """`count` layers that are alike."""
    return tuple(
        replace(weight, name=f"{prefix}.0.{weight.name}", copies=count * weight.copies)
        for weight in layer
    )


def unquantised(weights: Iterable[Weight]) -> Weights:
    """The same weights where vLLM gives the layer no quantisation."""
    return tuple(
        replace(weight, role="other") if weight.role == "linear" else weight for weight in weights
    )


def recut(weights: Iterable[Weight], cut: Cut) -> Weights:
    """The same weights, those that are cut at all now by `cut`."""
    return tuple(
        weight if isinstance(weight.cut, Whole) else replace(weight, cut=cut) for weight in weights
    )


def attention(
    hidden: int,
    heads: int,
    prefix: str,
    *,
    bias: bool = True,
    key_bias: bool | None = None,
    out: str = "out_proj",
    what: str = HEADS,
) -> Weights:
    """Attention of an encoder: as many KV heads as heads, nothing remembered.

    Args:
        key_bias: Whether keys have a bias where that is not as for the others.
    """
    cut = Split(heads, what)
    keyed = bias if key_bias is None else key_bias
    return (
        *blocks.linear(f"{prefix}.q_proj", hidden, hidden, cut, bias=bias),
        *blocks.linear(f"{prefix}.k_proj", hidden, hidden, cut, bias=keyed),
        *blocks.linear(f"{prefix}.v_proj", hidden, hidden, cut, bias=bias),
        *blocks.linear_in(f"{prefix}.{out}", hidden, hidden, cut, bias=bias),
    )


def _heads(fields: Fields, hidden: int, default: int) -> int:
    heads = fields.number("num_attention_heads", "num_heads", default=default)
    fields.divides(hidden, heads, "hidden_size", "attention heads")
    return heads


def _layer(fields: Fields, hidden: int, width: int, heads: int, group: int = GROUP) -> Weights:
    """A layer of CLIP's and SigLIP's kind; `width` and `heads` are the defaults."""
    width = fields.number("intermediate_size", default=width)
    feed_forward = recut(blocks.plain(hidden, width), Split(width, WIDTH))
    even = hidden % group == 0 and width % group == 0
    return (
        *attention(hidden, _heads(fields, hidden, heads), "self_attn"),
        *(feed_forward if even else unquantised(feed_forward)),
        *blocks.norm("layer_norm1", hidden, bias=True),
        *blocks.norm("layer_norm2", hidden, bias=True),
    )


def _siglip(
    fields: Fields, prefix: str, hidden: int, layer: Weights, defaults: tuple[int, int]
) -> Weights:
    patch = fields.number("patch_size", default=defaults[0])
    places = (fields.number("image_size", default=224) // patch) ** 2
    channels = fields.number("num_channels", default=3)
    embeddings = f"{prefix}.embeddings"
    return (
        other(f"{embeddings}.patch_embedding.weight", hidden, channels, patch, patch),
        other(f"{embeddings}.patch_embedding.bias", hidden),
        other(f"{embeddings}.position_embedding.weight", places, hidden),
        *stack(
            f"{prefix}.encoder.layers",
            fields.number("num_hidden_layers", default=defaults[1]),
            layer,
        ),
        *blocks.norm(f"{prefix}.post_layernorm", hidden, bias=True),
    )


def _pooling(prefix: str, hidden: int, width: int) -> Weights:
    """SigLIP's head: attention of a probe over all patches, on every rank."""
    role: Role = "other"
    whole = Whole()
    return (
        other(f"{prefix}.probe", 1, 1, hidden),
        other(f"{prefix}.attention.in_proj_weight", 3 * hidden, hidden),
        other(f"{prefix}.attention.in_proj_bias", 3 * hidden),
        *blocks.linear(f"{prefix}.attention.out_proj", hidden, hidden, whole, bias=True, role=role),
        *blocks.norm(f"{prefix}.layernorm", hidden, bias=True),
        *blocks.linear(f"{prefix}.mlp.fc1", width, hidden, whole, bias=True, role=role),
        *blocks.linear(f"{prefix}.mlp.fc2", hidden, width, whole, bias=True, role=role),
    )
