"""Deployments, plans and packages for the tests of machines."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.packages import Files
from infra.startup import Packages
from llmops.catalog import Catalogue, load_catalogue
from llmops.planning import CloudFacts, Facts, MachineFacts, ModelFacts, Plan, make_plan
from llmops.spec import CloudTarget, Deployment, loads

ROOT = Path(__file__).parents[2]
ZONES = ("us-east-1a", "us-east-1b")
IMAGE = "ami-0123456789abcdef0"
NO_MACHINE = MachineFacts(0, 0, 0, 0, (), "", None)
MODEL = "hf://Qwen/Qwen2.5-7B-Instruct"

SPEC = f"""
name: chat
model: {{source: {MODEL}}}
target:
  kind: aws
  region: us-east-1
  network: {{nat: true}}
"""


def deployment(**target: Any) -> Deployment:
    """A deployment on AWS, with other fields of its target."""
    document = yaml.safe_load(SPEC)
    document["target"] |= target
    return loads(yaml.safe_dump(document))


@cache
def catalogue() -> Catalogue:
    return load_catalogue()


def facts(made: Deployment, zones: tuple[str, ...] = ZONES) -> Facts:
    """What would have been looked up: every type in the zones, and an image."""
    known: dict[str, Any] = yaml.safe_load(
        (ROOT / "tests" / "cases" / "examples" / "models.yaml").read_text()
    )[MODEL]
    model = ModelFacts(
        source=made.model.source,
        revision="0" * 40,
        config=known["config"],
        parameters=known["parameters"],
        weight_bytes=2 * known["parameters"],
        dtypes={"BF16": known["parameters"]},
        download_bytes=2 * known["parameters"],
        chat_template=True,
        converted=False,
    )
    return Facts(model, NO_MACHINE, (), "vllm 0.32.0", None, cloud(made, zones))


def cloud(made: Deployment, zones: tuple[str, ...] = ZONES) -> CloudFacts:
    from llmops.planning import images_of

    target = made.target
    assert isinstance(target, CloudTarget)
    return CloudFacts(
        catalogue(),
        {offer.instance: zones for offer in catalogue().offers if offer.provider == "aws"},
        dict.fromkeys(images_of(target), IMAGE),
    )


def planned(made: Deployment) -> Plan:
    return make_plan(made, facts(made))


def files(folder: Path, wheels: str = "") -> Files:
    """Two small files in place of the wheel and the lock, with digests that stay."""
    wheel, lock = folder / "llmops-0.1.0-py3-none-any.whl", folder / "lock.txt"
    wheel.write_bytes(b"wheel")
    lock.write_text("a==1 --hash=sha256:00\n")
    return Files(wheel, lock, Packages(wheel.name, "a" * 64, "b" * 64, wheels))
