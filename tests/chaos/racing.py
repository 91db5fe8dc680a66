"""Commands of the installed program that are begun together, and what became of each."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.support.program import LLMOPS


@dataclass(frozen=True)
class Ran:
    """A command that has ended. Times are seconds of a clock that nobody sets."""

    arguments: tuple[str, ...]
    pid: int
    code: int
    text: str
    began: float
    ended: float
    effort: float
    """Seconds of the processor that it took."""

    @property
    def verb(self) -> str:
        return self.arguments[0]


def together(environment: Mapping[str, str], *commands: Sequence[str]) -> list[Ran]:
    """Begin commands at once, and wait for all; in the order in which they have ended."""
    with ThreadPoolExecutor(len(commands)) as pool:
        begun = [pool.submit(_run, environment, tuple(command)) for command in commands]
        return sorted((one.result() for one in begun), key=lambda ran: ran.ended)


def _run(environment: Mapping[str, str], arguments: tuple[str, ...]) -> Ran:
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [str(LLMOPS), *arguments], env=environment, stdin=subprocess.DEVNULL,
            stdout=said, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that nobody waits once more
        ended = time.monotonic()
        said.seek(0)
        effort = usage.ru_utime + usage.ru_stime
        return Ran(arguments, process.pid, process.returncode, said.read(), began, ended, effort)
