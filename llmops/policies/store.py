"""Policies that were applied to a target: what is kept of each, and the store that keeps them.

A target keeps one shelf. Its texts are kept as they were written, so that a finding can name a
line of them, and every version stays, so that one can be told from another. The shelf is read
tolerantly; a policy on it is not: a field that this version does not know is a bound that it could
not hold to, so it says that instead of deploying past it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from pydantic import TypeAdapter

from llmops.errors import InputError, RefusedError, SpecError
from llmops.policies.document import parse_policy
from llmops.policies.model import Policy
from llmops.spec import Placed


@dataclass(frozen=True, slots=True)
class Applied:
    """One version of a policy. Times are Unix seconds."""

    name: str
    version: int
    """From 1, one more each time that another text of that name is applied."""
    text: str
    """The file, as it was written."""
    applied_at: float
    applied_by: str
    """Who applied it, as their machine calls them."""
    removed_at: float | None = None
    """Since when the policy holds no more; set on its last version only."""

    @property
    def source(self) -> str:
        """What stands in place of a file's name where a line of it is named."""
        return f"policy {self.name} (version {self.version})"

    def placed(self) -> Placed[Policy]:
        """The policy, and where each of its values was written.

        Raises:
            RefusedError: When this version of llmops cannot read it.
        """
        try:
            return parse_policy(self.text, self.source)
        except SpecError as error:
            raise RefusedError(
                f"{self.source} cannot be read by this version of llmops: {error.problems[0]}",
                hint="use the version that applied it, or apply it again; nothing is deployed past"
                " a policy",
            ) from error


@dataclass(frozen=True, slots=True)
class Shelf:
    """Every version of every policy, in the order in which they were applied."""

    entries: tuple[Applied, ...] = ()

    def holding(self) -> tuple[Applied, ...]:
        """The last version of each policy that was not removed, by name."""
        last = {entry.name: entry for entry in self.entries}
        return tuple(last[name] for name in sorted(last) if last[name].removed_at is None)

    def current(self) -> tuple[Policy, ...]:
        """The policies that hold.

        Raises:
            RefusedError: When this version of llmops cannot read one.
        """
        return tuple(entry.placed().value for entry in self.holding())

    def find(self, name: str, version: int | None = None) -> Applied:
        """A version of a policy; the last one without a number, removed or not.

        Raises:
            InputError: When there is none; the hint says what there is.
        """
        named = [entry for entry in self.entries if entry.name == name]
        found = [entry for entry in named if version in (None, entry.version)]
        if found:
            return found[-1]
        if named:
            versions = ", ".join(str(entry.version) for entry in named)
            raise InputError(f"policy {name} has no version {version}", hint=f"kept: {versions}")
        known = ", ".join(sorted({entry.name for entry in self.entries})) or "none"
        raise InputError(f"no policy '{name}' was applied here", hint=f"there are: {known}")

    def holds(self, name: str) -> Applied | None:
        """The version of a policy that holds; None when there is none."""
        return next((entry for entry in self.holding() if entry.name == name), None)

    def applied(self, name: str, text: str, now: float, by: str) -> Shelf:
        """With a text as the next version of a policy; as it is where just that text holds."""
        holds = self.holds(name)
        if holds is not None and holds.text == text:
            return self
        numbers = [entry.version for entry in self.entries if entry.name == name]
        entry = Applied(name, max(numbers, default=0) + 1, text, now, by)
        return Shelf((*self.entries, entry))

    def removed(self, name: str, now: float) -> Shelf:
        """Without a policy that holds; its versions are kept.

        Raises:
            InputError: When none of that name holds.
        """
        last = self.find(name)
        if last.removed_at is not None:
            raise InputError(f"policy {name} was removed already", hint="llmops policy list")
        ended = replace(last, removed_at=now)
        return Shelf(tuple(ended if entry is last else entry for entry in self.entries))

    def within(self, most_bytes: int) -> Shelf:
        """Without the oldest versions that do not hold, as far as that is needed to fit."""
        kept = list(self.entries)
        needed = {id(entry) for entry in self.holding()}
        for entry in self.entries:
            if _size(kept) <= most_bytes:
                break
            if id(entry) not in needed:
                kept.remove(entry)
        return Shelf(tuple(kept))


class PolicyStore(Protocol):
    """Where a target keeps its shelf."""

    def read(self) -> tuple[Shelf, str]:
        """The shelf and its version; an empty one and `''` when nothing was ever applied.

        Raises:
            LlmopsError: When it is damaged; a shelf is never guessed.
        """
        ...

    def write(self, shelf: Shelf, version: str) -> str:
        """Store the shelf if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        ...


_SHELF: TypeAdapter[Shelf] = TypeAdapter(Shelf)


def dumps(shelf: Shelf) -> str:
    """A shelf as JSON text."""
    return json.dumps(_SHELF.dump_python(shelf, mode="json"), indent=1, allow_nan=False)


def loads(text: str) -> Shelf:
    """A shelf from JSON text; what this version does not know in it is left out.

    Raises:
        ValueError: When it is none.
    """
    return _SHELF.validate_json(text)


def _size(entries: Iterable[Applied]) -> int:
    return sum(len(dumps(Shelf((entry,))).encode()) for entry in entries)
