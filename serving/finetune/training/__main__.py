"""`python -m serving.finetune.training JOB.json`: one attempt at a training."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """Run, and end with the code that says how it ended."""
    if len(sys.argv) != 2:
        print("usage: python -m serving.finetune.training JOB.json", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    from serving.finetune.training.driver import run

    code = run(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing is left to do, and libraries' threads would hold the process up


if __name__ == "__main__":
    main()
