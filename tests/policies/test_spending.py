"""What a budget leaves to a plan while it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from llmops.catalog import Catalogue, load_catalogue
from llmops.planning import Plan, Spending, make_plan
from llmops.policies import Effective, Known, effective, parse_policy, spending
from llmops.releases import History, Release, State, dumps, loads, records
from llmops.spec import Deployment
from tests.planning.worlds import GPU, make_facts

GPUS = {"cores": 8, "memory": "64GiB", "gpus": [{"memory": "80GiB"}]}
IMAGE = "registry.example/llm/vllm@sha256:" + "ab" * 32


@pytest.fixture(scope="module")
def prices() -> Catalogue:
    return load_catalogue()


def rules(deployment: Deployment, usd: float) -> Effective:
    text = json.dumps({"kind": "Policy", "name": "acme", "budget": {"usd_per_hour": usd}})
    return effective([parse_policy(text, "acme.yaml").value], deployment)


def on_cluster(replicas: str, **more: Any) -> Deployment:
    document = {"name": "chat", "model": {"source": "hf://owner/model"}, "image": IMAGE,
                "target": {"kind": "kubernetes"}, "scaling": {"replicas": replicas}}  # fmt: skip
    return Deployment.model_validate(document | more)


def planned(replicas: str) -> Plan:
    """A plan on one GPU a replica, which is all that a budget looks at."""
    local = {"name": "chat", "model": {"source": "hf://owner/model"}, "scaling":
             {"replicas": replicas}}  # fmt: skip
    return make_plan(Deployment.model_validate(local), make_facts(machine=GPUS, engine=GPU))


def left(replicas: str, prices: Catalogue | None, gpu: str = "H100-SXM") -> Spending | None:
    deployment = on_cluster(replicas)
    known = Known(gpu=gpu, catalogue=prices)
    return spending(rules(deployment, 9.0), deployment, planned(replicas), known)


def test_a_number_that_follows_the_load_is_bounded_by_whom_and_by_which_price(
    prices: Catalogue,
) -> None:
    found = left("0..1", prices)
    assert found is not None
    assert (found.budget, found.by) == (9.0, "acme")
    assert found.replicas(1) == int(9.0 / found.device)


def test_what_is_fixed_or_has_no_price_is_bounded_by_nothing(prices: Catalogue) -> None:
    assert left("1", prices) is None
    assert left("0..1", prices, gpu="GPU of nobody") is None
    assert left("0..1", None) is None


def test_a_live_release_takes_a_new_budget_over_without_a_new_release() -> None:
    plan = planned("0..1")
    live = History("chat", (Release("chat", 1, plan, State.LIVE, 0.0),))
    bounded = Spending(9.0, 3.0, "acme")
    edited = records.look_after(live, replace(plan.upkeep, spending=bounded))
    assert [r.number for r in edited.releases] == [1]
    assert loads(dumps(edited)).releases[0].plan.upkeep.spending == bounded
