"""A file with other values for checks, read strictly. Each value names its source, as ours do."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from llmops.spec import Document, Finding, Form, Section, Written, nearest, read_document

Tuple = Field(strict=False)


class Threshold(Section):
    """Another value for one check, or the check taken out."""

    id: Annotated[str, Form("the id of a check, such as gpu.temperature")]
    """Which check."""

    value: bool | int | float | str | Annotated[tuple[int | str, ...], Tuple] | None = None
    """What it must be."""

    skip: Literal[True] | None = None
    """That it is not made."""

    source: Annotated[str, Field(min_length=8, max_length=300), Form("where the value is from")]
    """Where that is from, for whoever reads a verdict."""


class Thresholds(Section):
    """Other values for checks."""

    apiVersion: Literal["llmops/v1"] = "llmops/v1"  # noqa: N815
    """Version of this form."""

    kind: Literal["HealthChecks"]
    """What this file is."""

    checks: Annotated[tuple[Threshold, ...], Tuple]
    """The checks."""


def _rows() -> dict[str, str]:
    """How each check of the table compares, by id."""
    text = (resources.files(__package__) / "checks.yaml").read_text(encoding="utf-8")
    return {row["id"]: row["is"] for row in yaml.safe_load(text)}


def find_contradictions(thresholds: Thresholds, _written: Written) -> Iterable[Finding]:
    """Checks that there are not, that come twice, or whose value cannot be compared."""
    rows = _rows()
    seen: dict[str, int] = {}
    for at, one in enumerate(thresholds.checks):
        trail: tuple[str | int, ...] = ("checks", at)
        if one.id not in rows:
            close = nearest(one.id, list(rows))
            yield Finding(
                (*trail, "id"), f"expected the id of a check, found {one.id!r:.60}",
                f"did you mean {close}?" if close else "llmops cluster check --list names them",
            )  # fmt: skip
            continue
        if one.id in seen:
            yield Finding(
                (*trail, "id"), f"expected another than {one.id}, which is there already",
                "say it once", (("checks", seen[one.id], "id"),),
            )  # fmt: skip
        seen.setdefault(one.id, at)
        if (one.value is None) == (one.skip is None):
            yield Finding(trail, "expected either a value or skip: true", "write one of the two")
        elif one.value is not None and not _fits(rows[one.id], one.value):
            wanted = {"at_least": "a number", "at_most": "a number", "equals": "one value"}
            yield Finding(
                (*trail, "value"), f"expected {wanted.get(rows[one.id], 'a list')}, found none",
                "llmops cluster check --list shows the value that it has now",
            )  # fmt: skip


def _fits(how: str, value: object) -> bool:
    if how in ("one_of", "none_of"):
        return isinstance(value, tuple)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number if how in ("at_least", "at_most") else not isinstance(value, tuple)


THRESHOLDS = Document(
    model=Thresholds,
    noun="a file of thresholds",
    describes="thresholds",
    line="kind: HealthChecks",
    begin="docs/bare-metal.md shows one",
    absent="--thresholds names a file; docs/bare-metal.md shows one",
    usual="thresholds.yaml",
    levels="two",
    more="llmops cluster check --list shows all checks with their values",
    contradictions=find_contradictions,
    stand_ins=((("kind",), "HealthChecks"),),
    examples={
        "kind": "kind: HealthChecks",
        "checks": "checks: [{id: gpu.temperature, value: 80, source: our vendor's letter}]",
        "checks.id": "id: gpu.temperature",
        "checks.source": "source: our vendor's letter of March",
    },
)
"""A file of thresholds."""


def read_thresholds(path: Path) -> Thresholds:
    """Read a file of thresholds.

    Raises:
        InputError: When it cannot be read.
        SpecError: With all its problems.
    """
    return read_document(THRESHOLDS, [path]).value
