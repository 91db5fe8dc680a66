"""`llmops --help` against `python -c pass`: how long a user waits for the least.

.venv/bin/python -m benchmarks.help [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.sides import LLMOPS, spread

AIM = 4.0


def _time(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return 1000 * (time.monotonic() - began)


def main() -> None:
    """Measure, print; interleaved, with `python -c pass` a second time as the noise floor."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "llmops --help": [str(LLMOPS), "--help"],
        "python -c pass again": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name].append(_time(command))
    for name, values in times.items():
        print(f"{name:22} {spread(values)} ms")
    base, ours, again = (statistics.median(values) for values in times.values())
    print(f"ratio {ours / base:.2f} (aim: at most {AIM}); A/A {again / base:.2f}")


if __name__ == "__main__":
    main()
