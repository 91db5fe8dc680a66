"""A cloud, the scripted `pulumi`, and an agent that notes what it is handed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra import AwsTarget
from infra.account import Account, Quota
from llmops.events import Event, Finished, Flow, Progress
from llmops.spec import Deployment
from serving.agent import AgentTarget
from tests.infra.automation.stage import STACK, Stage, set_stage
from tests.infra.cloud import REGION, Cloud, served
from tests.support.hub import HubServer, running
from tests.support.tiny_model import make_tiny_model

MODEL = "hf://tests/tiny"
BUCKET = "chat-us-east-1-store"


class NotingAgent(AgentTarget):
    """The target of an agent that does at once whatever it is handed."""

    handed: list[Deployment]

    def await_agent(self, seconds: float) -> Flow[None]:
        yield Progress("agent", "waiting")

    def await_machines(self, count: int, seconds: float) -> Flow[None]:
        yield Progress("machines", f"waiting for {count}")

    def deploy(self, deployment: Deployment, **more: Any) -> Flow[Finished]:
        self.handed.append(deployment)
        finished = Finished(None, changed=True, url="http://10.0.0.5:8000/v1")
        yield finished
        return finished


class Quotas(Account):
    """An account whose quotas are known: moto has none for machines."""

    def quotas(self) -> tuple[Quota, ...]:
        return (Quota("Running On-Demand G and VT instances", 64.0),)


@dataclass
class Scene:
    """Everything that a deploy to AWS meets."""

    cloud: Cloud
    stage: Stage
    home: Path
    handed: list[Deployment] = field(default_factory=list)

    def target(self) -> AwsTarget:
        def agent(store: str) -> AgentTarget:
            noting = NotingAgent(self.home, store)
            noting.handed = self.handed
            return noting

        return AwsTarget(self.home, REGION, STACK, agents=agent, account=Quotas(REGION))

    def deployment(self, **target: Any) -> Deployment:
        aws = {"kind": "aws", "region": REGION, "network": {"nat": True}, **target}
        return Deployment.model_validate({
            "name": "chat",
            "model": {"source": MODEL},
            "target": {"image": self.cloud.image(), **aws},
        })  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for cloud in served(monkeypatch):
        stage = set_stage(tmp_path, monkeypatch)
        cloud.client("s3").create_bucket(Bucket=BUCKET)
        with running() as hub:
            publish(hub, tmp_path / "model")
            hub.use(monkeypatch)
            yield Scene(cloud, stage, tmp_path / "home")


def publish(hub: HubServer, folder: Path) -> None:
    """A model on a hub on loopback: machines can have it, as they can no file of a package."""
    make_tiny_model(folder)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    hub.publish(MODEL.removeprefix("hf://"), files)


def words(events: list[Event]) -> str:
    """Everything that events say, for a search."""
    return "\n".join(map(repr, events))
