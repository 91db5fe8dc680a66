"""Where an error of the validator's is: its location names forms of a field as well as keys.

Walks a location along the models' annotations, and knows nothing of the file itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, get_origin

from llmops.spec.document import Section
from llmops.spec.nodes import Trail
from llmops.spec.words import any_kind, branches, sections_of

_OF_A_KEY = "[key]"
"""What the validator's location of a mapping's key ends in."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an error is: the way there, and the field (None: there is no such field)."""

    trail: Trail
    section: type[Section]
    annotation: Any
    metadata: Sequence[Any] = ()
    other_form: bool = False
    """Whether it is the error of a form of the field that is not a section."""
    instead: tuple[type[Section], ...] = ()
    """Sections of another `kind` that could stand in place of `section`."""
    key: bool = False
    """Whether it is about a key that the user chose, and not about the value behind it."""
    form: type[Section] | None = None
    """The form that the last step went into; `annotation` is the field with all its forms."""
    names: Any = None
    """The annotation of the keys of the mapping that the last step went into."""


def follow(model: type[Section], loc: Iterable[str | int]) -> Spot:
    """The place that a location of an error about `model` means."""
    spot = Spot((), model, model)
    for part in loc:
        spot = _step(spot, part)
        if spot.annotation is None or spot.other_form:
            break
    return spot


def _step(spot: Spot, part: str | int) -> Spot:
    if part == _OF_A_KEY and spot.names is not None:
        return replace(spot, annotation=spot.names, key=True)
    forms = [kind for kind, _ in branches(spot.annotation) if kind is not type(None)]
    form = spot.form or forms[0]
    if spot.form is None and len(forms) > 1:
        return _into_form(spot, part)
    spot = replace(spot, form=None, metadata=(), names=None)
    if isinstance(form, type) and issubclass(form, Section):
        return _into_section(spot, form, str(part))
    if get_origin(form) is tuple:
        return replace(spot, trail=(*spot.trail, part), annotation=get_args(form)[0], instead=())
    if get_origin(form) is dict:
        names, values = get_args(form)
        return replace(spot, trail=(*spot.trail, part), annotation=values, names=names, instead=())
    return spot


def _into_form(spot: Spot, part: str | int) -> Spot:
    sections = sections_of(spot.annotation)
    form = next((one for one in sections if part == one.__name__), None)
    if form is None:
        return replace(spot, other_form=bool(sections))
    return replace(spot, form=form, instead=tuple(one for one in sections if one is not form))


def _into_section(spot: Spot, form: type[Section], key: str) -> Spot:
    field = form.model_fields.get(key)
    into = replace(spot, trail=(*spot.trail, key), section=form)
    if field is None:
        return replace(into, annotation=None)
    if key == "kind" and spot.instead:
        return replace(into, annotation=any_kind(sections_of(spot.annotation)), instead=())
    return replace(into, annotation=field.annotation, metadata=field.metadata, instead=())
