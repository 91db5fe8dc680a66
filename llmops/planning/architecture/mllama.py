"""Llama 3.2 Vision: a Llama in which some layers attend to the image instead of to the text.

vLLM served it up to its version 0.10.2 and dropped it then; so its cuts are those of the parts that
it shares with Llama, the image encoder is whole, and a note says so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from llmops.planning.architecture import blocks, vision
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import ByRow, Cross, Layer, Profile, Weight, Whole
from llmops.planning.architecture.text import Reader, Readers, text, within

DROPPED = (
    "vLLM has not served this architecture since its version 0.10.2: its image encoder is reckoned"
    " as held by every rank"
)

CROSS_LAYERS = (3, 8, 13, 18, 23, 28, 33, 38)
"""Layers that attend to the image where the configuration does not say (transformers 5.19)."""

SHAPES = 8
"""Shapes of an image's grid of tiles that are told apart where the configuration does not say."""

SPARE = 8
"""Rows of the embedding table beside the vocabulary, for the image's own tokens."""

Weights = tuple[Weight, ...]


def mllama(readers: Readers, fields: Fields) -> Profile:
    """Llama 3.2 11B and 90B Vision (`mllama`)."""
    inner = text(fields, readers, "mllama_text_model", forced=True)
    seen = fields.section("vision_config")
    output = seen.number("vision_output_dim", default=7680)
    tiles = seen.number("max_num_tiles", default=4)
    weights = vision.unquantised(_tower(seen, "model.vision_model", tiles))
    projector = blocks.linear(
        "model.multi_modal_projector", inner.hidden, output, Whole(), bias=True, role="other"
    )
    whole = within(fields, _crossed(fields, inner, tiles * _places(seen)), (*weights, *projector))
    rows = inner.vocabulary + SPARE
    table = Weight(
        "model.language_model.embed_tokens.weight", (rows, inner.hidden), ByRow(rows), "embedding"
    )
    return replace(whole, before=(table,), notes=(DROPPED,))


def readers(decoders: Readers) -> dict[str, Reader]:
    """The reader, whose text part is read by `decoders`."""
    return {"mllama": partial(mllama, decoders)}


def _crossed(fields: Fields, inner: Profile, tokens: int) -> Profile:
    """The text part with its layers that attend to an image of `tokens`."""
    section = fields.section("text_config")
    given = section.numbers("cross_attention_layers")
    numbers = set(CROSS_LAYERS if given is None else given)
    own = [weight for weight in inner.layers[0].weights if not weight.name.startswith("self_attn.")]
    layer = Layer(
        weights=(
            *own,
            *blocks.attention(
                inner.hidden,
                inner.heads,
                inner.kv_heads,
                inner.head_dim,
                qk_norm=inner.head_dim,
                prefix="cross_attn",
            ),
            vision.other("cross_attn_attn_gate", 1),
            vision.other("cross_attn_mlp_gate", 1),
        ),
        memory=(Cross(inner.kv_heads, inner.head_dim, inner.head_dim, tokens=tokens),),
    )
    layers = tuple(layer if n in numbers else old for n, old in enumerate(inner.layers))
    return replace(inner, layers=layers)


def _places(seen: Fields) -> int:
    """Patches of a tile, and one vector for all of it."""
    size, patch = seen.number("image_size", default=448), seen.number("patch_size", default=14)
    return (size // patch) ** 2 + 1


def _tower(seen: Fields, prefix: str, tiles: int) -> Weights:
    hidden = seen.number("hidden_size", default=1280)
    width = seen.number("intermediate_size", default=5120)
    heads = seen.number("attention_heads", "num_attention_heads", default=16)
    seen.divides(hidden, heads, "hidden_size", "attention heads")
    shapes = 1 + (
        seen.entries("supported_aspect_ratios") if seen.has("supported_aspect_ratios") else SHAPES
    )
    patch = seen.number("patch_size", default=14)
    layer = (
        *vision.attention(hidden, heads, "self_attn", bias=False, out="o_proj"),
        *blocks.plain(hidden, width),
        *blocks.norm("input_layernorm", hidden, bias=True),
        *blocks.norm("post_attention_layernorm", hidden, bias=True),
    )
    gated = (*layer, vision.other("gate_attn", 1), vision.other("gate_ffn", 1))
    local = seen.number("num_hidden_layers", default=32)
    overall = seen.number("num_global_layers", default=8)
    channels = seen.number("num_channels", default=3)
    return vision.recut(
        (
            vision.other(f"{prefix}.class_embedding", hidden),
            vision.other(f"{prefix}.patch_embedding.weight", hidden, channels, patch, patch),
            *_positions(f"{prefix}.", hidden, tiles, shapes, _places(seen)),
            *blocks.norm(f"{prefix}.layernorm_pre", hidden, bias=True),
            *blocks.norm(f"{prefix}.layernorm_post", hidden, bias=True),
            *vision.stack(f"{prefix}.transformer.layers", local, layer),
            *vision.stack(f"{prefix}.global_transformer.layers", overall, gated),
        ),
        Whole(),
    )


def _positions(prefix: str, hidden: int, tiles: int, shapes: int, places: int) -> Weights:
    """Where a patch is in its tile, and the tile in the image."""
    gated = f"{prefix}gated_positional_embedding"
    before, after = (f"{prefix}{when}_tile_positional_embedding" for when in ("pre", "post"))
    return (
        vision.other(f"{gated}.gate", 1),
        vision.other(f"{gated}.embedding", places, hidden),
        vision.other(f"{gated}.tile_embedding.weight", shapes, tiles * places * hidden),
        vision.other(f"{before}.gate", 1),
        vision.other(f"{before}.embedding.weight", shapes, tiles * hidden),
        vision.other(f"{after}.gate", 1),
        vision.other(f"{after}.embedding.weight", shapes, tiles * hidden),
    )
