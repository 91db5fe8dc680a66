"""Engines killed at random tokens, under streams: what their clients see, many times over.

    .venv/bin/python -m benchmarks.strikes [--strikes N] [--seed S]

Two replicas of a tiny model on the real Ray Serve and vLLM answer long streams, some at each
moment. A process of one of them is killed or stopped, drawn at random, each time all is well again
(`tests/chaos/striking.py`). The whole history is held against the rules of `tests/chaos/history`.
Ends with 1 where a strike did not land, a request was lost, refused or passed off as whole, or a
rule is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.sides import save
from tests.chaos.faults import Fault
from tests.chaos.history import Outcome
from tests.chaos.load import Mix
from tests.chaos.striking import ENGINES, Field, Strike, Struck, staged

STREAMS = Mix(rate=1.5, long=0.9, long_tokens=480, streamed=0.5, cancelled=0.05, named=0.0)
"""Nearly all are long streams: whatever is struck cuts some."""
STOPPED = 0.25
"""Share of the strikes that stop a process; the others kill it."""
AMISS = (Outcome.LOST, Outcome.TRUNCATED, Outcome.REFUSED)


def drawn(draw: random.Random, count: int) -> Iterator[Strike]:
    """Strikes at random."""
    for _ in range(count):
        yield Strike(draw.choice(ENGINES), Fault.STOP if draw.random() < STOPPED else Fault.KILL)


def told(field: Field, seconds: float) -> Iterator[str]:
    """What came of it, as Markdown."""
    late = max((one.late for one in field.found), default=0.0)
    yield (
        f"{len(field.found)} strikes in {seconds / 60:.0f} min; {os.cpu_count()} cores"
        f" ({platform.machine()}), load {os.getloadavg()[1]:.1f}; a request of the load left"
        f" {late:.1f} s later than it was drawn, at most\n"
    )
    yield (
        "| process | fault | strikes | noticed | answered again | replaced | cut streams told"
        " | whole | cut | refused | broken |\n" + "|---" * 11 + "|"
    )
    kinds: dict[tuple[str, str], list[Struck]] = defaultdict(list)
    for one in field.found:
        kinds[one.strike.process, one.strike.fault].append(one)
    for kind, some in sorted(kinds.items()):
        ends = sum((one.outcomes for one in some), Counter[Outcome]())
        cells = [
            *kind, str(len(some)),
            *(_spread(getattr(one, what) for one in some)
              for what in ("noticed", "answered", "replaced", "cut")),
            *(str(ends[one]) for one in (Outcome.WHOLE, Outcome.CUT, Outcome.REFUSED)),
            str(sum(one.broken for one in some)),
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    found = field.violations()
    yield f"\nviolations: {len(found)}"
    yield from (f"- {one.rule}: {one.what}" for one in found)


def _spread(seconds: Iterable[float | None]) -> str:
    """Median and greatest."""
    known = [one for one in seconds if one is not None]
    return f"{statistics.median(known):.1f} ({max(known):.1f})" if known else "-"


def kept(one: Struck) -> dict[str, Any]:
    """A strike as a document."""
    names = ("landed", "late", "noticed", "answered", "slowest", "replaced", "cut", "broken", "why")
    plain = {name: getattr(one, name) for name in names}
    return {"strike": str(one.strike), "outcomes": dict(one.outcomes), **plain}


def amiss(one: Struck) -> bool:
    """Whether a strike did not land, was never made good, or left a client without its due."""
    unanswered = one.broken or any(one.outcomes[outcome] for outcome in AMISS)
    return not one.landed or one.replaced is None or bool(unanswered)


def main() -> int:
    """Strike, print and keep what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strikes")
    parser.add_argument("--strikes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, staged(Path(place) / "field", STREAMS) as field:
        door = field.deploy()
        try:
            strikes = drawn(random.Random(given.seed), given.strikes)
            asyncio.run(field.strikes(door, strikes))
        finally:
            seconds = time.monotonic() - began
            print("\n".join(told(field, seconds)))
            save("strikes", {"struck": [kept(one) for one in field.found], "seconds": seconds})
    return 1 if field.violations() or any(map(amiss, field.found)) else 0


if __name__ == "__main__":
    sys.exit(main())
