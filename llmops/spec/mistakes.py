"""From what the models refuse to mistakes that a user understands: one for each value.

The models are the judge of what is right. Their error only says where; what was expected is told
from the field's annotation and what was found from the file, so no word of the validator's own
reaches a user, and a field of several forms is one mistake and not one for each form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from llmops.spec.advice import advise, advise_missing, advise_unknown
from llmops.spec.bounds import OutOfBounds
from llmops.spec.document import Document
from llmops.spec.nodes import Mapping, Node, Scalar, Trail, broken_on, dotted, find
from llmops.spec.spots import Spot, follow
from llmops.spec.words import LONGEST, bounds_of, expected, form_of, found, quoted

MOST_MISTAKES = 200
"""Mistakes that are worked out: finding the nearest key for thousands would take minutes."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong at `trail`; `key` when its key is to blame, and not the value behind it."""

    trail: Trail
    message: str
    hint: str
    key: bool = False
    structure: bool = False
    """Whether a key is unknown or missing: it may be right for another `kind`."""


def find_mistakes(document: Document[Any], error: ValidationError, root: Node) -> list[Mistake]:
    """What `error` says about `root`, once for each value, in no order."""
    mistakes: dict[Trail, Mistake] = {}
    for told, spot in _spots(document, error, root):
        if len(mistakes) > MOST_MISTAKES:
            break
        if not broken_on(root, spot.trail) and spot.trail not in mistakes:
            why = told.get("ctx", {}).get("error")
            node = find(root, spot.trail)
            mistakes[spot.trail] = _mistake(document, told["type"], why, spot, node)
    return list(_without_consequences(mistakes.values()))


def wrong_trails(document: Document[Any], error: ValidationError, root: Node) -> set[Trail]:
    """Where `error` found something wrong, what was reported before included."""
    return {spot.trail for _, spot in _spots(document, error, root)}


def _spots(
    document: Document[Any], error: ValidationError, root: Node
) -> Iterator[tuple[Any, Spot]]:
    """Each error with its place; a section's own errors, and not that it is no `auto`."""
    for told in error.errors(include_url=False, include_input=False):
        spot = follow(document.model, told["loc"])
        if not (spot.other_form and isinstance(find(root, spot.trail), Mapping)):
            yield told, spot


def _mistake(
    document: Document[Any], kind: str, why: object, spot: Spot, node: Node | None
) -> Mistake:
    if spot.annotation is None:
        key = str(spot.trail[-1])
        hint = advise_unknown(document, key, spot)
        return Mistake(spot.trail, f"unknown key {quoted(key)}", hint, key=True, structure=True)
    wanted = expected(spot.annotation, spot.metadata)
    if node is None or kind == "missing":
        hint = advise_missing(document, spot.trail)
        message = f"expected {wanted}, found nothing"
        return Mistake(spot.trail, message, hint, key=True, structure=True)
    if spot.key:
        key = quoted(str(spot.trail[-1]))
        hint = document.more.format(path=dotted(spot.trail[:-1]))
        return Mistake(spot.trail, f"expected {wanted}, found {key}", hint, key=True)
    form = form_of(spot.annotation, spot.metadata)
    if form is not None and form.secret:
        return Mistake(spot.trail, f"expected {wanted}, found something else", form.hint)
    hint = advise(document, spot.annotation, spot.metadata, spot.trail, node)
    if _tells_more(why, node, spot):
        return Mistake(spot.trail, str(why), hint)
    discreet = spot.trail[0] == "security"
    return Mistake(spot.trail, f"expected {wanted}, found {found(node, discreet=discreet)}", hint)


def _tells_more(why: object, node: Node, spot: Spot) -> bool:
    """Whether a unit's own complaint is about this value, and not that it is no such value."""
    if isinstance(why, OutOfBounds) or not isinstance(node, Scalar) or len(node.written) > LONGEST:
        return False
    says = str(why or "")
    if says.startswith("expected at most") and bounds_of(spot.annotation, spot.metadata):
        return False
    whole = says.endswith(f"found '{node.written}'")
    generic = "such as" in says and whole
    return says.startswith("expected") and not generic and "\n" not in says


def _without_consequences(mistakes: Iterable[Mistake]) -> Iterator[Mistake]:
    """Leave out unknown and missing keys of a section whose `kind` is not known either."""
    all_of_them = list(mistakes)
    kinds = {m.trail[:-1] for m in all_of_them if m.trail[-1:] == ("kind",) and not m.structure}
    for mistake in all_of_them:
        inside = any(mistake.trail[: len(above)] == above for above in kinds)
        if not (mistake.structure and inside):
            yield mistake
