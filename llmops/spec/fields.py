"""The fields of a spec as data: for `explain`, for the reference page, and for hints.

Read off the models; nothing is told here that is not written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from llmops.errors import InputError
from llmops.spec.document import Section
from llmops.spec.models import Deployment
from llmops.spec.nearest import nearest
from llmops.spec.nodes import trail_of
from llmops.spec.words import expected, literals, section_of


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


@cache
def fields(model: type[Section] = Deployment) -> tuple[FieldDoc, ...]:
    """Every field, sections before what is in them, in the order of the models."""
    return tuple(_walk(model, ""))


def explain(path: str) -> tuple[FieldDoc, ...]:
    """The field at `path` and, when it is a section, what is below it.

    A list's element is explained by the list, an engine's argument by `engine.args`.

    Raises:
        InputError: When there is no such field; the hint names the nearest.
    """
    keys = [step for step in trail_of(path.strip()) if isinstance(step, str)]
    if keys[:2] == ["engine", "args"]:
        keys = keys[:2]
    wanted = ".".join(keys)
    found = [doc for doc in fields() if doc.path == wanted or doc.path.startswith(f"{wanted}.")]
    if wanted and found:
        return tuple(found)
    raise InputError(f"expected a field of the spec, found '{path[:60]}'", hint=_hint(keys))


def elsewhere(key: str, model: type[Section] = Deployment) -> str | None:
    """The path of the only field of that name, wherever it is."""
    near = nearest(key, {doc.path.rpartition(".")[2] for doc in fields(model)})
    paths = [doc.path for doc in fields(model) if doc.path.rpartition(".")[2] == near]
    return paths[0] if len(paths) == 1 else None


def _hint(keys: list[str]) -> str:
    paths = [doc.path for doc in fields()]
    near = nearest(".".join(keys), paths) or (elsewhere(keys[-1]) if keys else None)
    if near:
        return f"did you mean '{near}'?"
    return f"sections: {', '.join(path for path in paths if '.' not in path)}"


def _walk(section: type[Section], above: str) -> Iterator[FieldDoc]:
    for name, field in section.model_fields.items():
        path = f"{above}.{name}" if above else name
        below = section_of(field.annotation)
        yield FieldDoc(
            path=path,
            type=expected(field.annotation, field.metadata),
            default=_default(field),
            doc=" ".join((field.description or "").split()),
            allowed=literals(field.annotation),
            required=field.is_required(),
            section=below is not None,
        )
        if below is not None:
            yield from _walk(below, path)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if isinstance(value, Section):
        return ""
    if isinstance(value, tuple):
        return f"[{', '.join(str(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
