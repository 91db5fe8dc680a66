"""What holds in a field and who decided it, for `llmops policy explain`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmops.policies.govern import FIELDS
from llmops.policies.layers import APART, WAYS, Effective
from llmops.policies.model import Policy
from llmops.policies.plain import plain
from llmops.spec import FieldDoc, Placed, explain

OF_SPEC = {path: bound for bound, path in FIELDS.items()}
"""By a field of a spec: the field of a policy that bounds it."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What one policy says of a field."""

    policy: str
    layer: str
    value: Any
    place: str
    """File, line and column of the value."""
    decides: bool
    """Whether what holds comes from it."""


@dataclass(frozen=True, slots=True)
class Explained:
    """What holds in one field."""

    path: str
    doc: FieldDoc
    way: str
    """How values of several policies combine."""
    value: Any
    """What holds, as plain data; None where no policy says anything."""
    nothing: bool
    """Whether what the policies say leaves no value at all."""
    voices: tuple[Voice, ...]
    """Every policy that says something, the widest layer first."""


def explained(
    path: str, effective: Effective, placed: Iterable[Placed[Policy]]
) -> tuple[Explained, ...]:
    """What holds in a field, or in each field of a section.

    Args:
        path: Of a policy, or of a spec where a policy bounds that field.
        effective: The policies that apply.
        placed: The same policies as they were written, so that lines can be named.

    Raises:
        InputError: When a policy has no such field; the hint names the nearest.
    """
    docs = explain(OF_SPEC.get(path, path), Policy)
    places = {one.value.name: one for one in placed}
    wanted = [doc for doc in docs if doc.path in WAYS or doc.path in APART]
    return tuple(_explained(doc, effective, places) for doc in wanted or docs[:1])


def _explained(
    doc: FieldDoc, effective: Effective, places: Mapping[str, Placed[Policy]]
) -> Explained:
    decided = effective.decided.get(doc.path)
    deciders = {one.policy for one in decided.deciders} if decided else None
    said = effective.said(doc.path) if doc.path in WAYS or doc.path in APART else ()
    voices = tuple(
        Voice(
            one.policy, str(one.layer), plain(one.value), _place(places.get(one.policy), doc.path),
            deciders is None or one.policy in deciders,
        )
        for one in said
    )  # fmt: skip
    way = WAYS[doc.path].words if doc.path in WAYS else "each policy's own holds by itself"
    value = plain(decided.value) if decided else None
    nothing = decided is not None and decided.way.is_nothing(decided.value)
    return Explained(doc.path, doc, way, value, nothing, voices)


def _place(placed: Placed[Policy] | None, path: str) -> str:
    found = placed.where(path) if placed else None
    return ":".join(str(part) for part in found) if found else ""
