"""A decoder's profile from its layers: an embedding table before them, a norm and a head behind.

What is in a layer is the family's business, and what the head is the class's (`ends`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llmops.planning.architecture import blocks
from llmops.planning.architecture.ends import head
from llmops.planning.architecture.fields import Fields
from llmops.planning.architecture.profile import Layer, Profile, Weight
from llmops.planning.architecture.shape import Shape
from llmops.planning.architecture.windows import Windows


@dataclass(frozen=True, slots=True)
class Frame:
    """What a family has around its layers, and what it calls that."""

    embeddings: str = "model.embed_tokens"
    norm: str = "model.norm"
    """The last norm; empty when it has no weights, or the reader makes it."""
    stem: str = "model.layers"
    tied: bool = False
    """Whether head and embeddings are one table where the configuration does not say."""
    norm_bias: bool = False
    head_bias: bool = False


PLAIN = Frame()
TIED = Frame(tied=True)


def stack(
    fields: Fields, found: Shape, weights: tuple[Weight, ...], windows: Windows
) -> tuple[Layer, ...]:
    """Layers of the same weights that differ in how far back they attend.

    A model that attends both ways (`is_causal: false`, or a class that says so) reads a text at
    once and keeps nothing of it.
    """
    if not fields.flag("is_causal", default=True) or "Bidirectional" in fields.name:
        return (Layer(weights),) * found.layers
    kinds = {w: Layer(weights, (found.heads.keys(w),)) for w in dict.fromkeys(windows)}
    return tuple(kinds[window] for window in windows)


def whole(
    fields: Fields,
    found: Shape,
    weights: tuple[Weight, ...],
    windows: Windows,
    frame: Frame = PLAIN,
    *,
    before: tuple[Weight, ...] = (),
) -> Profile:
    """A decoder whose layers differ in nothing but how far back they attend."""
    return decoder(fields, found, stack(fields, found, weights, windows), frame, before=before)


def decoder(
    fields: Fields,
    found: Shape,
    layers: Sequence[Layer],
    frame: Frame,
    *,
    widest: int | None = None,
    experts: int = 0,
    experts_per_token: int = 0,
    before: tuple[Weight, ...] = (),
    behind: tuple[Weight, ...] = (),
    outputs: int | None = None,
) -> Profile:
    """A decoder: to generate with, or with a head for classes, or without a head.

    Args:
        widest: Widest feed-forward layer that one token passes; None: that of the sizes.
        before: What the first stage holds beside the table of tokens: positions, norms.
        behind: What stands between the last norm and the head.
        outputs: Width of the table and the head where it is not the hidden size.

    Raises:
        Refusal: When the class's head is not known.
    """
    width = outputs or found.hidden
    last = head(fields, width, found.vocabulary, tied=frame.tied, bias=frame.head_bias)
    norm = found.norms(frame.norm, bias=frame.norm_bias) if frame.norm else ()
    return Profile(
        name=fields.name,
        model_type=fields.model_type,
        task=last.task,
        hidden=found.hidden,
        heads=found.heads.count,
        kv_heads=found.heads.kv,
        head_dim=found.heads.size,
        intermediate=found.width if widest is None else widest,
        vocabulary=found.vocabulary,
        max_positions=found.positions,
        layers=tuple(layers),
        before=(*blocks.table(frame.embeddings, found.vocabulary, width), *before),
        after=(*norm, *behind, *last.weights),
        tied=last.tied,
        stem=frame.stem,
        experts=experts,
        experts_per_token=experts_per_token,
    )
