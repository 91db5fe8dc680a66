"""From files to what their document's model says, or to everything that is wrong at once.

Composes the steps: text, nodes, overlays, the model, contradictions. Reads the files that it is
given and nothing else; a later file overlays an earlier one, and every value remembers its own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping as TypingMapping
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Generic

from pydantic import ValidationError

from llmops.errors import InputError, Problem, SpecError
from llmops.spec import text
from llmops.spec.document import Document, S
from llmops.spec.mistakes import Mistake, find_mistakes, wrong_trails
from llmops.spec.nodes import (
    Broken,
    Mapping,
    Mark,
    Scalar,
    Trail,
    broken_on,
    data,
    dotted,
    find,
    overlay,
    place,
    steps,
    trail_of,
)
from llmops.spec.parse import parse
from llmops.spec.words import found

STDIN = "<stdin>"
"""What standard input is called in messages."""

MOST_PROBLEMS = 100
"""Problems that are listed."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[S]):
    """What was read, and where each of its values was written."""

    value: S
    root: Mapping = field(repr=False)

    def where(self, path: str, *, key: bool = False) -> tuple[str, int, int] | None:
        """File, line and column of a dotted path, such as `security.keys[0]`; of its key if `key`.

        Of the nearest section that was written, when the value itself was not; None when not even
        that was.
        """
        trail = trail_of(path)
        if not any(True for _ in steps(self.root, trail)):
            return None
        mark = place(self.root, trail, key=key)
        return mark.file, mark.line, mark.column

    def problem(self, path: str, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """A problem with the value at `path`, for who finds one later than the reading.

        It points to the start of the document when nothing near `path` was written.
        """
        mark = place(self.root, trail_of(path), key=key)
        return Problem(mark.file, mark.line, mark.column, path, message, hint)


def read_document(document: Document[S], paths: Sequence[Path]) -> Placed[S]:
    """Read one or more files of one kind; later ones overlay earlier ones.

    Mappings are merged key by key, lists and single values replaced. `-` is standard input.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of all files, in their order.
    """
    if not paths:
        raise InputError("expected a file, found none", hint=document.absent)
    return _settle(document, [_fetch(document, path) for path in paths])


def read_one_of(
    documents: TypingMapping[str, Document[Any]], usual: str, paths: Sequence[Path]
) -> Placed[Any]:
    """Read files of the kind that they say they are; later ones overlay earlier ones.

    Args:
        documents: By the word behind `kind`.
        usual: The kind that they are of where they do not say, or say none of these.
        paths: The files; `-` is standard input, which is read once.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of all files, in their order.
    """
    document = documents[usual]
    if not paths:
        raise InputError("expected a file, found none", hint=document.absent)
    files = [_fetch(document, path) for path in paths]
    for name, raw in files:
        root = _parsed(document, name, raw, [])
        said = find(root, ("kind",)) if root is not None else None
        if isinstance(said, Scalar) and isinstance(said.value, str):
            document = documents.get(said.value, document)
    return _settle(document, files)


def read_text(document: Document[S], source: str, name: str) -> Placed[S]:
    """Read a text in place of a file.

    Raises:
        SpecError: With all problems; they name `name` as the file.
    """
    return _settle(document, [(name, source.encode("utf-8", "surrogatepass"))])


def _fetch(document: Document[S], path: Path) -> tuple[str, bytes]:
    """A file's name and its bytes, one more than it may have at most."""
    if str(path) == "-":
        return STDIN, sys.stdin.buffer.read(text.LIMIT + 1)
    try:
        with path.open("rb") as file:
            return str(path), file.read(text.LIMIT + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: expected a file, found none", hint=document.absent) from error
    except IsADirectoryError as error:
        hint = f"name the file in it, such as {path / document.usual}"
        raise InputError(f"{path}: expected a file, found a directory", hint=hint) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is none"
        raise InputError(f"{path}: cannot be read: {why}", hint="check its permissions") from error


def _settle(document: Document[S], files: list[tuple[str, bytes]]) -> Placed[S]:
    problems: list[Problem] = []
    roots = [_parsed(document, name, raw, problems) for name, raw in files]
    readable = [root for root in roots if root is not None]
    if readable:
        whole = len(readable) == len(roots)
        root = reduce(_overlaid, readable)
        value, mistakes = _check(document, root, whole=whole)
        problems += [_problem(root, mistake) for mistake in mistakes]
        if value is not None and not problems:
            return Placed(value, root)
    raise SpecError(_told(problems, [name for name, _ in files]))


def _overlaid(below: Mapping, above: Mapping) -> Mapping:
    merged = overlay(below, above)
    return merged if isinstance(merged, Mapping) else above


def _parsed(
    document: Document[S], name: str, raw: bytes, problems: list[Problem]
) -> Mapping | None:
    """The mapping that a file is, or None and a problem."""
    source = text.decode(raw, name, document, problems)
    root = parse(source, name, document, problems) if source is not None else None
    if root is None or isinstance(root, (Mapping, Broken)):
        return root if isinstance(root, Mapping) else None
    mark = root.mark
    message = f"expected 'key: value' lines such as '{document.line}', found {found(root)}"
    problems.append(Problem(name, mark.line, mark.column, "", message, document.begin))
    return None


def _check(document: Document[S], root: Mapping, *, whole: bool) -> tuple[S | None, list[Mistake]]:
    """What `root` describes, and what is wrong with it.

    Args:
        document: What kind of file it is.
        root: The files, overlaid.
        whole: Whether all of them could be read; if not, what is missing may be in the others.
    """
    values = data(root)
    mistakes: list[Mistake] = []
    try:
        value = document.model.model_validate(values)
    except ValidationError as error:
        mistakes = find_mistakes(document, error, root)
        repaired = _repaired(document, values, error, root)
        if repaired is None:
            return None, _of_readable(mistakes, root, whole)
        value = repaired
    wrong = [mistake.trail for mistake in mistakes]
    for finding in document.contradictions(value, lambda trail: find(root, trail) is not None):
        about = (finding.trail, *finding.others)
        told = any(_touch(one, other) for one in about for other in wrong)
        if not told and not any(broken_on(root, trail) for trail in about):
            mistakes.append(Mistake(finding.trail, finding.message, finding.hint, finding.key))
    return value, _of_readable(mistakes, root, whole)


def _of_readable(mistakes: list[Mistake], root: Mapping, whole: bool) -> list[Mistake]:
    """Without what may be only because a file could not be read."""
    return [m for m in mistakes if whole or find(root, m.trail) is not None]


def _touch(one: Trail, other: Trail) -> bool:
    """Whether one of two values lies in the other, or is it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _repaired(
    document: Document[S], values: Any, error: ValidationError, root: Mapping
) -> S | None:
    """The value without what is wrong in it, so that what is right can be compared.

    What is missing where no stand-in is known goes with the section that lacks it.
    """
    for attempt in range(3):
        for trail in wrong_trails(document, error, root):
            _remove(values, trail if attempt < 2 else trail[:-1])
        for trail, value in document.stand_ins:
            _put(values, trail, value)
        try:
            return document.model.model_validate(values)
        except ValidationError as again:
            error = again
    return None


def _remove(values: Any, trail: Trail) -> None:
    """Take out what is at `trail`; an element with its whole list."""
    keys = [step for step in trail if isinstance(step, str)]
    for step in keys[:-1]:
        values = values.get(step) if isinstance(values, dict) else None
    if isinstance(values, dict) and keys:
        values.pop(keys[-1], None)


def _put(values: dict[str, Any], trail: Trail, value: str) -> None:
    """Write `value` at `trail` when nothing is there."""
    *above, last = trail
    for step in above:
        values = values.setdefault(str(step), {})
    values.setdefault(str(last), value)


def _problem(root: Mapping, mistake: Mistake) -> Problem:
    mark: Mark = place(root, mistake.trail, key=mistake.key)
    return Problem(
        mark.file, mark.line, mark.column, dotted(mistake.trail), mistake.message, mistake.hint
    )


def _told(problems: list[Problem], files: list[str]) -> tuple[Problem, ...]:
    """The problems in the order of the files; only the first, when nobody could read them all."""
    ordered = sorted(problems, key=lambda p: (files.index(p.file), p.line, p.column))
    if len(ordered) <= MOST_PROBLEMS:
        return tuple(ordered)
    last = ordered[MOST_PROBLEMS]
    message = "expected fewer problems, found more than can be listed"
    rest = Problem(last.file, last.line, last.column, "", message, "mend those above first")
    return (*ordered[:MOST_PROBLEMS], rest)
