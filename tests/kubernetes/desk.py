"""A person's desk: a home, a kubeconfig, a spec file, and the installed `llmops`.

Nothing here looks inside llmops: it runs the program, and reads what it prints.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support import program
from tests.support.program import Done

IMAGE = f"registry.example/llmops@sha256:{'ab' * 32}"
DEADLINE = 300.0
"""Seconds that one command may take, against a stand-in that starts in a second."""


@dataclass
class Desk:
    """Where somebody works on one namespace of a cluster."""

    home: Path
    folder: Path
    kubeconfig: Path
    namespace: str
    source: str
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environment = {
            **os.environ,
            "LLMOPS_HOME": str(self.home),
            "KUBECONFIG": str(self.kubeconfig),
            "NO_COLOR": "1",
            **self.environment,
        }

    def spec(self, name: str = "chat", **sections: Any) -> Path:
        """Write a spec of a small service on CPUs; sections are merged over it."""
        document: dict[str, Any] = {
            "name": name,
            "model": {"source": self.source},
            "image": IMAGE,
            "target": {"kind": "kubernetes", "namespace": self.namespace},
            "hardware": {"device": "cpu", "cores": 2},
            "engine": {"kv_cache": "1GiB"},
            "maintenance": {"drain": "5s", "start_deadline": "3min"},
            "security": {"keys": []},
        }
        for section, value in sections.items():
            merged = isinstance(value, dict) and isinstance(document.get(section), dict)
            document[section] = {**document[section], **value} if merged else value
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def run(self, *arguments: str | Path, deadline: float = DEADLINE, **environment: str) -> Done:
        """Run `llmops` to its end."""
        given = {**self.environment, **environment}
        return program.run(arguments, given, seconds=deadline, folder=self.folder)

    def start(self, *arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
        """Start `llmops`, and leave it to run."""
        return program.start(arguments, {**self.environment, **environment}, folder=self.folder)

    def deploy(self, path: Path, *more: str) -> Done:
        """Deploy a spec without being asked."""
        return self.run("deploy", "-f", path, "--yes", *more)

    def status(self, name: str = "chat") -> Any:
        """What `status -o json` tells."""
        return self.run("status", name, "-o", "json").json()
