"""What kind of file is read: the model of what may stand in it, and what messages say about it.

The strict reading (`strict`) is the same for every file that a user writes; all that differs
between a spec and, say, a catalogue is said here as values. Nothing here reads anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from llmops.spec.nodes import Trail


class Section(BaseModel):
    """A part of a file: strict (no silent conversion), frozen, unknown keys refused."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True
    )


S = TypeVar("S", bound=Section)

Written = Callable[[Trail], bool]
"""Whether a value was written, and is not a default."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be meant: at `trail`, and about `others` as well."""

    trail: Trail
    message: str
    hint: str
    others: tuple[Trail, ...] = ()
    key: bool = False


def _nothing(_value: object, _written: Written) -> Iterable[Finding]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Generic[S]):
    """A kind of file that is read strictly."""

    model: type[S]
    """What may stand in it."""
    noun: str
    """Such a file, as a hint calls it: `a spec`."""
    describes: str
    """What it says, as a message calls it: `a deployment`."""
    line: str
    """A line that such a file may begin with: `name: support-chat`."""
    begin: str
    """Hint: how to get one to start from."""
    absent: str
    """Hint: what to do when there is no such file."""
    usual: str
    """Its usual name: `llmops.yaml`."""
    levels: str
    """How deep its sections are at most, in words."""
    more: str
    """Hint of last resort for a value: where its field is explained; `{path}` stands for it."""
    contradictions: Callable[[S, Written], Iterable[Finding]] = _nothing
    """What no such file can mean, though each value has the right type."""
    stand_ins: tuple[tuple[Trail, str], ...] = ()
    """What is checked in place of a required field that is wrong, so that the rest can be."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """By dotted path: how a field is written."""
    later: Mapping[str, str] = field(default_factory=dict)
    """By dotted path: hint for a word that a later version may take."""
