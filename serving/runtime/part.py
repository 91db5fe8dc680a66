"""A later stage of a replica over several machines: its engine, and nothing that answers.

Run as `python -m serving.runtime.part HOME TOLD`, by the actor of `parts`, at the head of a process
group of its own. Standard input is held open by who started it: when that ends, however it does,
this group is killed. vLLM's workers would outlive both, and go on computing for nobody.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from serving.engines import EngineRun, Place
from serving.runtime.paths import RuntimePaths


def main() -> None:
    """Take part until a worker ends; a part that is over has failed."""
    threading.Thread(target=_end_with_owner, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    from serving.engines import vllm
    from serving.runtime.weights import weights

    paths, told = RuntimePaths(Path(sys.argv[1])), json.loads(sys.argv[2])
    run, place = EngineRun(**told["run"]), Place(**told["place"])
    vllm.prepare(run, place)
    vllm.follow(run, weights(paths, run, fetch=told["fetch"]), place)
    sys.exit(1)


def _end_with_owner() -> None:
    sys.stdin.buffer.read()
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
