"""The installed `llmops`, run as a person runs it: arguments in, what it printed out.

Nothing here looks inside llmops, and nobody answers its questions: it has no terminal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LLMOPS = Path(os.environ.get("LLMOPS_PROGRAM", Path(sys.executable).with_name("llmops")))


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def json(self) -> Any:
        return json.loads(self.out)


def run(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    seconds: float,
    folder: Path | None = None,
    stdin: str = "",
) -> Done:
    """Run the program to its end, which must come within so many seconds."""
    ended = subprocess.run(
        [str(LLMOPS), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=seconds,
        env=environment,
        cwd=folder,
        input=stdin,
        check=False,
    )
    return Done(ended.returncode, ended.stdout, ended.stderr)


def start(
    arguments: Sequence[str | Path], environment: Mapping[str, str], *, folder: Path | None = None
) -> subprocess.Popen[str]:
    """Start the program, and leave it to run; both its outputs are one."""
    return subprocess.Popen(
        [str(LLMOPS), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=folder,
    )
