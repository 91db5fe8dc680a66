"""How long a cable plan takes to be made, and its verification beside a bare discovery.

`python -m benchmarks.fabric [ROUNDS]`: in each round `ibnetdiscover` alone in a simulated fabric of
4,096 adapters (ibsim, OpenSM), the same again (A/A), and `llmops cluster fabric verify`, which asks
that program and three more, and compares. The simulator answers without a cable's or a kernel's
delay, so a real discovery takes longer and the ratio is the worst that is to be expected.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bare_metal.fabric import FORMS, FabricPlan, verify, wire
from bare_metal.inventory import parse_cluster
from tests.bare_metal.simulated import simulated

LLMOPS = Path(sys.executable).with_name("llmops")
FILE = """\
kind: Cluster
name: alpha
fabric: {{link: 4xHDR}}
units: [{{name: su, count: {}, hosts: 32}}]
"""


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _wired(text: str) -> FabricPlan:
    return wire(parse_cluster(text).value)


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f} to {max(values):.2f})"


def main(rounds: int) -> None:
    """Print the figures."""
    for units in (16, 64):
        made = partial(_wired, FILE.format(units))
        took, same = zip(*((_seconds(made), _seconds(made)) for _ in range(rounds)), strict=True)
        print(f"plan of {units * 256:,} adapters: {_spread(took)}; aim for 16,384: 2 s")
        print(f"  A/A {statistics.median(same) / statistics.median(took):.2f}")
    plan = _wired(FILE.format(16))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "cluster.yaml").write_text(FILE.format(16))
        with simulated(plan, FORMS["ibnetdiscover"](plan), folder) as fabric, fabric.manager():
            command = ["ibsim-run", str(LLMOPS), "cluster", "fabric", "verify"]

            def whole() -> None:
                subprocess.run(
                    command, cwd=folder, env=fabric.environment, check=True, capture_output=True
                )

            bare, again, ours, compared = [], [], [], []
            dump = fabric.dump()
            for _ in range(rounds):
                bare.append(_seconds(lambda: fabric.run("ibnetdiscover")))
                ours.append(_seconds(whole))
                again.append(_seconds(lambda: fabric.run("ibnetdiscover")))
                compared.append(_seconds(lambda: verify(plan, dump)))
            parts = {
                program[0]: _seconds(partial(fabric.run, *program))
                for program in (("ibqueryerrors",), ("sminfo",), ("saquery", "SMIR"))
            }
    base = statistics.median(bare)
    print(f"ibnetdiscover: {_spread(bare)}; again {_spread(again)}")
    print(f"  A/A {statistics.median(again) / base:.2f}")
    print(f"comparison alone: {_spread(compared)}: {statistics.median(compared) / base:.2f}")
    print(f"discovery and comparison: {1 + statistics.median(compared) / base:.2f}; aim 1.5")
    print(f"llmops cluster fabric verify: {_spread(ours)}: {statistics.median(ours) / base:.2f}")
    print("  of it, once: " + ", ".join(f"{name} {took:.2f} s" for name, took in parts.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
