"""The machines of a catalogue for a training: which fit, in what order, and what is said where none
does. Each that is offered has been planned with."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from llmops.catalog import Catalogue, Offer, Price, Source, load_catalogue
from llmops.errors import InputError, RefusedError
from llmops.finetuning.planning import (
    TrainingFacts,
    TrainingFleet,
    changed_by,
    plan_training,
    search_offers,
)
from llmops.finetuning.planning.offers import machine_of
from llmops.planning.fleet import Needs
from tests.finetuning.test_spec_command import DEMO, folder, refused, run
from tests.finetuning.test_spec_planning import GIB, model, spec

__all__ = ["folder"]  # the fixture

SHIPPED = load_catalogue()
PRICES = {"prices": Source("x", "a page", "https://example.com", date(2026, 1, 1))}


def offer(name: str, accelerator: str, count: int, *prices: Price, provider: str = "aws") -> Offer:
    return Offer(
        provider=provider, instance=name, accelerator=accelerator, count=count, vcpus=16,
        memory=256 * GIB, network=None, fabric="", gpudirect=None, prices=prices, sources=PRICES,
    )  # fmt: skip


def catalogue(*offers: Offer) -> Catalogue:
    return Catalogue(SHIPPED.accelerators, offers)


DEAR = offer("dear", "H100-SXM", 8, Price("us-east-1", 80.0, 40.0))
CHEAP = offer("cheap", "L4", 1, Price("us-east-1", 1.0, 0.4), Price("eu-west-1", 1.2, None))
OLD = offer("old", "T4", 1, Price("us-east-1", 0.5, 0.2))
OTHER = offer("other", "MI300X", 8, Price("us-east-1", 20.0, None))
UNPRICED = offer("unpriced", "A100-80-SXM", 8)
ALL = catalogue(DEAR, UNPRICED, OTHER, CHEAP, OLD)


def names(found: TrainingFleet) -> list[str]:
    return [one.offer.instance for one in found.options]


def reasons(found: TrainingFleet) -> dict[str, str]:
    return {one.offer.instance: one.reason for one in found.rejections}


def test_the_cheapest_that_fits_is_first_and_what_has_no_price_last() -> None:
    found = search_offers(spec(), model(), ALL, Needs())
    assert names(found) == ["cheap", "dear", "unpriced"]
    first, second, last = found.options
    assert (first.price, first.region, first.idle) == (1.0, "us-east-1", 0)
    assert (second.price, second.idle) == (80.0, 7)
    assert "7 of 8 GPUs idle" in second.why
    assert last.price is None
    assert found.nearest is None


def test_every_option_fits_and_every_shipped_offer_is_answered() -> None:
    found = search_offers(spec("training: {workers: 2}\n"), model("llama-3.1-8b"), SHIPPED, Needs())
    gpus = [one for one in SHIPPED.offers if SHIPPED.accelerators[one.accelerator].kind == "gpu"]
    assert len(found.options) + len(found.rejections) == len(gpus)
    assert found.options
    for one in found.options:
        assert int(one.plan.per_worker.value) <= int(one.plan.room.value)
        assert one.offer.count >= 2
        assert one.plan.device == "gpu"
    priced = [one.price for one in found.options if one.price is not None]
    assert priced == sorted(priced)


def test_what_a_gpu_cannot_compute_is_rejected_and_says_what_would_do() -> None:
    found = search_offers(spec(), model(), ALL, Needs())
    assert "T4 (compute capability 7.5) does not compute bfloat16" in reasons(found)["old"]
    assert "MI300X is no NVIDIA GPU" in reasons(found)["other"]
    halves = search_offers(spec("training: {precision: float16}\n"), model(), ALL, Needs())
    assert names(halves)[0] == "old"


def test_workers_need_a_gpu_each() -> None:
    found = search_offers(spec("training: {workers: 4}\n"), model(), ALL, Needs())
    assert names(found) == ["dear", "unpriced"]
    assert "4 workers need a GPU each" in reasons(found)["cheap"]


def test_budget_region_market_and_provider_are_kept() -> None:
    ask = (spec(), model(), ALL)
    assert names(search_offers(*ask, Needs(budget=50.0))) == ["cheap"]
    spot = search_offers(*ask, Needs(budget=50.0, spot=True))
    assert [(one.offer.instance, one.price) for one in spot.options] == [
        ("cheap", 0.4), ("dear", 40.0),
    ]  # fmt: skip
    assert "80.00 USD/h is above the budget" in reasons(
        search_offers(*ask, Needs(budget=50.0))
    )["dear"]  # fmt: skip
    there = search_offers(*ask, Needs(regions=("eu",)))
    assert [(one.offer.instance, one.price) for one in there.options] == [("cheap", 1.2)]
    assert names(search_offers(*ask, Needs(gpus=("H100-SXM",)))) == ["dear"]
    assert names(search_offers(*ask, Needs(providers=("gcp",)))) == []


def test_ones_own_machines_cost_nothing() -> None:
    own = offer("rack", "H100-SXM", 8, provider="own")
    found = search_offers(spec(), model(), catalogue(CHEAP, own), Needs())
    assert [(one.offer.instance, one.price) for one in found.options] == [
        ("rack", 0.0), ("cheap", 1.0),
    ]  # fmt: skip


def test_where_nothing_fits_the_change_that_is_named_makes_it_fit() -> None:
    asked, facts = spec("method: {kind: full}\n"), model("llama-3.1-8b")
    found = search_offers(asked, facts, catalogue(CHEAP, DEAR), Needs())
    assert not found.options
    assert set(reasons(found)) == {"cheap", "dear"}
    near = found.nearest
    assert near is not None
    machine = machine_of(near.offer, SHIPPED.accelerators[near.offer.accelerator])
    with pytest.raises(RefusedError):
        plan_training(asked, TrainingFacts(facts, machine))
    changed = changed_by(asked, near.changes)
    assert changed is not None
    plan = plan_training(changed, TrainingFacts(facts, machine))
    assert int(plan.per_worker.value) <= int(plan.room.value)


def test_a_cpu_is_not_looked_for_in_the_catalogue() -> None:
    with pytest.raises(InputError, match="GPUs are weighed"):
        search_offers(spec("hardware: {device: cpu}\n"), model(), ALL, Needs())


def test_cores_that_nobody_knows_are_one_for_each_gpu() -> None:
    unknown = replace(DEAR, vcpus=None, memory=None)
    assert machine_of(unknown, SHIPPED.accelerators["H100-SXM"]).cores == 8
    assert names(search_offers(spec(), model(), catalogue(unknown), Needs())) == ["dear"]


TRAINING = (
    f"kind: FineTune\nname: style\nmodel: {{source: '{DEMO}'}}\n"
    "data: {train: [{source: a.jsonl}], split: 0.05}\n"
)


def test_plan_lists_machines_and_the_first_in_full(folder: Path) -> None:
    (folder / "finetune.yaml").write_text(TRAINING)
    command = ("plan", "-f", "finetune.yaml", "--on", "catalog")
    done = run(*command, "--top", "2", "--rejected")
    assert done.exit_code == 0, done.output
    assert "types of machines on which it fits (--top" in done.stdout
    assert "per_worker" in done.stdout
    assert "does not compute bfloat16" in done.stdout
    data = json.loads(run(*command, "--top", "3", "-o", "json").stdout)
    assert set(data) == {"kind", "question", "options", "options_found", "rejected", "nearest"}
    assert (data["kind"], len(data["options"])) == ("TrainingFleet", 3)
    prices = [one["price"]["value"] for one in data["options"]]
    assert prices == sorted(prices)
    assert data["options"][0]["plan"]["kind"] == "TrainingPlan"
    assert all(one["reason"] for one in data["rejected"])


def test_plan_ends_with_3_where_no_machine_does(folder: Path) -> None:
    (folder / "finetune.yaml").write_text(
        f"{TRAINING}training: {{workers: 32, tokens_per_step: 65536}}\n"
    )
    done = run("plan", "-f", "finetune.yaml", "--on", "catalog")
    assert done.exit_code == 3, done.output
    assert "hint: set training.workers to" in done.stdout
    none = run("plan", "-f", "finetune.yaml", "--on", "catalog", "--budget", "0.01")
    assert none.exit_code == 3


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--in-flight", "4"), "--in-flight is for the plan of a service"),
        (("--tensor", "2"), "--tensor is for the plan of a service"),
        (("--layouts", "aws/p5.48xlarge"), "--layouts is for the plan of a service"),
        (("--explain", "memory"), "--explain is for the plan of a service"),
        (("--gpu", "H1000"), "H1000"),
    ],
)
def test_what_is_of_a_service_is_refused(folder: Path, option: tuple[str, ...], said: str) -> None:
    (folder / "finetune.yaml").write_text(TRAINING)
    code, told = refused("plan", "-f", "finetune.yaml", "--on", "catalog", *option)
    assert code == 2
    assert said in told
