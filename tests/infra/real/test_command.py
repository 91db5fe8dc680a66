"""`pulumi` in the repository's folder and `llmops deploy` work on one and the same stack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from llmops.spec import loads
from tests.infra.automation.stage import Stage
from tests.infra.cloud import served
from tests.infra.making import ROOT
from tests.infra.real.conftest import STACK, Real, pulumi
from tests.infra.target.conftest import MODEL, Scene, publish
from tests.infra.target.test_deploy import follow
from tests.support.hub import running

pytestmark = [
    pytest.mark.engines,
    pytest.mark.long,
    pytest.mark.pulumi,
    pytest.mark.timeout(900),
]

SPEC = """\
name: chat
model: {{source: {model}}}
target:
  kind: aws
  region: us-east-1
  image: {image}
  store: s3://chat-us-east-1-store/llmops
  network: {{nat: true}}
"""


def checkout(folder: Path, spec: str) -> Path:
    """A checkout for Pulumi's command: it writes the stack's configuration beside `Pulumi.yaml`."""
    folder.mkdir()
    shutil.copy(ROOT / "Pulumi.yaml", folder)
    for name in ("infra", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "llmops.yaml").write_text(spec)
    return folder


def test_pulumis_own_command_finds_nothing_to_change_after_a_deploy(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the guide has it: `stack select`, `config set`, `preview`, `up`. Its lookups are answered
    by moto, its stack is made of nothing by the provider that plays AWS."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(real.folder / "cache"))
    monkeypatch.setenv("LLMOPS_HOME", str(real.folder / "home"))
    for cloud in served(monkeypatch):
        cloud.client("s3").create_bucket(Bucket="chat-us-east-1-store")
        with running() as hub:
            publish(hub, real.folder / "model")
            hub.use(monkeypatch)
            for name, value in hub.environment.items():  # of the program that Pulumi runs
                monkeypatch.setenv(name, value)
            spec = SPEC.format(model=MODEL, image=cloud.image())
            scene = Scene(cloud, Stage(real.folder), real.folder / "home")
            follow(scene.target().deploy(loads(spec)))
            made = sorted(one["id"] for one in real.cloud.objects())
            assert made

            there = checkout(real.folder / "checkout", spec)
            pulumi("stack", "select", STACK, folder=there)
            pulumi("config", "set", "llmops:spec", "llmops.yaml", folder=there)
            told = json.loads(pulumi("preview", "--json", folder=there))
            assert set(told["changeSummary"]) == {"same"}, told["changeSummary"]
            pulumi("up", "--yes", "--skip-preview", folder=there)
            assert sorted(one["id"] for one in real.cloud.objects()) == made
