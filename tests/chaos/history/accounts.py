"""What others have counted of a load: the audit log's lines, the metrics, the engines' totals."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

ENDS = re.compile(r"engine ends: (?P<totals>\{.*\})")
SAMPLE = re.compile(r"^llmops_requests_total\{(?P<labels>.*)\} (?P<count>[0-9.e+]+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')

Who = tuple[str, str, int]
"""Key name, release (empty: none) and status."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A line of the audit log, as far as it is compared."""

    id: str
    key: str
    release: int | None
    status: int
    reason: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What the engines of a release have done in their time."""

    replicas: int = 0
    """Those that have told."""
    asked: int = 0
    """Requests that have come to them."""
    answered: int = 0
    """Of these, those that were answered to their end."""
    finished: int | None = None
    """As vLLM counts them; None where it counts nothing."""
    generated: int | None = None
    """Tokens, as vLLM counts them."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """All that was counted; what is left empty is not compared."""

    audit: list[Asked] = field(default_factory=list)
    metrics: dict[Who, int] = field(default_factory=dict)
    engines: dict[int, Totals] = field(default_factory=dict)
    """By release; of those alone whose engines have all ended."""


def read_audit(lines: Iterable[str], service: str) -> list[Asked]:
    """The service's lines in an audit log."""
    found = [json.loads(line) for line in lines]
    return [
        Asked(
            line["request"], line["key"], line.get("release"), line["status"], line["reason"],
            line.get("completion_tokens", 0),
        )
        for line in found
        if line.get("service") == service and "request" in line
    ]  # fmt: skip


def read_metrics(text: str, service: str) -> dict[Who, int]:
    """Requests as a scrape counts them, whatever model name they asked for."""
    found: Counter[Who] = Counter()
    for sample in SAMPLE.finditer(text):
        labels = dict(LABEL.findall(sample["labels"]))
        if labels["service"] == service:
            who = labels["key"], labels["release"], int(labels["status"])
            found[who] += int(float(sample["count"]))
    return found


def read_totals(log: str) -> Totals:
    """What the engines of a release have told in its log when they ended."""
    told: Counter[str] = Counter()
    for line in ENDS.finditer(log):
        told.update({"replicas": 1, **json.loads(line["totals"])})
    return Totals(
        told["replicas"], told["asked"], told["answered"],
        told.get("finished"), told.get("generated"),
    )  # fmt: skip
