"""Deploy to first token, against bare vLLM to first token; the model is cached on both sides.

    .venv/bin/python -m benchmarks.startup [ROUNDS]

Interleaved: bare, llmops, bare, llmops … The bare server measured against itself (odd against even
rounds) is the noise floor. The timeline of phases comes from the deploy's own output.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks.sides import bare, deployed, home, model_directory, save, spread

AIM = 1.3


def main() -> None:
    """Measure, print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    bares: list[float] = []
    ours: list[float] = []
    with home() as place:
        directory = model_directory(place)
        for number in range(1, rounds + 1):
            with bare(directory) as side:
                bares.append(side.seconds)
            with deployed(place) as side:
                ours.append(side.seconds)
            print(f"round {number}: bare {bares[-1]:.1f} s, llmops {ours[-1]:.1f} s", flush=True)
        with bare(directory) as side:
            bares.append(side.seconds)
        save("startup", {"bare": bares, "llmops": ours})
    ratio = statistics.median(ours) / statistics.median(bares)
    floor = statistics.median(bares[::2]) / statistics.median(bares[1::2])
    print(f"bare vLLM to first token: {spread(bares)} s")
    print(f"llmops deploy to first token, verified: {spread(ours)} s")
    print(f"ratio {ratio:.2f} (aim: at most {AIM}); bare against itself {floor:.2f}")


if __name__ == "__main__":
    main()
