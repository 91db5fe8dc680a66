"""Runs `llmops` many times without its start: each run is a fork of a process that has imported it.

The program's start takes seconds, and some tests want it fifty times. What runs is the program's
own entry point, in a process of its own, with its own arguments, environment, folder and exit code.
It refuses to run two at once.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Self

from tests.support.program import Done

SLOW = (
    "cli.app", "cli.output", "cli.places", "cli.specs", "clusters.client", "clusters.target",
    "clusters.pool", "huggingface_hub.hf_api", "kubernetes.client", "kubernetes.config",
    "llmops.workflow", "serving.client", "serving.local", "serving.models", "tokenizers",
)  # fmt: skip
"""What the verbs import when they need it, and what takes its time."""


class Warm:
    """A process that waits to become `llmops`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
            cwd=Path(__file__).parents[2],
        )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Done:
        """Run it to its end."""
        asked = {"arguments": list(arguments), "environment": dict(environment)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as where:
            request = {**asked, "folder": str(folder), "where": where}
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            out, err = (Path(where, name).read_text() for name in ("out", "err"))
        return Done(code, out, err)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve() -> None:
    for name in SLOW:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(request: dict[str, Any]) -> NoReturn:
    """Be the program, as if it had just been started."""
    from cli.main import main

    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(request["where"], name), os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["llmops", *request["arguments"]]
    os._exit(_code(main))


def _code(main: Any) -> int:
    code: Any = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return int(code or 0) if isinstance(code, int | None) else 1


if __name__ == "__main__":
    _serve()
