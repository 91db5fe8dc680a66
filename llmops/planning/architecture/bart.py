"""BART and its kin: encoder-decoders with absolute positions and biases everywhere.

mBART, Pegasus, Marian and M2M-100 (NLLB) differ in three things: whether positions are learned,
sinusoidal in a table that counts as parameters, or worked out; whether a norm stands behind the
embeddings; whether one stands behind each stack. The encoder's tokens are kept as keys and values
for each layer of the decoder, beside its own.

vLLM 0.32 serves none of them itself: BART and mBART only by a plug-in that is installed beside it
(`model_executor/models/registry.py`, `_OOT_SUPPORTED_MODELS`), the others not at all. The cut is
that of its layers of the same kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llmops.planning.architecture import blocks
from llmops.planning.architecture.ends import BOTH, dense, kind, labels, wide
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import (
    Cross,
    Keys,
    Layer,
    Profile,
    Task,
    Weight,
    Whole,
)


@dataclass(frozen=True, slots=True)
class Family:
    """In what the families differ."""

    offset: int | None
    """Rows before the first position in a table of positions; None: there is no table."""
    norm_first: bool
    """Whether a norm stands behind the embeddings of each stack."""
    norm_last: bool
    """Whether a norm stands behind the layers of each stack."""
    classes: int = 2
    """Of a classifier whose configuration names none."""


_BART = Family(offset=2, norm_first=True, norm_last=False, classes=3)
_MBART = Family(offset=2, norm_first=True, norm_last=True)
_PEGASUS = Family(offset=0, norm_first=False, norm_last=True)
_MARIAN = Family(offset=0, norm_first=False, norm_last=False)
_M2M = Family(offset=None, norm_first=False, norm_last=True)

Side = Literal["encoder", "decoder"]


@dataclass(frozen=True, slots=True)
class Stack:
    """One of the two stacks."""

    side: Side
    hidden: int
    heads: int
    width: int
    positions: int

    @property
    def head_dim(self) -> int:
        """Size of a head."""
        return self.hidden // self.heads

    def layer(self) -> Layer:
        """One of its layers; those of the decoder attend to the encoder's tokens too."""
        weights = self._attention("self_attn")
        if self.side == "encoder":
            return Layer((*weights, *self._forward()))
        keys = Keys(self.heads, self.head_dim, self.head_dim)
        cross = Cross(self.heads, self.head_dim, self.head_dim, self.positions)
        return Layer((*weights, *self._attention("encoder_attn"), *self._forward()), (keys, cross))

    def _attention(self, name: str) -> tuple[Weight, ...]:
        return (
            *blocks.attention(
                self.hidden, self.heads, self.heads, self.head_dim,
                bias=True, out_bias=True, prefix=name, out="out_proj",
            ),
            *blocks.norm(f"{name}_layer_norm", self.hidden, bias=True),
        )  # fmt: skip

    def _forward(self) -> tuple[Weight, ...]:
        return (
            *blocks.plain(self.hidden, self.width, prefix=""),
            *blocks.norm("final_layer_norm", self.hidden, bias=True),
        )

    def first(self, family: Family) -> tuple[Weight, ...]:
        """What stands before its layers, beside the table of tokens."""
        name = f"model.{self.side}"
        rows = self.positions + (family.offset or 0)
        table = Weight(f"{name}.embed_positions.weight", (rows, self.hidden), Whole(), "embedding")
        norm = blocks.norm(f"{name}.layernorm_embedding", self.hidden, bias=True)
        return (
            *((table,) if family.offset is not None else ()),
            *(norm if family.norm_first else ()),
        )

    def last(self, family: Family) -> tuple[Weight, ...]:
        """What stands behind its layers."""
        name = f"model.{self.side}.layer_norm"
        return blocks.norm(name, self.hidden, bias=True) if family.norm_last else ()


def _reader(family: Family) -> Callable[[Fields], Profile]:
    def read(fields: Fields) -> Profile:
        return _read(fields, family)

    return read


def _read(fields: Fields, family: Family) -> Profile:
    encoder, decoder = _stack(fields, "encoder"), _stack(fields, "decoder")
    task, head = _end(fields, encoder.hidden, family.classes)
    tables, words = _tables(fields, encoder.hidden)
    return Profile(
        name=fields.name,
        model_type=fields.model_type,
        task=task,
        hidden=decoder.hidden,
        heads=decoder.heads,
        kv_heads=decoder.heads,
        head_dim=decoder.head_dim,
        intermediate=decoder.width,
        vocabulary=fields.number("vocab_size"),
        max_positions=decoder.positions,
        layers=(decoder.layer(),) * fields.layers("decoder_layers"),
        before=(
            *tables,
            *encoder.first(family),
            *encoder.last(family),
            *decoder.first(family),
        ),
        after=(*decoder.last(family), *(words if task == "transduce" else ()), *head),
        tied=task == "transduce" and not words,
        stem="model.decoder.layers",
        encoder=(encoder.layer(),) * fields.layers("encoder_layers"),
    )


def _stack(fields: Fields, side: Side) -> Stack:
    hidden = fields.number("d_model", "hidden_size")
    heads = fields.number(f"{side}_attention_heads", "num_attention_heads")
    fields.divides(hidden, heads, "d_model", "attention heads")
    positions = fields.number("max_position_embeddings", default=1024)
    return Stack(side, hidden, heads, fields.number(f"{side}_ffn_dim"), positions)


def _end(fields: Fields, hidden: int, unsaid: int) -> tuple[Task, tuple[Weight, ...]]:
    """The task that the class stands for, and its head beside the table of words.

    Raises:
        Refusal: When the class is not known.
    """
    found = kind(fields, BOTH)
    if found == "plain":
        return "embed", ()
    if found == "conditional":
        return "transduce", ()
    return "classify", wide(
        (
            *dense("classification_head.dense", hidden, hidden),
            *dense("classification_head.out_proj", labels(fields, unsaid), hidden),
        )
    )


def _tables(fields: Fields, hidden: int) -> tuple[tuple[Weight, ...], tuple[Weight, ...]]:
    """Tables of tokens, and the one that makes words where it is not one of them.

    One table serves both stacks and the head, unless the configuration says otherwise.
    """
    rows = fields.number("vocab_size")
    other = fields.number("decoder_vocab_size", default=rows)
    tied = fields.flag("tie_word_embeddings", default=True)
    if not fields.flag("share_encoder_decoder_embeddings", default=True):
        tables = (
            *blocks.table("model.encoder.embed_tokens", rows, hidden),
            *blocks.table("model.decoder.embed_tokens", other, hidden),
        )
        return tables, () if tied else blocks.table("lm_head", other, hidden, role="head")
    shared = blocks.table("model.shared", rows, hidden)
    if tied:
        return shared, ()
    own = (
        *blocks.table("model.encoder.embed_tokens", rows, hidden),
        *blocks.table("model.decoder.embed_tokens", other, hidden),
    )
    return (*shared, *own), blocks.table("lm_head", rows, hidden, role="head")


READERS = {
    "bart": _reader(_BART),
    "mbart": _reader(_MBART),
    "pegasus": _reader(_PEGASUS),
    "marian": _reader(_MARIAN),
    "m2m_100": _reader(_M2M),
}
