"""DeBERTa V2 and V3: positions relative to each other, in one table for all layers.

It reads a text at once and keeps nothing of it. vLLM 0.32 does not serve it: no class of it is in
`model_executor/models/registry.py`, and transformers' code for it takes no other attention.
"""

from __future__ import annotations

from llmops.planning.architecture import blocks
from llmops.planning.architecture.encoders import Parts, forward, profile, sizes
from llmops.planning.architecture.ends import Ends, end
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Profile, Split, Weight, Whole
from llmops.planning.architecture.shape import Shape

_ENDS = Ends(pooled=frozenset({"text"}))

_LATER = Ends(
    pooled=frozenset({"text"}),
    transform="lm_predictions.lm_head.dense",
    norm="lm_predictions.lm_head.LayerNorm",
    bias="lm_predictions.lm_head.bias",
    decoder="",
)

_NAMES = Parts()


def deberta(fields: Fields) -> Profile:
    """DeBERTa V2, V3 and mDeBERTa V3."""
    found = sizes(fields)
    narrow = fields.number("embedding_size", default=found.hidden)
    positions = fields.number("max_position_embeddings", default=512)
    legacy = fields.flag("legacy", default=True)
    return profile(
        fields,
        found,
        (_layer(fields, found),) * found.layers,
        (*_tables(fields, found, narrow, positions), *_shared(fields, found, positions)),
        end(
            fields, _ENDS if legacy else _LATER, found.hidden, found.vocabulary,
            narrow if legacy else found.hidden,
        ),
        stem=_NAMES.stem,
        positions=positions,
    )  # fmt: skip


def _tables(fields: Fields, found: Shape, narrow: int, positions: int) -> tuple[Weight, ...]:
    """Tokens, and positions and parts of the text where the model has them."""
    biased = fields.flag("position_biased_input", default=True)
    types = fields.number("type_vocab_size", default=0, least=0)
    places = blocks.table("embeddings.position_embeddings", positions, narrow)
    parts = blocks.table("embeddings.token_type_embeddings", types, narrow)
    wider = blocks.linear("embeddings.embed_proj", found.hidden, narrow, Whole())
    return (
        *blocks.table("embeddings.word_embeddings", found.vocabulary, narrow),
        *(places if biased else ()),
        *(parts if types else ()),
        *(wider if narrow != found.hidden else ()),
        *blocks.norm("embeddings.LayerNorm", found.hidden, bias=True),
    )


def _shared(fields: Fields, found: Shape, positions: int) -> tuple[Weight, ...]:
    """What all layers share: the table of relative positions, a convolution behind the first."""
    hidden, weights = found.hidden, []
    if fields.flag("relative_attention", default=False):
        rows = 2 * _span(fields, positions)
        table = Weight("encoder.rel_embeddings.weight", (rows, hidden), Whole(), "embedding")
        weights.append(table)
    if "layer_norm" in fields.text("norm_rel_ebd", "none").lower():
        weights += blocks.norm("encoder.LayerNorm", hidden, bias=True)
    kernel = fields.number("conv_kernel_size", default=0, least=0)
    if kernel:
        groups = fields.number("conv_groups", default=1)
        inputs = fields.divides(hidden, groups, "conv_groups", "groups")
        shape = (hidden, inputs, kernel)
        weights += [
            Weight("encoder.conv.conv.weight", shape, Whole(), "other"),
            Weight("encoder.conv.conv.bias", (hidden,), Whole(), "bias"),
            *blocks.norm("encoder.conv.LayerNorm", hidden, bias=True),
        ]
    return tuple(weights)


def _span(fields: Fields, positions: int) -> int:
    """How far apart two tokens may be and still be told apart; -1 stands for what is unsaid."""
    for name in ("position_buckets", "max_relative_positions"):
        if fields.raw().get(name) not in (None, -1, 0):
            return fields.number(name)
    return positions


def _layer(fields: Fields, found: Shape) -> Layer:
    head_dim = fields.number("attention_head_size", default=found.heads.size)
    cut, inner = Split(found.heads.count, blocks.HEADS), found.heads.count * head_dim
    own = ["query_proj", "key_proj", "value_proj", *_relative(fields)]
    return Layer(
        (
            *(
                weight
                for name in own
                for weight in blocks.linear(
                    f"attention.self.{name}", inner, found.hidden, cut, bias=True
                )
            ),
            *blocks.linear_in(_NAMES.out, found.hidden, inner, cut, bias=True),
            *blocks.norm(_NAMES.after_attention, found.hidden, bias=True),
            *forward(_NAMES, found),
            *blocks.norm(_NAMES.after_forward, found.hidden, bias=True),
        )
    )


def _relative(fields: Fields) -> list[str]:
    """Projections of relative positions that do not share those of the text."""
    if not fields.flag("relative_attention", default=False):
        return []
    if fields.flag("share_att_key", default=False):
        return []
    said = fields.text("pos_att_type") or " ".join(fields.texts("pos_att_type") or ())
    pairs = (("c2p", "pos_key_proj"), ("p2c", "pos_query_proj"))
    return [name for kind, name in pairs if kind in said.lower()]


READERS = {"deberta-v2": deberta}
