"""A scratch root in which a machine's start-up runs: its files, and programs that only pretend.

Real are the shell, Python, sha256sum and the scripts. Pretended are AWS (a `curl` that answers from
files), the driver, the disks, users and pip; each call of theirs is taken down. So nothing here
proves that a real image has what the scripts call, or that AWS takes their signatures.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import yaml

from infra.startup import StartUp, user_data

PRETENDED = (
    "id useradd chown mkfs.ext4 mount mountpoint blkid nvidia-smi sleep systemctl curl journalctl"
)

PROGRAM = f"""#!{sys.executable} -IS
import json, os, pathlib, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.infra.pretended import pretend
sys.exit(pretend(pathlib.Path(os.environ["LLMOPS_ROOT"]), pathlib.Path(sys.argv[0]).name,
                 sys.argv[1:]))
"""


class Scratch:
    """A machine's root folder."""

    def __init__(self, folder: Path, startup: StartUp) -> None:
        self.root, self.startup = folder / "root", startup
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for name in PRETENDED.split():
            self._program(name, PROGRAM)
        self.state = self.root / "pretended"
        self.state.mkdir(parents=True)
        self.document = yaml.safe_load(user_data(startup))
        for file in self.document["write_files"]:
            self._write(file["path"], file["content"], int(file["permissions"], 8))
        self.say("gpus", startup.gpus)

    def _program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def _write(self, path: str, content: str, mode: int) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(mode)

    def say(self, name: str, value: object) -> None:
        """What a pretended program is to answer with."""
        (self.state / f"{name}.json").write_text(json.dumps(value))

    def heard(self, name: str) -> object:
        """What a pretended program keeps."""
        file = self.state / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def calls(self, program: str = "") -> list[list[str]]:
        """The calls so far, of one program or of all."""
        file = self.state / "calls"
        found = [json.loads(line) for line in file.read_text().splitlines()]
        return [call for call in found if program in ("", call[0])]

    def prepare(self) -> subprocess.CompletedProcess[str]:
        """Run what the unit runs before the agent."""
        return self.run("llmops-prepare")

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        """Run a script of the machine."""
        path = f"{self.bin}:{os.environ['PATH']}"
        return subprocess.run(
            ["/bin/sh", str(self.root / f"usr/local/sbin/{name}")],
            env={"PATH": path, "LLMOPS_ROOT": str(self.root), "LLMOPS_TRIES": "2"},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
