"""Models that hear: Whisper, and Qwen2-Audio with Whisper's encoder before a decoder.

What a recording takes while it is encoded is not reckoned here.
"""

from __future__ import annotations

from functools import partial

from llmops.planning.architecture import blocks, vision
from llmops.planning.architecture.ends import kind
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import (
    Cross,
    Keys,
    Layer,
    Profile,
    Split,
    Task,
    Weight,
    Whole,
)
from llmops.planning.architecture.text import Reader, Readers, text, within

Weights = tuple[Weight, ...]


def whisper(fields: Fields) -> Profile:
    """Whisper: an encoder over 30 seconds of sound, a decoder that looks back at it.

    vLLM 0.32 keeps its embeddings whole on every rank, and runs it without pipeline parallelism.
    """
    hidden = fields.number("d_model", default=384)
    heads = fields.number("decoder_attention_heads", default=6)
    size = fields.divides(hidden, heads, "d_model", "attention heads")
    width = fields.number("decoder_ffn_dim", default=1536)
    rows = fields.number("vocab_size", default=51865)
    task: Task = "embed" if kind(fields, ("conditional", "plain")) == "plain" else "transduce"
    said = fields.number("max_target_positions", default=448)
    heard = fields.number("max_source_positions", default=1500)
    tied = fields.flag("tie_word_embeddings", default=True)
    decoder = Layer(
        weights=(
            *_layer(hidden, heads, width, blocks.HEADS, blocks.FEED_FORWARD),
            *_attention(hidden, heads, "encoder_attn", blocks.HEADS),
            *blocks.norm("encoder_attn_layer_norm", hidden, bias=True),
        ),
        memory=(Keys(heads, size, size), Cross(heads, size, size, tokens=heard)),
    )
    head = () if tied or task == "embed" else blocks.table("proj_out", rows, hidden, role="head")
    return Profile(
        name=fields.name,
        model_type=fields.model_type,
        task=task,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=size,
        intermediate=width,
        vocabulary=rows,
        max_positions=said,
        layers=(decoder,) * fields.layers("decoder_layers"),
        before=(
            *_ends(fields, "model.encoder", hidden, heard),
            Weight("model.decoder.embed_tokens.weight", (rows, hidden), Whole(), "embedding"),
            vision.other("model.decoder.embed_positions.weight", said, hidden),
        ),
        after=(*blocks.norm("model.decoder.layer_norm", hidden, bias=True), *head),
        tied=tied and task == "transduce",
        stem="model.decoder.layers",
        encoder=_encoder(fields, hidden),
    )


def _encoder(fields: Fields, hidden: int) -> tuple[Layer, ...]:
    heads = fields.number("encoder_attention_heads", default=6)
    fields.divides(hidden, heads, "d_model", "attention heads of the encoder")
    width = fields.number("encoder_ffn_dim", default=1536)
    layer = Layer(_layer(hidden, heads, width, blocks.HEADS, blocks.FEED_FORWARD))
    return (layer,) * fields.layers("encoder_layers")


def qwen2_audio(readers: Readers, fields: Fields) -> Profile:
    """Qwen2-Audio: vLLM runs the encoder of transformers, uncut and unquantised on every rank."""
    inner = text(fields, readers, "qwen2")
    heard = fields.section("audio_config")
    hidden = heard.number("d_model", default=1280)
    heads = heard.number("encoder_attention_heads", default=20)
    heard.divides(hidden, heads, "d_model", "attention heads")
    width = heard.number("encoder_ffn_dim", default=5120)
    count = heard.number("encoder_layers", default=32)
    places = heard.number("max_source_positions", default=1500)
    projector = "model.multi_modal_projector.linear"
    tower = (
        *_ends(heard, "model.audio_tower", hidden, places, mels=128),
        *vision.stack("model.audio_tower.layers", count, _layer(hidden, heads, width, "", "")),
        *blocks.linear(projector, inner.hidden, hidden, Whole(), bias=True),
    )
    return within(fields, inner, vision.unquantised(vision.recut(tower, Whole())))


READERS = {"whisper": whisper}


def readers(decoders: Readers) -> dict[str, Reader]:
    """A reader for each `model_type` here whose text part is read by `decoders`."""
    return {"qwen2_audio": partial(qwen2_audio, decoders)}


def _attention(hidden: int, heads: int, prefix: str, what: str) -> Weights:
    """Whisper's attention: every projection but the keys' has a bias."""
    return vision.attention(hidden, heads, prefix, key_bias=False, what=what)


def _layer(hidden: int, heads: int, width: int, what: str, columns: str) -> Weights:
    cut = Split(width, columns)
    return (
        *_attention(hidden, heads, "self_attn", what),
        *blocks.norm("self_attn_layer_norm", hidden, bias=True),
        *blocks.linear("fc1", width, hidden, cut, bias=True),
        *blocks.linear_in("fc2", hidden, width, cut, bias=True),
        *blocks.norm("final_layer_norm", hidden, bias=True),
    )


def _ends(fields: Fields, prefix: str, hidden: int, places: int, *, mels: int = 80) -> Weights:
    """What stands before and behind the encoder's layers."""
    bins = fields.number("num_mel_bins", default=mels)
    return (
        vision.other(f"{prefix}.conv1.weight", hidden, bins, 3),
        vision.other(f"{prefix}.conv1.bias", hidden),
        vision.other(f"{prefix}.conv2.weight", hidden, hidden, 3),
        vision.other(f"{prefix}.conv2.bias", hidden),
        vision.other(f"{prefix}.embed_positions.weight", places, hidden),
        *blocks.norm(f"{prefix}.layer_norm", hidden, bias=True),
    )
