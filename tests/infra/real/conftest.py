"""The real `pulumi` program, a backend of files, and the provider that plays AWS as its plugin."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.automation import StackEngine, open_engine
from infra.program import program
from llmops.planning import Plan
from llmops.spec import Deployment
from tests.infra.making import ROOT, files, planned
from tests.infra.real.double import FOLDER, Cloud

STACK = "chat-us-east-1"
PASSPHRASE = "canary-of-the-passphrase"
LAUNCHER = '#!/bin/sh\nPYTHONPATH={root} exec {python} -m tests.infra.real.double "$@"\n'


@dataclass(frozen=True)
class Real:
    """Where it all lies."""

    folder: Path

    @property
    def cloud(self) -> Cloud:
        return Cloud(self.folder / "cloud")

    def engine(self, made: Deployment, plan: Plan | None = None) -> StackEngine:
        """The engine of the stack, whose program declares a deployment."""
        put, found = files(self.folder / "packages"), plan or planned(made)
        return self.running(lambda: program(made, found, put))

    def running(self, declare: Callable[[], None]) -> StackEngine:
        return open_engine("llmops", STACK, declare, self.folder / "home")

    def behave(self, name: str, **by_kind: Any) -> None:
        """How the cloud behaves: `errors` or `seconds`, by kind."""
        (self.folder / "cloud" / f"{name}.json").write_text(json.dumps(by_kind))


@pytest.fixture
def real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Real:
    """A stage with the real program.

    It fails where there is no `pulumi`: whoever asks for these tests wants them run.
    """
    found = shutil.which("pulumi")
    assert found, "these tests need the pulumi program, 3.181 or newer, on the path"
    home = tmp_path / "pulumi"
    _plugin(home)
    for part in ("cloud", "packages"):
        (tmp_path / part).mkdir()
    monkeypatch.setenv("PULUMI_HOME", str(home))
    monkeypatch.setenv("PULUMI_SKIP_UPDATE_CHECK", "true")
    monkeypatch.setenv("PULUMI_BACKEND_URL", (tmp_path / "backend").as_uri())
    (tmp_path / "backend").mkdir()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv(FOLDER, str(tmp_path / "cloud"))
    return Real(tmp_path)


def _plugin(home: Path) -> None:
    """Put the provider where the engine looks for the one of this version of pulumi-aws."""
    from pulumi_aws._utilities import get_version

    folder = home / "plugins" / f"resource-aws-v{get_version()}"
    folder.mkdir(parents=True)
    launcher = folder / "pulumi-resource-aws"
    launcher.write_text(LAUNCHER.format(root=ROOT, python=sys.executable))
    launcher.chmod(0o755)


def pulumi(*arguments: str, folder: Path = ROOT) -> str:
    """What Pulumi's own command prints; it must succeed."""
    ended = subprocess.run(
        ["pulumi", *arguments, "--non-interactive", "--color", "never"],
        capture_output=True, text=True, cwd=folder, timeout=280, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
