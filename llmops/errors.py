"""The error tree. Every failure that a user can meet is one of these, and knows its exit code.

    LlmopsError                 1   something unexpected
    ├── InputError              2   what the user wrote or asked for is wrong; nothing was changed
    │   └── SpecError           2   a file is wrong; carries one Problem per mistake
    ├── RefusedError            3   the plan or a policy says no; carries the arithmetic
    ├── BusyError               3   another writer holds the service; names the holder
    ├── ModelError              2   a model cannot be had, or is not what its manifest says
    └── TargetError             4   the target failed; `serving`: a release still serves
        │                       5   … and nothing serves
        └── UnreachableError        the target cannot be asked; what runs there goes on

A message says what, where, what was expected and what was found; `hint` says what to do next.
Messages never carry a secret: whoever raises one cleans it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "BusyError",
    "InputError",
    "LlmopsError",
    "ModelError",
    "Problem",
    "RefusedError",
    "SpecError",
    "TargetError",
    "UnreachableError",
]


class LlmopsError(Exception):
    """Base of every error that llmops raises on purpose.

    Args:
        message: What went wrong, for a person, without a trailing full stop.
        hint: What to do next; empty when nothing useful can be said.
        path: The field of the spec that it is about, dotted (`model.context`), so that its file
            and line can be shown; empty when it is about none.
    """

    exit_code: int = 1

    def __init__(self, message: str, *, hint: str = "", path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path


class InputError(LlmopsError):
    """An argument, option or file of the user's is wrong. Nothing was changed."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a file: where it is, what it is, and what would be right.

    `line` and `column` count from 1. `path` is dotted (`scaling.replicas`, `security.keys[0]`),
    empty when the mistake is not below a key.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        what = f"{self.path}: {self.message}" if self.path else self.message
        return where + what + (f"\nhint: {self.hint}" if self.hint else "")


class SpecError(InputError):
    """A spec file has mistakes: all of them, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class RefusedError(LlmopsError):
    """The plan, or a policy, refuses. The message carries the arithmetic; nothing was changed.

    `changes` is what the hint says as data: dotted paths of the spec and the values to set them
    to. Whoever fills it has tried that a deployment with all of them is not refused.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        path: str = "",
        changes: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, path=path)
        self.changes = dict(changes or {})


class BusyError(RefusedError):
    """Another writer is at work on the same service. The message names it and since when."""


class ModelError(InputError):
    """A model cannot be found, may not be read, or is not what its manifest says it is."""


class TargetError(LlmopsError):
    """The target failed. `serving` is true while the last good release still answers."""

    def __init__(self, message: str, *, hint: str = "", serving: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.serving = serving
        self.exit_code = 4 if serving else 5


class UnreachableError(TargetError):
    """The target cannot be asked. That says nothing about what runs there: nobody is to blame."""
