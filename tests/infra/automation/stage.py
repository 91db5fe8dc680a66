"""A place to try stacks in: the scripted `pulumi` on the path, with a backend of files."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from infra.automation import StackEngine, StackEvent, StackFlow, open_engine
from llmops.errors import LlmopsError

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
STACK = "chat-us-east-1"
LAUNCHER = '#!/bin/sh\nPYTHONPATH={root} exec {python} -m tests.infra.pulumi_stub "$@"\n'


@dataclass(frozen=True)
class Stage:
    """The scripted program's folder, and what it is to play."""

    folder: Path

    def script(self, **logs: list[str]) -> None:
        """Which logs to play, by command."""
        (self.folder / "script.json").write_text(json.dumps(logs))

    def calls(self, command: str) -> list[list[str]]:
        """Arguments of every call of a command."""
        file = self.folder / "calls.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [call for call in map(json.loads, lines) if command in call]

    def stored(self) -> dict[str, Any]:
        """The stack's record, as the scripted program keeps it."""
        found: dict[str, Any] = json.loads(self.record.read_text())
        return found

    @property
    def record(self) -> Path:
        return self.folder / "backend/.pulumi/stacks/llmops" / f"{STACK}.json"

    def locks(self) -> list[Path]:
        """Locks of the stack."""
        return sorted(self.lock_folder.glob("*.json"))

    @property
    def lock_folder(self) -> Path:
        return self.folder / "backend/.pulumi/locks/organization/llmops" / STACK

    def engine(self) -> StackEngine:
        return open_engine("llmops", STACK, lambda: None, self.folder / "home")


def set_stage(folder: Path, patch: pytest.MonkeyPatch) -> Stage:
    """Put the scripted program on the path."""
    program = folder / "bin/pulumi"
    program.parent.mkdir(parents=True)
    program.write_text(LAUNCHER.format(root=ROOT, python=sys.executable))
    program.chmod(0o755)
    patch.setenv("PATH", str(program.parent), prepend=":")
    patch.setenv("PULUMI_STUB", str(folder))
    patch.setenv("PULUMI_BACKEND_URL", (folder / "backend").as_uri())
    patch.setenv("PULUMI_CONFIG_PASSPHRASE", "correct horse battery")
    stage = Stage(folder)
    stage.script()
    return stage


def follow(flow: StackFlow[T]) -> tuple[list[StackEvent], T]:
    """Everything that a flow tells, and what it returns."""
    events: list[StackEvent] = []
    while True:
        try:
            events.append(next(flow))
        except StopIteration as end:
            return events, end.value


def failing(flow: StackFlow[object]) -> tuple[list[StackEvent], LlmopsError]:
    """Everything that a flow tells before it fails, and how."""
    events: list[StackEvent] = []
    try:
        while True:
            events.append(next(flow))
    except LlmopsError as error:
        return events, error
