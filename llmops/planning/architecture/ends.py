"""What stands behind a model's layers, by the class that its configuration names.

The same layers generate, give vectors, classes of a text, classes of its tokens, or words for
masked places. A class that is none of these, or one that its family does not have, is refused by
name, because the size of what it has would be a guess.

vLLM 0.32 keeps the layers that make classes in float32 (`config/model.py`, `head_dtype`), of
decoders as of encoders. It leaves a plain encoder's pooler out, and most models for masked words it
takes for plain ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from llmops.planning.architecture import blocks
from llmops.planning.architecture.fields import MOST, Fields
from llmops.planning.architecture.profile import ByRow, Task, Weight, Whole

Kind = Literal["causal", "conditional", "masked", "text", "tokens", "plain"]
"""What a class gives: the next word, the next word of an answer to something else, words for masked
places, classes of a text, classes of its tokens, or what the layers give."""

_ENDINGS: tuple[tuple[str, Kind], ...] = (
    ("ForCausalLM", "causal"),
    ("ForConditionalGeneration", "conditional"),
    ("ChatModel", "causal"),
    ("LMHeadModel", "causal"),
    ("MTModel", "conditional"),
    ("ForMaskedLM", "masked"),
    ("ForSequenceClassification", "text"),
    ("ForTokenClassification", "tokens"),
    ("Model", "plain"),
)
"""Endings of classes; those that generate are as vLLM 0.32 tells them (`_SUFFIX_TO_DEFAULTS`), and
Marian's. The first that fits holds."""

DECODER: tuple[Kind, ...] = ("causal", "conditional", "text", "tokens", "plain")
"""What classes of decoders give; the first where no class is named, here and below."""

ENCODER: tuple[Kind, ...] = ("plain", "masked", "text", "tokens")

BOTH: tuple[Kind, ...] = ("conditional", "text", "plain")
"""Of models with an encoder and a decoder."""


@dataclass(frozen=True, slots=True)
class End:
    """What stands behind the layers of one model."""

    task: Task
    weights: tuple[Weight, ...] = ()
    tied: bool = False
    """Whether the embedding table makes the words."""


def ending(name: str) -> Kind | None:
    """What a class of this name gives; None when its ending is not known."""
    if name.endswith("RewardModel"):
        return None
    return next((kind for end, kind in _ENDINGS if name.endswith(end)), None)


def kind(fields: Fields, known: tuple[Kind, ...]) -> Kind:
    """What the class gives that the configuration names.

    Args:
        known: What the family's classes give; the first where the configuration names no class.

    Raises:
        Refusal: When it is none of these.
    """
    found = ending(fields.name)
    if found in known:
        return found
    if found is None and not fields.classed:
        return known[0]
    raise fields.top().absurd("architectures", "a class whose head this version does not know")


def head(
    fields: Fields,
    hidden: int,
    vocabulary: int,
    *,
    tied: bool = False,
    bias: bool = False,
    name: str = "lm_head",
) -> End:
    """What a decoder has behind its last norm.

    Args:
        hidden: Features that the head takes.
        tied: The family's default of `tie_word_embeddings`.
        bias: Whether a head that generates has a bias (Phi-2, GPT-J).
        name: What transformers calls a head that generates.

    Raises:
        Refusal: When the class is none that generates, classifies or embeds.
    """
    found = kind(fields, DECODER)
    if found == "plain":
        return End("embed")
    if found in ("text", "tokens"):
        score = dense("score", labels(fields), hidden, bias=found == "tokens")
        return End("classify", wide(score))
    same = fields.flag("tie_word_embeddings", default=tied)
    table = () if same else blocks.table(name, vocabulary, hidden, role="head")
    offset = (Weight(f"{name}.bias", (vocabulary,), ByRow(vocabulary), "bias"),) if bias else ()
    return End("generate", (*table, *offset), same)


@dataclass(frozen=True, slots=True)
class Ends:
    """What a family of encoders calls the parts behind its layers, and which of them it has."""

    pooled: frozenset[Kind] = frozenset()
    """Classes with a pooler: a layer over the first token's features."""
    dense: str = ""
    """The layer before the classes of a text; empty without."""
    classes: str = "classifier"
    """The layer that makes the classes of a text."""
    transform: str = "cls.predictions.transform.dense"
    norm: str = "cls.predictions.transform.LayerNorm"
    bias: str = "cls.predictions.bias"
    decoder: str = "cls.predictions.decoder"
    """The table that makes words, where it is not the embedding table; empty: it always is."""
    biased: bool = True
    """Whether that table has a bias of its own beside the one above."""
    pooler: str = "pooler.dense"


def end(fields: Fields, style: Ends, hidden: int, vocabulary: int, narrow: int = 0) -> End:
    """What an encoder has behind its layers.

    Args:
        narrow: Width of the embedding table where it is not `hidden`.

    Raises:
        Refusal: When the class is not known, or the number of its classes is absurd.
    """
    found = kind(fields, ENCODER)
    pooler = dense(style.pooler, hidden, hidden) if found in style.pooled else ()
    if found == "plain":
        return End("embed", pooler)
    if found == "masked":
        return _words(fields, style, hidden, vocabulary, narrow or hidden)
    if found == "tokens":
        return End("classify", wide((*pooler, *dense("classifier", labels(fields), hidden))))
    before = dense(style.dense, hidden, hidden) if style.dense else ()
    classes = dense(style.classes, labels(fields), hidden)
    return End("classify", wide((*pooler, *before, *classes)))


def _words(fields: Fields, style: Ends, hidden: int, vocabulary: int, width: int) -> End:
    """Features to vectors like those of the embedding table, and these to words."""
    tied = fields.flag("tie_word_embeddings", default=True) or not style.decoder
    cut = ByRow(vocabulary)
    own = (
        *blocks.table(style.decoder, vocabulary, width, role="head"),
        *((Weight(f"{style.decoder}.bias", (vocabulary,), cut, "bias"),) * style.biased),
    )
    weights = (
        *dense(style.transform, width, hidden),
        *blocks.norm(style.norm, width, bias=True),
        *(() if tied else own),
        Weight(style.bias, (vocabulary,), cut, "bias"),
    )
    return End("embed", weights, tied)


def dense(name: str, outputs: int, inputs: int, *, bias: bool = True) -> tuple[Weight, ...]:
    """A layer of a head: on every rank."""
    return blocks.linear(name, outputs, inputs, Whole(), bias=bias, role="head")


def wide(weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    """The same weights, kept in float32."""
    return tuple(replace(weight, float32=True) for weight in weights)


def labels(fields: Fields, unsaid: int = 2) -> int:
    """Classes that a classifier tells apart: `id2label` counts, else `num_labels`, else `unsaid`.

    Raises:
        Refusal: When they are no mapping and no number.
    """
    named = fields.raw().get("id2label")
    if named is None:
        return fields.number("num_labels", default=unsaid)
    if not isinstance(named, Mapping) or not 0 < len(named) < MOST:
        raise fields.absurd("id2label", "not a mapping of classes")
    return len(named)
