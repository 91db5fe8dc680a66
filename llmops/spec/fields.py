"""The fields of a spec as data: for `explain`, for the reference page, and for hints.

Read off the models; nothing is told here that is not written there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo

from llmops.errors import InputError
from llmops.spec.document import Section
from llmops.spec.models import Deployment
from llmops.spec.nearest import nearest
from llmops.spec.nodes import trail_of
from llmops.spec.words import (
    any_kind,
    branches,
    expected,
    kind_of,
    literals,
    section_of,
    sections_of,
)

OF_LIST = "[]"
"""Behind the name of a list in the path of what its elements have."""

OF_THE_USERS = (
    ("engine", "args"), ("target", "node_selector"), ("security", "per_key"), ("model", "adapters"),
)  # fmt: skip
"""Mappings whose keys are the user's own."""


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One field, in words."""

    path: str
    """Dotted, such as `scaling.replicas`."""
    type: str
    """What it takes, as a user writes it."""
    default: str
    """What holds when it is not written; empty for a section, whose fields have their own."""
    doc: str
    """Meaning, unit, and why that default; one paragraph."""
    allowed: tuple[str, ...]
    """Words that it takes literally."""
    required: bool
    """Whether a file without it is refused."""
    section: bool
    """Whether it has fields below it."""
    only: str = ""
    """The `kind` of the section that it is in, where only one of that kind has it."""


@cache
def fields(model: type[Section] = Deployment) -> tuple[FieldDoc, ...]:
    """Every field, sections before what is in them, in the order of the models."""
    return tuple(_walk(model, ""))


def explain(path: str, model: type[Section] = Deployment) -> tuple[FieldDoc, ...]:
    """The field at `path` and, when it is a section, what is below it.

    A list's element is explained by the list, a key of the user's own by what it is a key of.

    Raises:
        InputError: When there is no such field; the hint names the nearest.
    """
    given = path.strip().replace(OF_LIST, "")
    keys = [step for step in trail_of(given) if isinstance(step, str)]
    for wanted in OF_THE_USERS:
        if keys[: len(wanted)] == list(wanted):
            keys = keys[: len(wanted)]
    docs = fields(model)
    found = [doc for doc in docs if doc.path.replace(OF_LIST, "").split(".")[: len(keys)] == keys]
    if keys and found:
        return tuple(found)
    what = "the spec" if model is Deployment else f"a {model.__name__.lower()}"
    raise InputError(f"expected a field of {what}, found '{path[:60]}'", hint=_hint(keys, model))


def elsewhere(key: str, model: type[Section] = Deployment) -> str | None:
    """The path of the only field of that name, wherever it is; one of every kind comes first, and
    one that is less deep."""
    near = nearest(key, {doc.path.rpartition(".")[2] for doc in fields(model)})
    found = [doc for doc in fields(model) if doc.path.rpartition(".")[2] == near]
    found = [doc for doc in found if not doc.only] or found
    least = min((doc.path.count(".") for doc in found), default=0)
    found = [doc for doc in found if doc.path.count(".") == least]
    return found[0].path if len(found) == 1 else None


def _hint(keys: list[str], model: type[Section]) -> str:
    paths = [doc.path for doc in fields(model)]
    near = nearest(".".join(keys), paths) or (elsewhere(keys[-1], model) if keys else None)
    if near:
        return f"did you mean '{near}'?"
    return f"sections: {', '.join(path for path in paths if '.' not in path)}"


def _walk(section: type[Section], above: str, only: str = "") -> Iterator[FieldDoc]:
    for name, field in section.model_fields.items():
        path = f"{above}.{name}" if above else name
        yield _documented(path, field, field.annotation, only)
        yield from _below(path, field.annotation, only)


def _below(path: str, annotation: Any, only: str) -> Iterator[FieldDoc]:
    """What the section, or each of the sections, in a field has."""
    sections = sections_of(annotation)
    if not sections:
        listed = _listed(annotation)
        yield from _walk(listed, f"{path}{OF_LIST}", only) if listed else ()
    elif len(sections) == 1:
        yield from _walk(sections[0], path, only)
    else:
        kind = sections[0].model_fields["kind"]
        yield _documented(f"{path}.kind", kind, any_kind(sections))
        yield from _told_once(path, sections)


def _told_once(path: str, sections: Sequence[type[Section]]) -> Iterator[FieldDoc]:
    """What several kinds of a section have; a field that some of them share is told once, for all
    of these, and one that means something else in each is told for each."""
    told: dict[tuple[str, str], FieldDoc] = {}
    for section in sections:
        for doc in _walk(section, path, kind_of(section)):
            before = told.get((doc.path, doc.doc))
            kinds = f"{before.only.replace(' or ', ', ')} or {doc.only}" if before else doc.only
            told[doc.path, doc.doc] = replace(before or doc, only=kinds)
    yield from (doc for doc in told.values() if doc.path != f"{path}.kind")


def _listed(annotation: Any) -> type[Section] | None:
    """The section that each element of a list is."""
    for kind, _ in branches(annotation):
        if get_origin(kind) is tuple:
            return section_of(get_args(kind)[0])
    return None


def _documented(path: str, field: FieldInfo, annotation: Any, only: str = "") -> FieldDoc:
    return FieldDoc(
        path=path,
        type=expected(annotation, field.metadata),
        default=_default(field),
        doc=" ".join((field.description or "").split()),
        allowed=literals(annotation),
        required=field.is_required(),
        section=section_of(annotation) is not None,
        only=only,
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value == "":
        return "none"
    if isinstance(value, Section):
        return ""
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
