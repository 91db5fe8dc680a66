"""Thousands of requests over upgrades and rollbacks on the real runtime, held against the rules.

    .venv/bin/python -m benchmarks.soak [--requests N] [--streams M] [--upgrades U] [--rollbacks R]

Two replicas of a tiny model that recites letters are deployed on the real Ray Serve and vLLM, and
replaced again and again under an open load; `tests/chaos/campaign.py` does it, and the rules are
in `tests/chaos/history`. The load goes on until all changes are made and all requests are sent;
after `--minutes` no further change is begun. The history, the audit log, the metrics and the
engines' logs are kept under `.cache/benchmarks/soak`. Ends with 1 where a rule is broken, an
answer was refused or cut, or a change failed; a request that names a release may come too late.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.sides import save
from tests.chaos.campaign import Aim, Campaign, staged
from tests.chaos.history import Outcome

KEPT = Path(__file__).parents[1] / ".cache" / "benchmarks" / "soak"
SHOWN = 20
"""Violations that are printed."""


def aimed(arguments: list[str]) -> Aim:
    """What the command line wants."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--streams", type=int, default=500, help="long ones, among the requests")
    parser.add_argument("--upgrades", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=60.0, help="no change is begun after them")
    parser.add_argument("--rate", type=float, default=6.0, help="requests per second")
    parser.add_argument("--seed", type=int, default=0)
    return Aim(**vars(parser.parse_args(arguments)))


def told(campaign: Campaign) -> Iterator[str]:
    """What came of it, as Markdown."""
    outcomes, waits = campaign.outcomes(), campaign.waits()
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    yield (
        f"{sum(outcomes.values())} requests, {campaign.long} of them long streams, over"
        f" {campaign.done['upgrade']} upgrades and {campaign.done['rollback']} rollbacks in"
        f" {campaign.seconds / 60:.1f} min; {os.cpu_count()} cores ({platform.machine()}),"
        f" load {load}\n"
    )
    yield "| outcome | requests |\n|---|---|"
    yield from (f"| {outcome} | {outcomes[outcome]} |" for outcome in Outcome)
    if named := campaign.named_too_late():
        yield f"\n{named} of the refused had named a release that was no more when they came"
    if waits:
        middle, late, last = (waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99, 1.0))
        yield (
            f"\nfirst text after {middle:.2f} s (median), {late:.2f} s (99 %), {last:.2f} s (all);"
            f" a request left {campaign.late:.2f} s later than it was drawn, at most, and the load"
            f" stood still for {campaign.skipped:.0f} s in all, for want of the processor"
        )
    found = campaign.violations()
    yield f"\nviolations: {len(found)}"
    yield from (f"- {one.rule}: {one.what}" for one in found[:SHOWN])
    yield from (f"- failed: {one}" for one in campaign.failed)
    if campaign.refused:
        yield f"\nrefused {len(campaign.refused)} times, and tried again: {campaign.refused[-1]}"


def main(arguments: list[str]) -> int:
    """Soak, print and keep what came of it; 0 where all is well."""
    aim = aimed(arguments)
    shutil.rmtree(KEPT, ignore_errors=True)
    with staged(KEPT, aim) as campaign:
        campaign.run()
    print("\n".join(told(campaign)))
    outcomes, found = campaign.outcomes(), campaign.violations()
    save("soak", {
        "aim": asdict(aim), "changes": campaign.done, "outcomes": outcomes, "long": campaign.long,
        "seconds": campaign.seconds, "late": campaign.late, "skipped": campaign.skipped,
        "failed": campaign.failed,
        "violations": [asdict(one) for one in found],
    })  # fmt: skip
    amiss = outcomes.keys() - {Outcome.WHOLE, Outcome.CANCELLED, Outcome.REFUSED}
    refused = outcomes[Outcome.REFUSED] - campaign.named_too_late()
    return 1 if amiss or refused or found or campaign.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
