"""What a `pulumi` backend of files keeps: stacks, their histories, and locks that name who has one.

The layout and the sentences follow the engine's own file backend, because the Automation API and
its users read them.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fail(text: str, code: int = 255) -> NoReturn:
    sys.stderr.write(f"error: {text}\n")
    sys.exit(code)


def root() -> Path:
    named = os.environ.get("PULUMI_BACKEND_URL", "")
    if named.startswith("file://"):
        return Path(unquote(urlsplit(named).path))
    return Path(os.environ["PULUMI_STUB"]) / "backend"


@dataclass
class Stack:
    name: str
    project: str
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    pending: dict[str, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return _folder("stacks", self.project) / f"{self.name}.json"

    @property
    def locks(self) -> Path:
        return _folder("locks", f"organization/{self.project}/{self.name}")

    def save(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(vars(self)))
        new.replace(self.file)

    def exported(self) -> dict[str, Any]:
        pending = [
            {"resource": {"urn": urn, "type": one["type"]}, "type": one["operation"]}
            for urn, one in self.pending.items()
        ]
        deployment: dict[str, Any] = {
            "manifest": {"time": now(), "magic": "", "version": ""},
            "resources": [{"urn": urn, **one} for urn, one in self.resources.items()],
        }
        if pending:
            deployment["pending_operations"] = pending
        return {"version": 3, "deployment": deployment}

    def lock(self) -> Path:
        """Take the lock, or say in the engine's words who has it."""
        others = sorted(self.locks.glob("*.json"))
        if others:
            count = f"the stack is currently locked by {len(others)} lock(s). "
            ways = "Either wait for the other process(es) to end or delete the lock file with"
            lines = [f"{count}{ways} `pulumi cancel`."]
            for other in others:
                held = json.loads(other.read_text())
                lines.append(
                    f"  {other.as_uri()}: created by {held['username']}@{held['hostname']}"
                    f" (pid {held['pid']}) at {held['timestamp']}"
                )
            fail("\n".join(lines))
        mine = self.locks / f"{uuid.uuid4()}.json"
        mine.write_text(json.dumps(holder(os.getpid(), socket.gethostname())))
        return mine


def holder(pid: int, host: str) -> dict[str, Any]:
    return {
        "pid": pid,
        "username": getpass.getuser(),
        "hostname": host,
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def load(name: str, project: str) -> Stack:
    file = Stack(name, project).file
    if not file.exists():
        fail(f"no stack named '{name}' found")
    side = file.with_name(f"{file.name}.attrs")
    if side.exists() and not side.read_bytes():
        fail("failed to load checkpoint: EOF")
    return Stack(**json.loads(file.read_text()))


def every(project: str) -> list[Stack]:
    files = sorted(_folder("stacks", project).glob("*.json"))
    return [Stack(**json.loads(file.read_text())) for file in files]


def _folder(kind: str, below: str) -> Path:
    folder = root() / ".pulumi" / kind / below
    folder.mkdir(parents=True, exist_ok=True)
    return folder
