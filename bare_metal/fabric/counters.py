"""Error counters: what `ibqueryerrors` printed, held against thresholds that each have a source.

Pure but for reading the table of thresholds, which is data of this package. An answer without the
program's own summary is no answer, and is told as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from bare_metal.fabric.findings import Fault, Verdict
from bare_metal.fabric.identity import Identified
from bare_metal.fabric.model import End, FabricPlan

Readings = Mapping[tuple[str, int, str], int]
"""Counts above the program's own threshold by identifier (without its letter), port and counter."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """From how many on a counter says that something is wrong."""

    counter: str
    threshold: int
    source: str
    means: str
    fix: str


@cache
def thresholds() -> Mapping[str, Threshold]:
    """All thresholds, by counter."""
    text = (resources.files(__package__) / "counters.yaml").read_text(encoding="utf-8")
    return {row["counter"]: Threshold(**row) for row in yaml.safe_load(text)}


_PORT = re.compile(r"^\s+GUID 0x([0-9a-f]+) port (\d+):((?: \[\w+ == \d+[^]]*\])+)")
_COUNT = re.compile(r"\[(\w+) == (\d+)")
_SUMMARY = re.compile(r"^## Summary: [1-9]\d* nodes checked", re.MULTILINE)


def read_counters(text: str) -> Readings | None:
    """Read what `ibqueryerrors` printed; None where that says nothing."""
    if not _SUMMARY.search(text):
        return None
    return {
        (port[1].zfill(16), int(port[2]), name): int(count)
        for line in text.splitlines()
        if (port := _PORT.match(line))
        for name, count in _COUNT.findall(port[3])
    }


def check_counters(
    plan: FabricPlan, who: Identified, readings: Readings | None, before: Readings | None
) -> Iterator[Fault]:
    """Counters that grew beyond their threshold since `before`, or since they were cleared."""
    if readings is None:
        yield Fault(
            "fabric.counters-unknown", Verdict.UNKNOWN,
            "the error counters are not known: ibqueryerrors said nothing that could be believed",
            measured="no answer", expected="a summary of the nodes that were checked",
            fix="run it again; an empty answer is not a healthy one",
        )  # fmt: skip
        return
    names = {key[2:]: name for key, name in who.names.items()}
    for (guid, port, counter), count in sorted(readings.items()):
        limit = thresholds().get(counter)
        grown = count - _earlier(before, (guid, port, counter), count)
        if limit is not None and grown > limit.threshold:
            end = End(names.get(guid, guid), port)
            yield _errors(plan, end, limit, grown, since=before is not None)


def _earlier(before: Readings | None, key: tuple[str, int, str], count: int) -> int:
    """The earlier count; 0 where the counter was cleared in between."""
    earlier = (before or {}).get(key, 0)
    return earlier if earlier <= count else 0


def _errors(plan: FabricPlan, end: End, limit: Threshold, grown: int, *, since: bool) -> Fault:
    when = "since the earlier reading" if since else "since it was cleared"
    peer = plan.peers.get(end)
    toward = f", towards {plan.place(peer)}" if peer else ""
    return Fault(
        "fabric.errors", Verdict.DEGRADED,
        f"{plan.place(end)}{toward}: {limit.counter} grew by {grown} {when} ({limit.means})",
        (end,), measured=f"{limit.counter} {grown}", expected=f"at most {limit.threshold}",
        source=limit.source, fix=limit.fix,
    )  # fmt: skip
