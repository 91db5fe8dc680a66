"""A check, and a run of many: each is told before it begins, and one that failed is told too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from llmops.errors import InputError, LlmopsError
from llmops.events import Flow, Progress
from llmops.policies import Finding, Severity, ordered
from serving.auditing.meanings import MEANINGS, UNCHECKED

Run = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """Something that is looked at."""

    id: str
    """Of what it finds."""
    what: str
    """What is looked at, for a person."""
    run: Run


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit has found."""

    made: int
    """Checks that were made to their end."""
    findings: tuple[Finding, ...]
    """The blocking ones first; what could not be checked is among them."""

    @property
    def unchecked(self) -> tuple[Finding, ...]:
        """What could not be checked."""
        return tuple(finding for finding in self.findings if finding.id == UNCHECKED)

    @property
    def found(self) -> tuple[Finding, ...]:
        """What is wrong."""
        return tuple(finding for finding in self.findings if finding.id != UNCHECKED)

    @property
    def blocks(self) -> bool:
        """Whether one of them is so bad that the audit fails."""
        return any(finding.blocks for finding in self.findings)


def unchecked(what: str, why: str, fix: str = "") -> Finding:
    """That something was not looked at."""
    return Finding(UNCHECKED, Severity.INFO, "", f"not checked: {what}", why, fix)


def chosen(checks: Iterable[Check], only: Sequence[str]) -> tuple[Check, ...]:
    """The checks of these ids, or whose ids begin so; all where none is said. What tells that
    something could not be checked is always among them.

    Raises:
        InputError: When an id is none.
    """
    for one in only:
        if not any(_of(known, one) for known in MEANINGS):
            known = ", ".join(i.removeprefix("audit.") for i in MEANINGS if i != UNCHECKED)
            raise InputError(f"no check is called '{one}'", hint=f"there are: {known}")
    wanted = (*only, UNCHECKED)
    return tuple(c for c in checks if not only or any(_of(c.id, one) for one in wanted))


def _of(identifier: str, wanted: str) -> bool:
    full = wanted if wanted.startswith("audit.") else f"audit.{wanted}"
    return identifier == full or identifier.startswith(f"{full}.")


def perform(checks: Sequence[Check], clock: Callable[[], float] = time.monotonic) -> Flow[Report]:
    """Make the checks, one after another."""
    findings: list[Finding] = []
    made, began = 0, clock()
    for number, check in enumerate(checks):
        percent = 100 * number / len(checks)
        yield Progress("audit", f"looking at {check.what}", clock() - began, percent=percent)
        got, whole = _made(check)
        findings += got
        made += whole and check.id != UNCHECKED  # that one looks at no more than the others did
    return Report(made, ordered(_once(findings)))


def _made(check: Check) -> tuple[list[Finding], bool]:
    """What a check has found, and whether it came to its end."""
    found: list[Finding] = []
    try:
        found.extend(check.run())
    except LlmopsError as error:
        return [*found, unchecked(check.what, error.message, error.hint)], False
    except OSError as error:
        return [*found, unchecked(check.what, str(error))], False
    return found, not any(one.id == UNCHECKED for one in found)


def _once(findings: Iterable[Finding]) -> Iterator[Finding]:
    seen: set[tuple[str, str, str]] = set()
    for finding in findings:
        mark = (finding.id, finding.message, finding.proof)
        if mark not in seen:
            seen.add(mark)
            yield finding
