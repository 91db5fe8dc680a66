"""Machines of a cloud: which are taken, at what price, what comes next, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from llmops.catalog import Catalogue, load_catalogue
from llmops.errors import RefusedError
from llmops.planning import (
    UNKNOWN,
    CloudFacts,
    Facts,
    MachineFacts,
    ModelFacts,
    Plan,
    images_of,
    make_plan,
    plan_document,
    with_offer,
)
from llmops.spec import AwsTarget, Deployment, loads
from tests.planning.worlds import model_facts

CASES = Path(__file__).parents[1] / "cases"
KNOWN: dict[str, Any] = yaml.safe_load((CASES / "examples" / "models.yaml").read_text())
MODEL = "hf://Qwen/Qwen2.5-7B-Instruct"
NO_MACHINE = MachineFacts(0, 0, 0, 0, (), "", None)
CATALOGUE = load_catalogue()


def _deployment(document: dict[str, Any]) -> Deployment:
    target = {"kind": "aws", "region": "us-east-1", "network": {"nat": True}}
    target |= document.pop("target", {})
    return loads(yaml.safe_dump(
        {"name": "chat", "model": {"source": MODEL}, "target": target} | document
    ))  # fmt: skip


def _facts(catalogue: Catalogue = CATALOGUE, **cloud: Any) -> Facts:
    known = KNOWN[MODEL]
    model = ModelFacts(
        source=MODEL,
        revision="0" * 40,
        config=known["config"],
        parameters=known["parameters"],
        weight_bytes=2 * known["parameters"],
        dtypes={"BF16": known["parameters"]},
        download_bytes=0,
        chat_template=True,
        converted=False,
    )
    return Facts(model, NO_MACHINE, (), "vllm 0.32.0", None, CloudFacts(catalogue, **cloud))


def _plan(facts: Facts | None = None, **document: Any) -> Plan:
    return make_plan(_deployment(document), facts or _facts())


def _cases() -> list[tuple[str, dict[str, Any]]]:
    files = sorted((CASES / "machines").glob("*.yaml"))
    return [(file.stem, yaml.safe_load(file.read_text())) for file in files]


@pytest.mark.parametrize(("name", "case"), _cases(), ids=[name for name, _ in _cases()])
def test_a_case_of_machines(name: str, case: dict[str, Any]) -> None:
    made = _deployment(case.get("deployment", {}))
    if "refused" in case:
        with pytest.raises(RefusedError) as caught:
            make_plan(made, _facts())
        assert caught.value.path == case["refused"]["path"]
        assert case["refused"]["message"] in caught.value.message
        assert case["refused"]["hint"] in caught.value.hint
        return
    plan = make_plan(made, _facts())
    machines = json.loads(json.dumps(plan_document(plan)["machines"]))
    for key, wanted in case["expect"].items():
        value = machines[key]
        assert (value["value"] if isinstance(value, dict) else value) == wanted, key
    assert [[o["machine"], o["market"], o["count"]] for o in machines["offers"]][
        : len(case.get("next", []))
    ] == case.get("next", [])
    for words in case.get("notes", []):
        assert any(words in note for note in plan.notes), plan.notes


def test_offers_come_in_the_order_of_their_price() -> None:
    machines = _plan().machines
    assert machines is not None
    prices = [machines.usd_per_hour.value, *(o.usd_per_hour for o in machines.offers)]
    assert prices == sorted(prices, key=lambda price: float(price or 0))
    assert len(machines.offers) == 5


def test_the_next_offer_is_the_same_release_on_other_machines() -> None:
    plan = _plan(target={"market": "spot"})
    assert plan.machines is not None
    other = with_offer(plan, 0)
    assert other.machines is not None
    assert other.identity == plan.identity
    assert other.machines.machine.value == plan.machines.machine.value
    assert (plan.machines.market, other.machines.market) == ("spot", "on_demand")
    assert other.machines.offers == plan.machines.offers[1:]
    assert other.machines.image == plan.machines.image


def test_a_model_that_no_machine_holds_is_cut_over_several_with_a_fast_network() -> None:
    facts = replace(_facts(), model=model_facts("llama-3.1-405b"))
    target = {"machine": "p5.48xlarge"}
    plan = _plan(facts, target=target)
    assert plan.machines is not None
    assert (plan.layout.tensor, plan.layout.pipeline) == (8, plan.machines.count.value)
    assert plan.layout.pipeline > 1
    assert plan.machines.fabric == "efa"
    assert f"of {plan.layout.pipeline} stages of a replica" in plan.machines.count.reason
    more = _plan(facts, target=target, scaling={"replicas": 2}).machines
    assert more is not None
    assert more.count.value == 2 * plan.layout.pipeline


def test_there_is_no_offer_beyond_the_last() -> None:
    with pytest.raises(IndexError):
        with_offer(_plan(), 5)


def test_the_image_is_pinned_where_somebody_looked() -> None:
    target = _deployment({}).target
    assert isinstance(target, AwsTarget)
    (parameter,) = images_of(target)
    pinned = _plan(_facts(images={parameter: "ami-0123456789abcdef0"})).machines
    unseen = _plan().machines
    assert pinned is not None
    assert unseen is not None
    assert pinned.image.value == "ami-0123456789abcdef0"
    assert unseen.image.value == f"resolve:ssm:{parameter}"


def test_an_image_by_its_id_needs_no_look() -> None:
    made = _deployment({"target": {"image": "ami-0123456789abcdef0"}}).target
    assert isinstance(made, AwsTarget)
    assert images_of(made) == ()


def test_zones_are_those_that_offer_the_machine() -> None:
    facts = _facts(zones={"g6.xlarge": ("us-east-1d", "us-east-1a"), "g5.xlarge": ("us-east-1c",)})
    machines = _plan(facts).machines
    assert machines is not None
    assert machines.zones == ("us-east-1a", "us-east-1d")


def test_in_a_region_without_prices_the_plan_says_that_it_does_not_know() -> None:
    plan = _plan(target={"region": "eu-central-1"})
    assert plan.machines is not None
    assert plan.machines.usd_per_hour.value == plan.machines.usd_per_month.value == UNKNOWN
    assert "in us-east-1" in plan.machines.usd_per_hour.reason
    assert any("eu-central-1" in note for note in plan.notes)


def test_changed_prices_are_other_facts_and_the_same_release() -> None:
    (offer,) = [one for one in CATALOGUE.offers if one.name == "aws/g6.xlarge"]
    dearer = replace(offer, prices=tuple(replace(p, on_demand=9.0) for p in offer.prices))
    others = tuple(one for one in CATALOGUE.offers if one is not offer)
    changed = _facts(Catalogue(CATALOGUE.accelerators, (*others, dearer)))
    before, after = _plan(), _plan(changed)
    assert before.identity == after.identity
    assert before.facts_digest != after.facts_digest


def test_a_record_keeps_the_machines() -> None:
    from pydantic import TypeAdapter

    adapter = TypeAdapter(Plan)
    plan = _plan()
    assert adapter.validate_json(adapter.dump_json(plan)) == plan


def test_a_plan_without_machines_shows_none() -> None:
    assert "machines" not in plan_document(replace(_plan(), machines=None))
