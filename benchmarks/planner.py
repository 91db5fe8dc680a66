"""How long a plan takes: every offer and layout for one model, and `llmops plan` as a whole.

    python -m benchmarks.planner [ROUNDS]

In this process: what the planner itself takes, from a parsed configuration to ranked options, for
the largest models of the case files. As commands: `llmops plan --model CONFIG --on catalog` beside
`llmops --help`, interleaved, and `llmops --help` a second time as the noise floor.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.sides import LLMOPS, spread
from llmops.catalog import load_catalogue
from llmops.planning.fleet import Needs, search
from llmops.planning.model import ModelFacts
from llmops.planning.subject import Subject

CASES = Path(__file__).parents[1] / "tests" / "cases" / "architectures"
MODELS = ("smollm2-135m", "llama-3.1-8b", "llama-3.1-405b", "qwen3-235b-a22b", "deepseek-v3")
SEARCH_AIM, COMMAND_AIM = 300.0, 500.0
"""Milliseconds: all offers and layouts of one model; a plan beyond `--help`."""


def searches(rounds: int) -> None:
    """The planner by itself: nothing is remembered from one round to the next."""
    catalogue = load_catalogue()
    print(f"{len(catalogue.offers)} offers; every legal layout of each, milliseconds")
    for name in MODELS:
        config = yaml.safe_load((CASES / f"{name}.yaml").read_text())["config"]
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            subject = Subject.of(ModelFacts(name, "", config, 0, 0, {}, 0, False, False))
            plan = search(subject, Needs(), catalogue)
            times.append(1000 * (time.perf_counter() - began))
        fits = f"{len(plan.options)} fit"
        print(f"{name:18} {spread(times)} ms (aim: at most {SEARCH_AIM:.0f}); {fits}")


def commands(rounds: int) -> None:
    """The command beside `--help`."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "config.json")
        case = yaml.safe_load((CASES / "llama-3.1-8b.yaml").read_text())

        config.write_text(json.dumps(case["config"]))
        plan = [str(LLMOPS), "plan", "--model", str(config), "--on", "catalog"]
        sides = {
            "llmops --help": [str(LLMOPS), "--help"],
            "llmops plan": plan,
            "llmops --help again": [str(LLMOPS), "--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, command in sides.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times[name].append(1000 * (time.perf_counter() - began))
    for name, values in times.items():
        print(f"{name:20} {spread(values)} ms")
    first, ours, again = (statistics.median(values) for values in times.values())
    print(f"beyond --help: {ours - first:.0f} ms (aim: at most {COMMAND_AIM:.0f});"
          f" A/A {again - first:+.0f} ms")  # fmt: skip


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    searches(rounds)
    commands(rounds)


if __name__ == "__main__":
    main()
