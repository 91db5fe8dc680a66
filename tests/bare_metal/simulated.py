"""A fabric in the simulator `ibsim`, with OpenSM as its subnet manager, for one test at a time.

Both are Debian's (packages ibsim-utils, opensm, infiniband-diags). The programs talk to the
simulator in place of a kernel, through a library that is preloaded; all else of them is as it is on
real hosts. What ibsim does not play: speeds above HDR, cables that lose bits, adapters' firmware.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bare_metal.fabric import Dump, FabricPlan
from bare_metal.fabric.rendering.netfile import identifiers

PROGRAMS = ("ibsim", "ibsim-run", "opensm", "ibnetdiscover", "ibqueryerrors", "sminfo", "saquery")
DEADLINE = 120.0
CRASHES = 3
"""How many crashes in a row of a program are the simulator's, not a finding."""


def missing() -> list[str]:
    """Programs that are not on this machine."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


@dataclass
class Simulated:
    """A simulated fabric that runs."""

    plan: FabricPlan
    folder: Path
    environment: dict[str, str]
    control: int
    """Where the simulator's console is written to."""

    def tell(self, line: str) -> None:
        """Say something to the simulator's console."""
        os.write(self.control, f"{line}\n".encode())

    def run(self, *command: str) -> str:
        """Run one of the fabric's programs; one that crashed, as a user would, once more.

        Over the simulator's preloaded library `ibqueryerrors` ends by SIGSEGV before its first
        word in about one of sixty starts on a busy machine. Ours reports that as unknown.
        """
        for _ in range(CRASHES + 1):
            done = subprocess.run(
                ["ibsim-run", *command], cwd=self.folder, env=self.environment, capture_output=True,
                text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            if done.returncode != -signal.SIGSEGV:
                break
        return done.stdout + (done.stderr if command[0] in ("sminfo", "saquery") else "")

    def dump(self) -> Dump:
        """What the programs answer now."""
        return Dump(
            self.run("ibnetdiscover"), self.run("ibqueryerrors"),
            self.run("sminfo") + self.run("saquery", "SMIR"),
        )  # fmt: skip

    def identifier(self, node: str) -> str:
        """Identifier of a node of the plan, as the console wants it."""
        return identifiers(self.plan)[node]

    @contextmanager
    def manager(self) -> Iterator[None]:
        """Have a subnet manager, from when it has brought the fabric up."""
        # Its log tells when ports have addresses, but only once it is flushed line by line.
        (self.folder / "opensm.conf").write_text("force_log_flush TRUE\n")
        process = subprocess.Popen(
            ["ibsim-run", "opensm", "-F", "opensm.conf", "-f", "opensm.log"],
            cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._until("SUBNET UP")
            yield
        finally:
            _end(process)

    def _until(self, word: str) -> None:
        last = time.monotonic() + DEADLINE
        log = self.folder / "opensm.log"
        while not log.exists() or word not in log.read_text(errors="replace"):
            assert time.monotonic() < last, f"no {word!r} within {DEADLINE:.0f} s"
            time.sleep(0.1)


@contextmanager
def simulated(plan: FabricPlan, netfile: str, folder: Path) -> Iterator[Simulated]:
    """Start a simulator of a fabric, and end it with the block."""
    (folder / "fabric.net").write_text(netfile)
    name = f"t{os.getpid()}-{folder.name}"[-40:]
    first = next(line for line in netfile.splitlines() if line.startswith("Ca"))
    environment = {
        **os.environ,
        "IBSIM_SOCKNAME": name,
        "SIM_HOST": first.split('"')[1],
        "OSM_TMP_DIR": str(folder),
        "OSM_CACHE_DIR": str(folder),
    }
    read, write = os.pipe()
    with (folder / "ibsim.log").open("w") as log:
        process = subprocess.Popen(
            ["ibsim", "-N", "20000", "-S", "1024", "-P", "200000", "-s", "fabric.net"],
            cwd=folder, env=environment, stdin=read, stdout=log, stderr=log,
        )  # fmt: skip
    os.close(read)
    try:
        _ready(process, folder / "ibsim.log")
        yield Simulated(plan, folder, environment, write)
    finally:
        os.close(write)
        _end(process)


def _ready(process: subprocess.Popen[bytes], log: Path) -> None:
    last = time.monotonic() + DEADLINE
    while "simulator ready" not in log.read_text():
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < last, log.read_text()[-2000:]
        time.sleep(0.02)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=10)
