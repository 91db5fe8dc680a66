"""From files to a Deployment, or to everything that is wrong with them at once.

Composes the steps: text, nodes, overlays, the models, contradictions. Reads the files that it is
given and nothing else; a later file overlays an earlier one, and every value remembers its own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llmops.errors import InputError, Problem, SpecError
from llmops.spec import text
from llmops.spec.contradictions import find_contradictions
from llmops.spec.mistakes import Mistake, find_mistakes, wrong_trails
from llmops.spec.models import Deployment
from llmops.spec.nodes import (
    Broken,
    Mapping,
    Mark,
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

_STAND_INS: tuple[tuple[Trail, str], ...] = (
    (("name",), "stand-in"),
    (("model", "source"), "file:///stand-in"),
)
"""What is checked in place of a required field that is wrong, so that the rest can be checked."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A deployment, and where each of its values was written."""

    deployment: Deployment
    _root: Mapping = field(repr=False)

    def where(self, path: str, *, key: bool = False) -> tuple[str, int, int] | None:
        """File, line and column of a dotted path, such as `security.keys[0]`; of its key if `key`.

        Of the nearest section that was written, when the value itself was not; None when not even
        that was.
        """
        trail = trail_of(path)
        if not any(True for _ in steps(self._root, trail)):
            return None
        mark = place(self._root, trail, key=key)
        return mark.file, mark.line, mark.column

    def problem(self, path: str, message: str, hint: str = "", *, key: bool = False) -> Problem:
        """A problem with the value at `path`, for who finds one later than the loader.

        It points to the start of the deployment when nothing near `path` was written.
        """
        mark = place(self._root, trail_of(path), key=key)
        return Problem(mark.file, mark.line, mark.column, path, message, hint)


def load(paths: Sequence[Path]) -> Deployment:
    """The deployment that the files describe; see `read`."""
    return read(paths).deployment


def loads(source: str, name: str = "llmops.yaml") -> Deployment:
    """The deployment that a text describes.

    Raises:
        SpecError: With all problems; they name `name` as the file.
    """
    return _settle([(name, source.encode("utf-8", "surrogatepass"))]).deployment


def read(paths: Sequence[Path]) -> Loaded:
    """Read one or more files; later ones overlay earlier ones.

    Mappings are merged key by key, lists and single values replaced. `-` is standard input.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of all files, in their order.
    """
    if not paths:
        raise InputError("expected a file, found none", hint="llmops init NAME writes one")
    return _settle([_fetch(path) for path in paths])


def _fetch(path: Path) -> tuple[str, bytes]:
    """A file's name and its bytes, one more than it may have at most."""
    if str(path) == "-":
        return STDIN, sys.stdin.buffer.read(text.LIMIT + 1)
    try:
        with path.open("rb") as file:
            return str(path), file.read(text.LIMIT + 1)
    except FileNotFoundError as error:
        hint = "llmops init NAME writes one; -f names another"
        raise InputError(f"{path}: expected a file, found none", hint=hint) from error
    except IsADirectoryError as error:
        hint = f"name the file in it, such as {path / 'llmops.yaml'}"
        raise InputError(f"{path}: expected a file, found a directory", hint=hint) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is none"
        raise InputError(f"{path}: cannot be read: {why}", hint="check its permissions") from error


def _settle(files: list[tuple[str, bytes]]) -> Loaded:
    problems: list[Problem] = []
    roots = [_parsed(name, raw, problems) for name, raw in files]
    readable = [root for root in roots if root is not None]
    deployment = None
    if readable:
        whole = len(readable) == len(roots)
        root = reduce(_overlaid, readable)
        deployment, mistakes = _check(root, whole=whole)
        problems += [_problem(root, mistake) for mistake in mistakes]
        if deployment is not None and not problems:
            return Loaded(deployment, root)
    raise SpecError(_told(problems, [name for name, _ in files]))


def _overlaid(below: Mapping, above: Mapping) -> Mapping:
    merged = overlay(below, above)
    return merged if isinstance(merged, Mapping) else above


def _parsed(name: str, raw: bytes, problems: list[Problem]) -> Mapping | None:
    """The mapping that a file is, or None and a problem."""
    source = text.decode(raw, name, problems)
    root = parse(source, name, problems) if source is not None else None
    if root is None or isinstance(root, (Mapping, Broken)):
        return root if isinstance(root, Mapping) else None
    mark = root.mark
    message = f"expected 'key: value' lines such as 'name: support-chat', found {found(root)}"
    hint = "llmops init NAME writes a file to start from"
    problems.append(Problem(name, mark.line, mark.column, "", message, hint))
    return None


def _check(root: Mapping, *, whole: bool) -> tuple[Deployment | None, list[Mistake]]:
    """What `root` describes, and what is wrong with it.

    Args:
        root: The files, overlaid.
        whole: Whether all of them could be read; if not, what is missing may be in the others.
    """
    values = data(root)
    mistakes: list[Mistake] = []
    try:
        deployment = Deployment.model_validate(values)
    except ValidationError as error:
        mistakes = find_mistakes(error, root)
        repaired = _repaired(values, error, root)
        if repaired is None:
            return None, _of_readable(mistakes, root, whole)
        deployment = repaired
    wrong = [mistake.trail for mistake in mistakes]
    for finding in find_contradictions(deployment, lambda trail: find(root, trail) is not None):
        about = (finding.trail, *finding.others)
        told = any(_touch(one, other) for one in about for other in wrong)
        if not told and not any(broken_on(root, trail) for trail in about):
            mistakes.append(Mistake(finding.trail, finding.message, finding.hint, finding.key))
    return deployment, _of_readable(mistakes, root, whole)


def _of_readable(mistakes: list[Mistake], root: Mapping, whole: bool) -> list[Mistake]:
    """Without what may be only because a file could not be read."""
    return [m for m in mistakes if whole or find(root, m.trail) is not None]


def _touch(one: Trail, other: Trail) -> bool:
    """Whether one of two values lies in the other, or is it."""
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]


def _repaired(values: Any, error: ValidationError, root: Mapping) -> Deployment | None:
    """The deployment without its wrong values, so that the right ones can be compared."""
    for _ in range(2):
        for trail in wrong_trails(error, root):
            _remove(values, trail)
        for trail, value in _STAND_INS:
            _put(values, trail, value)
        try:
            return Deployment.model_validate(values)
        except ValidationError as again:
            error = again
    return None


def _remove(values: Any, trail: Trail) -> None:
    """Take out what is at `trail`; an element with its whole list."""
    *above, last = (step for step in trail if isinstance(step, str))
    for step in above:
        values = values.get(step) if isinstance(values, dict) else None
    if isinstance(values, dict):
        values.pop(last, None)


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
