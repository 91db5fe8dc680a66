"""The decoder inside a larger model: its section of the configuration, and its weights' names.

What the section's model is made of is told by the reader of its own type, which the caller hands
in: this module knows none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Literal

from llmops.planning.architecture.fields import Fields, printable
from llmops.planning.architecture.profile import Profile, Weight
from llmops.planning.refusal import Refusal

Reader = Callable[[Fields], Profile]
Readers = Mapping[str, Reader]

Tie = Literal["outer", "either", "inner"]
"""Who says whether the head is the embedding table: the whole model's configuration; it or the
text's, whichever says yes; or it, and where it is silent the text's, as the engine reads it."""


def text(
    fields: Fields,
    readers: Readers,
    kind: str,
    *,
    section: str = "text_config",
    tie: Tie = "outer",
    forced: bool = False,
) -> Profile:
    """The text part, as a model of its own.

    Args:
        kind: The section's `model_type` where it names none.
        section: Where it is; empty when the configuration is one flat mapping.
        forced: Whether the section is a `kind` whatever it calls itself.

    Raises:
        Refusal: When it is of a kind that no reader knows, or the reader refuses.
    """
    inner = fields.section(section) if section else fields
    named = kind if forced else inner.model_type or kind
    reader = readers.get(named)
    if reader is None:
        raise _unknown(fields, named)
    merged = {**inner.raw(), "model_type": named, **_tied(fields, tie)}
    return reader(fields.like(merged, section))


def _tied(fields: Fields, tie: Tie) -> dict[str, bool]:
    """What the whole model's configuration decides of the text's; empty where the text does."""
    said = fields.flag("tie_word_embeddings", default=False)
    decides = {"outer": True, "either": said, "inner": fields.has("tie_word_embeddings")}
    return {"tie_word_embeddings": said} if decides[tie] else {}


def _unknown(fields: Fields, kind: str) -> Refusal:
    return Refusal(
        f"this version cannot plan {fields.name}: its text part is '{printable(kind)}', which it"
        " does not know",
        hint="use a model whose text part is of a kind that it knows, such as Llama or Qwen2",
        path="model.source",
    )


def within(
    fields: Fields,
    inner: Profile,
    towers: tuple[Weight, ...],
    *,
    decoder: str = "model.language_model.",
    head: str = "",
) -> Profile:
    """The whole model: the text part under its longer names, and the towers beside it.

    Args:
        decoder: What stands for the text part's own `model.`.
        head: What comes before the names outside of it, the head's.
    """
    return replace(
        inner,
        name=fields.name,
        model_type=fields.model_type,
        before=_renamed(inner.before, decoder, head),
        after=_renamed(inner.after, decoder, head),
        stem=_longer(inner.stem, decoder, head),
        towers=towers,
    )


def _renamed(weights: Iterable[Weight], decoder: str, head: str) -> tuple[Weight, ...]:
    return tuple(replace(w, name=_longer(w.name, decoder, head)) for w in weights)


def _longer(name: str, decoder: str, head: str) -> str:
    rest = name.removeprefix("model.")
    return f"{head}{name}" if rest == name else f"{decoder}{rest}"
