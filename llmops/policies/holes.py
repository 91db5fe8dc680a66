"""Known security holes of what we run: a dated table, each entry with its source.

The table is data and says on which day it held. Nothing is asked on a network: a hole that became
known later is not in it, which the review says once the table is old.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, Field

from llmops.spec import Section

TABLE = Path(__file__).with_name("known_holes.yaml")

OLD_DAYS = 180
"""Age of the table, in days, from which on a review says that it is old."""


COMPARED: Mapping[str, Callable[[Version, Version], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
}
"""How a version compares with that of a specifier. PEP 440 leaves 0.32.0rc1 out of `<0.32.0`, which
is right for who installs and wrong here: what comes before a fix lacks it."""


def _specifier(text: str) -> str:
    try:
        operators = {one.operator for one in SpecifierSet(text)}
    except InvalidSpecifier as error:
        raise ValueError(f"no PEP 440 specifier: {text}") from error
    if not operators or operators - COMPARED.keys():
        raise ValueError(f"expected {' '.join(COMPARED)} in a range, found {text}")
    return text


Sentence = Annotated[str, Field(min_length=1, max_length=300)]


class Hole(Section):
    """One hole of one component."""

    component: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    """Name of its package."""

    id: Annotated[str, Field(pattern=r"^(CVE-\d{4}-\d{4,}|GHSA(-[0-9a-z]{4}){3}|PYSEC-\d{4}-\d+)$")]
    """What it is known as."""

    affected: Annotated[str, AfterValidator(_specifier)]
    """Versions that have it, a PEP 440 specifier."""

    fixed: str = ""
    """First version without it; empty where there is none."""

    what: Sentence
    """What it lets somebody do."""

    source: Annotated[str, Field(pattern=r"^https://[^\s]+$")]
    """Where that was read."""

    def affects(self, version: Version) -> bool:
        """Whether a version has it."""
        return all(
            COMPARED[one.operator](version, Version(one.version))
            for one in SpecifierSet(self.affected)
        )


class Holes(Section):
    """The table."""

    date: Annotated[date, Field(strict=False)]
    """The day on which it was made."""

    holes: Annotated[tuple[Hole, ...], Field(strict=False)]

    def of(self, component: str, version: str) -> Iterator[Hole]:
        """The holes of a version; none of a version that cannot be read, such as a commit."""
        try:
            # What follows a + says how it was built: 0.32.0+cpu is 0.32.0.
            parsed = Version(Version(version).public)
        except InvalidVersion:
            return
        yield from (
            hole for hole in self.holes if hole.component == component and hole.affects(parsed)
        )


@cache
def known_holes() -> Holes:
    """The shipped table."""
    return Holes.model_validate(yaml.safe_load(TABLE.read_text(encoding="utf-8")))
