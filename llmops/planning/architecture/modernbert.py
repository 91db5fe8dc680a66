"""ModernBERT: rotary positions, gated feed-forward layers, windows in two of three layers.

It reads a text at once and keeps nothing of it, so the windows bound what is reckoned and not what
is remembered. vLLM 0.32 serves the plain model and both kinds of classes
(`model_executor/models/registry.py`), but not the one for masked words.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks
from llmops.planning.architecture.encoders import profile, sizes
from llmops.planning.architecture.ends import ENCODER, End, dense, kind, labels, wide
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import ByRow, Layer, Profile, Split, Weight
from llmops.planning.architecture.shape import Shape


def modernbert(fields: Fields) -> Profile:
    """ModernBERT; its first layer has no norm before its attention."""
    found = sizes(fields, 8192)
    bias = fields.flag("norm_bias", default=False)
    first = Layer(_weights(fields, found))
    later = Layer((*blocks.norm("attn_norm", found.hidden, bias=bias), *first.weights))
    return profile(
        fields,
        found,
        (first, *(later,) * (found.layers - 1)),
        (
            *blocks.table("embeddings.tok_embeddings", found.vocabulary, found.hidden),
            *blocks.norm("embeddings.norm", found.hidden, bias=bias),
        ),
        _end(fields, found),
        stem="layers",
        positions=found.positions,
        between=blocks.norm("final_norm", found.hidden, bias=bias),
    )


def _weights(fields: Fields, found: Shape) -> tuple[Weight, ...]:
    bias = fields.flag("attention_bias", default=False)
    inside = fields.flag("mlp_bias", default=False)
    by_head, by_width = (
        Split(found.heads.count, blocks.HEADS),
        Split(found.width, blocks.FEED_FORWARD),
    )
    hidden = found.hidden
    return (
        *blocks.linear("attn.Wqkv", 3 * hidden, hidden, by_head, bias=bias),
        *blocks.linear_in("attn.Wo", hidden, hidden, by_head, bias=bias),
        *blocks.norm("mlp_norm", hidden, bias=fields.flag("norm_bias", default=False)),
        *blocks.linear("mlp.Wi", 2 * found.width, hidden, by_width, bias=inside),
        *blocks.linear_in("mlp.Wo", hidden, found.width, by_width, bias=inside),
    )


def _end(fields: Fields, found: Shape) -> End:
    """A layer and a norm before the classes or the words; nothing behind the plain model."""
    what = kind(fields, ENCODER)
    if what == "plain":
        return End("embed")
    bias = fields.flag("classifier_bias", default=False)
    head = (
        *dense("head.dense", found.hidden, found.hidden, bias=bias),
        *blocks.norm("head.norm", found.hidden, bias=fields.flag("norm_bias", default=False)),
    )
    if what != "masked":
        last = wide(dense("classifier", labels(fields), found.hidden))
        return End("classify", (*(wide(head) if what == "text" else head), *last))
    tied = fields.flag("tie_word_embeddings", default=True)
    own = () if tied else blocks.table("decoder", found.vocabulary, found.hidden, role="head")
    offset = Weight("decoder.bias", (found.vocabulary,), ByRow(found.vocabulary), "bias")
    biased = fields.flag("decoder_bias", default=True)
    return End("embed", (*head, *own, *((offset,) * biased)), tied)


READERS = {"modernbert": modernbert}
