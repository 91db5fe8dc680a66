"""Preparation of data: megabytes a second and peak memory, at one and at four times the size.

    .venv/bin/python -m benchmarks.finetune_data [MEGABYTES] [ROUNDS]

The rows are made by a seeded generator: conversations of words from a list of the system's own
making, one in fifty a duplicate, one in a hundred with an address to replace. Each measurement is a
process of its own, which prepares a single row first, so that what libraries take to load is in
neither figure. Interleaved: 1x, 4x, 1x, 4x … Odd rounds against even ones are the noise floor.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sides import save, spread

SEED = 17
WORDS = 20_000
"""Different words: about as many as a grown reader knows well."""


def main() -> None:
    """Measure, print."""
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(_measured(Path(sys.argv[2]), int(sys.argv[3]))))
        return
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    speeds: dict[int, list[float]] = {1: [], 4: []}
    peaks: dict[int, list[float]] = {1: [], 4: []}
    for number in range(1, rounds + 1):
        for times in (1, 4):
            with tempfile.TemporaryDirectory(prefix="llmops-bench-") as name:
                command = [sys.executable, "-m", "benchmarks.finetune_data", "one", name]
                done = subprocess.run(
                    [*command, str(times * size)], check=True, capture_output=True, text=True
                )
            found = json.loads(done.stdout.splitlines()[-1])
            speeds[times].append(found["speed"])
            peaks[times].append(found["grown"])
            print(f"round {number}, {times}x: {found['speed']:.2f} MB/s, peak {found['peak']:.0f}"
                  f" MiB, of which {found['grown']:.0f} MiB for the data", flush=True)  # fmt: skip
    save("finetune_data", {"megabytes": size, "speeds": speeds, "grown": peaks})
    _report(size, speeds, peaks)


def _report(size: int, speeds: dict[int, list[float]], peaks: dict[int, list[float]]) -> None:
    for times in (1, 4):
        print(
            f"{times * size} MB: {spread(speeds[times])} MB/s, {spread(peaks[times])} MiB at the"
            " peak for the data"
        )
    ratio = statistics.median(peaks[4]) / max(1.0, statistics.median(peaks[1]))
    pace = statistics.median(speeds[4]) / statistics.median(speeds[1])
    print(f"four times the data: memory {ratio:.2f} times, MB/s {pace:.2f} times")
    if len(speeds[1]) > 1:
        floor = statistics.median(speeds[1][::2]) / statistics.median(speeds[1][1::2])
        print(f"1x against itself (odd rounds / even rounds): {floor:.2f}")


def _measured(folder: Path, megabytes: int) -> dict[str, float]:
    """One preparation, after one of a single row."""
    from tests.finetuning.data.making import prepared, settings, tokenizer

    base = tokenizer(folder / "base")
    made = folder / "rows.jsonl"
    with made.open("w") as file:
        drawn = random.Random(SEED)
        words = ["".join(drawn.choices("etaoinshrdlu", k=drawn.randrange(2, 10)))
                 for _ in range(WORDS)]  # fmt: skip
        last = ""
        while file.tell() < megabytes * 1_000_000:
            last = last if last and drawn.random() < 0.02 else _row(drawn, words)
            file.write(last)
    one = folder / "one.jsonl"
    one.write_text(_row(random.Random(1), words))
    prepared(settings(one, personal_data="redact"), base, folder / "warm")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    prepared(settings(made, split=0.05, personal_data="redact"), base, folder / "data")
    seconds = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "speed": made.stat().st_size / 1e6 / seconds,
        "peak": peak / 1024,
        "grown": (peak - before) / 1024,
    }


def _row(drawn: random.Random, words: Sequence[str]) -> str:
    asked = " ".join(drawn.choices(words, k=drawn.randrange(8, 40)))
    answered = " ".join(drawn.choices(words, k=drawn.randrange(20, 200)))
    if drawn.random() < 0.01:
        answered += f" write to {drawn.choice(words)}@mail.example.org"
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return json.dumps({"messages": turns}) + "\n"


if __name__ == "__main__":
    main()
