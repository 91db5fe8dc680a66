"""What each step did: how many rows came, went and changed, why, and a few of them to look at.

Examples are of the first rows, so the same input shows the same ones. They pass through the same
hiding of personal data as the rows themselves: a report is read by more people than a data set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SHOWN = 5
"""Examples of each step, and of each of removal and change."""

LONGEST = 400
"""Characters of an example."""


@dataclass(frozen=True, slots=True)
class Example:
    """A row that a step removed or changed."""

    source: str
    why: str
    text: str
    after: str = ""
    """What it was changed to; empty when it was removed."""


@dataclass(slots=True)
class Step:
    """A step's figures."""

    name: str
    about: str
    """What it does, for a person."""
    before: int = 0
    removed: int = 0
    changed: int = 0
    made: int = 0
    """Rows that it made more, by cutting long ones into pieces."""
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    @property
    def after(self) -> int:
        return self.before - self.removed + self.made

    def document(self) -> dict[str, object]:
        """As the manifest has it."""
        return {
            "name": self.name,
            "before": self.before,
            "after": self.after,
            "removed": self.removed,
            "changed": self.changed,
            "reasons": dict(sorted(self.reasons.items())),
        }


class Ledger:
    """The steps of a preparation, in their order."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide
        """Takes personal data out of a text that is shown."""
        self.steps: list[Step] = []

    def open(self, name: str, about: str) -> Step:
        """Begin the account of a step."""
        self.steps.append(Step(name, about))
        return self.steps[-1]

    def removed(self, step: Step, source: str, why: str, text: str) -> None:
        """A row has gone. `why` is counted up to its first parenthesis."""
        step.removed += 1
        step.reasons[why.partition(" (")[0]] += 1
        if sum(not one.after for one in step.examples) < SHOWN:
            step.examples.append(Example(source, why, self.shown(text)))

    def changed(self, step: Step, source: str, why: Mapping[str, int], text: str, to: str) -> None:
        """A row is another now. Each word of `why` is counted as often as it says."""
        step.changed += 1
        step.reasons.update(why)
        if sum(bool(one.after) for one in step.examples) < SHOWN:
            named = ", ".join(f"{count} x {word}" for word, count in sorted(why.items()))
            step.examples.append(Example(source, named, self.shown(text), self.shown(to)))

    def shown(self, text: str) -> str:
        """A text as it may be shown."""
        # Hidden before it is cut: half of a number would not be recognised any more.
        hidden = self._hide(text)
        return hidden if len(hidden) <= LONGEST else hidden[:LONGEST] + " …"
