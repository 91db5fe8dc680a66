"""What a field takes, and what was found instead, in the words of somebody who writes the file.

Read off the models' own annotations, so that a message, the reference page and `explain` cannot
say different things.
"""

from __future__ import annotations

import operator
import types
from collections.abc import Iterable
from enum import Enum, EnumType
from functools import reduce
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from llmops.spec.bounds import Between, Form
from llmops.spec.document import Section
from llmops.spec.names import DNS_LABEL
from llmops.spec.nodes import Broken, Mapping, Node, Scalar, Sequence
from llmops.units import Bytes, Duration, Replicas
from llmops.windows import EXAMPLE, Window

LONGEST = 48
"""Characters of a value that a message repeats."""

LONGEST_NAME = 40
"""Characters of a name."""


def branches(annotation: Any, metadata: Iterable[Any] = ()) -> list[tuple[Any, list[Any]]]:
    """The alternatives of an annotation, each with what restricts it."""
    told = list(metadata)
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        return branches(annotation, [*told, *more])
    if get_origin(annotation) in (Union, types.UnionType):
        return [found for part in get_args(annotation) for found in branches(part)]
    flat = []
    for item in told:
        flat += item.metadata if isinstance(item, FieldInfo) else [item]
    return [(annotation, flat)]


def sections_of(annotation: Any) -> tuple[type[Section], ...]:
    """The sections that a field may hold: none, one, or one for each `kind`."""
    kinds = (kind for kind, _ in branches(annotation))
    return tuple(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section))


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field may hold, the first of several; None when it holds none."""
    return next(iter(sections_of(annotation)), None)


def kind_of(section: type[Section]) -> str:
    """The word that `kind` has in a section; empty when it has no such key."""
    field = section.model_fields.get("kind")
    return ", ".join(literals(field.annotation)) if field else ""


def any_kind(sections: Iterable[type[Section]]) -> Any:
    """The annotation of `kind` in a field that may hold each of `sections`."""
    kinds: list[Any] = [section.model_fields["kind"].annotation for section in sections]
    return reduce(operator.or_, kinds)


def literals(annotation: Any) -> tuple[str, ...]:
    """The words that a field takes literally."""
    return tuple(
        str(word.value if isinstance(word, Enum) else word)
        for kind, _ in branches(annotation)
        if is_words(kind)
        for word in (kind if isinstance(kind, EnumType) else get_args(kind))
    )


def is_words(kind: Any) -> bool:
    """Whether a form of a field is a choice of words."""
    return isinstance(kind, EnumType) or get_origin(kind) is Literal


def expected(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What a field takes: `a whole number from 1 to 1024, or 'auto'`."""
    words = literals(annotation)
    several = len(sections_of(annotation)) > 1
    others = [
        _one(kind, restrictions)
        for kind, restrictions in branches(annotation, metadata)
        if not is_words(kind) and kind is not type(None) and not several
    ]
    if several:
        others.append(f"a section whose kind is {expected(any_kind(sections_of(annotation)))}")
    quoted = [f"'{word}'" for word in words]
    if others:
        return ", or ".join([*quoted, *others])
    return quoted[0] if len(quoted) == 1 else f"one of {', '.join(quoted)}"


def _one(kind: Any, restrictions: list[Any]) -> str:
    for item in restrictions:
        if isinstance(item, Form):
            return item.words
    if kind is int:
        low = _restriction(restrictions, "ge")
        high = _restriction(restrictions, "le")
        return f"a whole number from {low} to {high}" if high is not None else "a whole number"
    if kind is float:
        low = _restriction(restrictions, "ge")
        high = _restriction(restrictions, "le")
        return f"a number from {low:.12g} to {high:.12g}" if high is not None else "a number"
    if kind is Bytes or kind is Duration:
        what = "a size" if kind is Bytes else "a time"
        bounds = _bounds(restrictions)
        span = f" from {bounds.low} to {bounds.high}," if bounds else ""
        return f"{what}{span} such as '{bounds.example if bounds else kind.EXAMPLE}'"
    if kind is Replicas:
        return f"a number from 1 to {Replicas.LIMIT}, or a range such as '1..4'"
    if kind is Window:
        return f"days, times and a zone such as '{EXAMPLE}'"
    if kind is str:
        return "text"
    if kind is bool:
        return "true or false"
    if get_origin(kind) is tuple:
        return "a list of names" if is_name(get_args(kind)[0]) else "a list"
    if isinstance(kind, type) and issubclass(kind, Section):
        return f"a section with the keys {', '.join(kind.model_fields)}"
    return "a mapping"


def form_of(annotation: Any, metadata: Iterable[Any] = ()) -> Form | None:
    """What a text is the text of, if the field says so."""
    told = (item for _, restrictions in branches(annotation, metadata) for item in restrictions)
    return next((item for item in told if isinstance(item, Form)), None)


def is_name(annotation: Any, metadata: Iterable[Any] = ()) -> bool:
    """Whether a field takes names: of services, or of keys."""
    return any(
        _restriction(restrictions, "pattern") == DNS_LABEL
        for _, restrictions in branches(annotation, metadata)
    )


def bounds_of(annotation: Any, metadata: Iterable[Any] = ()) -> Between | None:
    """The bounds of a size or a time, if the field is one and has some."""
    found = (_bounds(restrictions) for _, restrictions in branches(annotation, metadata))
    return next((bounds for bounds in found if bounds), None)


def _bounds(restrictions: Iterable[Any]) -> Between | None:
    return next((item for item in restrictions if isinstance(item, Between)), None)


def _restriction(restrictions: list[Any], name: str) -> Any:
    for item in restrictions:
        if (value := getattr(item, name, None)) is not None:
            return value
    return None


def found(node: Node, *, discreet: bool = False) -> str:
    """What stands in the file: `16`, `'sixteen'`, `nothing`, `a list`, `a mapping`.

    When `discreet`, a long text is not repeated: somebody may have put a secret there.
    """
    if discreet and isinstance(node, Scalar) and len(node.written) > LONGEST_NAME:
        return f"a text of {len(node.written)} characters"
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Broken):
        return "something else"
    if isinstance(node.value, str):
        return quoted(node.value)
    if node.value is None:
        return "nothing"
    return node.written if node.plain else quoted(node.written)


def quoted(text: str) -> str:
    """A text in quotes, shortened, on one line."""
    line = " ".join(text.split("\n"))
    return f"'{line}'" if len(line) <= LONGEST else f"'{line[: LONGEST - 1]}…'"


def is_number(node: Node) -> bool:
    """Whether a number was written, quoted or not."""
    return isinstance(node, Scalar) and node.written.strip("-+").replace(".", "", 1).isdecimal()
