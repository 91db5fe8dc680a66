"""Hundreds of kills at random instants on the real runtime: is the next run's end what was meant?

    .venv/bin/python -m benchmarks.kills [--strikes N] [--seed S]

A service of a tiny model on the real Ray Serve and vLLM; `tests/chaos/killing.py` strikes the
commands that change it, and its runtime. Ends with 1 at the first strike whose chain does not end
as it should.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.sides import save
from tests.chaos.adapted import adapted
from tests.chaos.killing import Killing, campaign


def told(killing: Killing, seconds: float) -> Iterator[str]:
    """What came of it, as Markdown."""
    yield (
        f"{len(killing.strikes)} strikes in {killing.chains} chains, {seconds / 60:.0f} min;"
        f" {killing.unsettled} chains had left something to finish;"
        f" {os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[1]:.1f}\n"
    )
    yield "| struck | command | at | strikes |\n|---|---|---|---|"
    counted = Counter((one.whom, one.verb, one.step) for one in killing.strikes)
    yield from (f"| {' | '.join(what)} | {times} |" for what, times in sorted(counted.items()))
    yield f"\nrequests beside them: {dict(killing.asked)}"


def main() -> int:
    """Strike, print and keep what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills")
    parser.add_argument("--strikes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place, adapted(Path(place) / "killed") as service:
        killing = Killing(service, random.Random(given.seed))
        try:
            for _ in campaign(killing, given.strikes):
                print(
                    f"{len(killing.strikes)} strikes, {killing.chains} chains,"
                    f" {time.monotonic() - began:.0f} s",
                    file=sys.stderr, flush=True,
                )  # fmt: skip
        finally:
            seconds = time.monotonic() - began
            print("\n".join(told(killing, seconds)))
            save("kills", {
                "strikes": [asdict(one) for one in killing.strikes], "chains": killing.chains,
                "unsettled": killing.unsettled, "asked": dict(killing.asked), "seconds": seconds,
            })  # fmt: skip
    return 0 if killing.asked.keys() <= {"200", "while down"} else 1


if __name__ == "__main__":
    sys.exit(main())
