"""What of a plan is shown: placement, every layout, two plans compared, pictures, advice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from llmops.planning.fleet import (
    FleetPlan,
    Needs,
    Subject,
    binding,
    changes,
    compare,
    document,
    every_layout,
    fleet_bars,
    memory_lines,
    nearest_miss,
    of_fleet,
    place,
    placement_words,
    prices,
    search,
    spare_machines,
    spare_replicas,
    svg,
    why_later,
)
from llmops.planning.parallel import Parallel
from tests.planning.fleet import worlds

SVG = "{http://www.w3.org/2000/svg}"


def _own(name: str, **needs: Any) -> tuple[Subject, FleetPlan]:
    subject = worlds.subject(name)
    return subject, search(subject, worlds.needs(needs), worlds.catalogue("four-of-eight-h100"))


def test_ranks_are_numbered_tensor_first_then_pipeline_then_data() -> None:
    _, plan = _own("deepseek-v3", parallel={"tensor": 4, "pipeline": 2, "data": 2, "expert": True})
    ranks = place(plan.options[0])
    assert [rank.rank for rank in ranks] == list(range(16))
    assert [(r.tensor, r.pipeline, r.data) for r in ranks[:9:4]] == [
        (0, 0, 0),
        (0, 1, 0),
        (0, 0, 1),
    ]
    assert [(r.machine, r.device) for r in ranks[6:10]] == [(0, 6), (0, 7), (1, 0), (1, 1)]


def test_every_device_has_one_rank_and_its_rail() -> None:
    _, plan = _own("llama-3.1-405b", replicas=2)
    ranks = place(plan.options[0])
    assert len({(rank.machine, rank.device) for rank in ranks}) == len(ranks) == 32
    assert all(rank.rail == rank.device % 8 for rank in ranks)
    assert {rank.replica for rank in ranks} == {0, 1}


def test_replicas_share_a_machine_side_by_side() -> None:
    _, plan = _own("llama-3.1-70b", replicas=2)
    assert placement_words(plan.options[0]) == (
        "replica 1: ranks 0-3 on machine 1, devices 0-3, rails 0-3",
        "replica 2: ranks 0-3 on machine 1, devices 4-7, rails 4-7",
    )
    assert plan.options[0].idle == 0
    assert spare_machines(plan.options[0]) == 3
    assert spare_replicas(plan.options[0]) == 6


def test_a_long_placement_is_cut_short() -> None:
    _, plan = _own("llama-3.1-8b", replicas=20)
    assert placement_words(plan.options[0])[-1] == "and 12 groups more in the same way"


def test_a_tensor_parallel_group_never_leaves_its_fast_domain() -> None:
    catalogue = worlds.catalogue("catalog")
    for name in ("llama-3.1-405b", "deepseek-v3", "qwen3-235b-a22b"):
        for option in search(worlds.subject(name), Needs(), catalogue).options:
            if option.offer.link is not None:  # a rack is one domain
                continue
            groups: dict[tuple[int, ...], set[int]] = {}
            for rank in place(option):
                groups.setdefault((rank.replica, rank.pipeline, rank.data), set()).add(rank.machine)
            assert all(len(machines) == 1 for machines in groups.values()), option.offer.name


def test_ranks_of_one_rack_share_an_island_however_many_machines_they_lie_on() -> None:
    subject, catalogue = worlds.subject("llama-3.1-405b"), worlds.catalogue("nvl72")
    (option,) = search(subject, Needs(), catalogue).options
    ranks = place(option)
    assert {rank.machine for rank in ranks} == {0, 1}
    assert {rank.island for rank in ranks} == {0}
    assert placement_words(option) == ("ranks 0-7 on machines 1 to 2, all devices of each",)
    (several,) = search(subject, Needs(replicas=3, parallel=Parallel(16)), catalogue).options
    assert {rank.island for rank in place(several)} == {0}
    small = worlds.subject("llama-3.1-8b")
    (many,) = search(small, Needs(replicas=72), catalogue).options
    assert {rank.machine for rank in place(many)} == set(range(18))
    assert {rank.island for rank in place(many)} == {0}


def test_machines_without_a_common_rack_have_islands_of_their_own() -> None:
    _, plan = _own("deepseek-v3")
    ranks = place(plan.options[0])
    assert {(rank.machine, rank.island) for rank in ranks} == {(0, 0), (1, 1)}
    (pcie,) = search(
        worlds.subject("llama-3.1-8b"), Needs(parallel=Parallel(2), replicas=2),
        worlds.shop([worlds.device("card", 40, domain=1)], [worlds.machine("card", 4, 1.0)]),
    ).options  # fmt: skip
    assert [rank.island for rank in place(pcie)] == [0, 1, 2, 3], "nothing joins these"


def test_layouts_over_several_machines_are_listed_where_one_is_too_small() -> None:
    catalogue = worlds.catalogue("four-of-eight-h100")
    offer = catalogue.offers[0]
    accelerator = catalogue.accelerators[offer.accelerator]
    found = every_layout(worlds.subject("deepseek-v3"), Needs(), offer, accelerator)
    assert {one.machines for one in found if one.fits} == {2}
    alone = every_layout(worlds.subject("deepseek-v3"), Needs(), offer, accelerator, machines=1)
    assert {one.machines for one in alone} == {1}
    assert not any(one.fits for one in alone)


def test_what_is_too_dear_is_the_nearest_miss_and_the_cheapest_of_it() -> None:
    subject = worlds.subject("llama-3.1-8b")
    plan = search(subject, Needs(budget=0.01), worlds.catalogue("clouds"))
    free = search(subject, Needs(), worlds.catalogue("clouds"))
    assert plan.why == "what holds it as asked costs more than 0.01 USD/h"
    miss = nearest_miss(plan)
    assert miss is not None
    assert miss.offer == free.options[0].offer
    assert "is above the budget of 0.01" in miss.reason


def test_prices_that_look_the_same_are_told_apart() -> None:
    devices = [worlds.device("card", 80)]
    offers = [worlds.machine("card", 1, 33.1440, name="a"),
              worlds.machine("card", 1, 33.1444, name="b")]  # fmt: skip
    plan = search(worlds.subject("llama-3.1-8b"), Needs(), worlds.shop(devices, offers))
    first, second = plan.options
    assert why_later(second, first) == "costs 0.0004 USD/h more"


def test_a_wide_group_over_a_narrow_link_is_told_of() -> None:
    shop = worlds.shop([worlds.device("bridged", 30, domain=2)], [worlds.machine("bridged", 8, 1)])
    (option,) = search(
        worlds.subject("llama-3.1-8b"), Needs(parallel=Parallel(4)), shop
    ).options  # fmt: skip
    assert "tensor 4 is wider than the 2 devices that nvlink joins" in option.notes


def test_machines_of_ones_own_with_a_price_have_none_to_spare_for_nothing() -> None:
    subject, catalogue = worlds.subject("llama-3.1-8b"), worlds.catalogue("priced-own")
    (option,) = search(subject, Needs(), catalogue).options
    assert (spare_machines(option), spare_replicas(option)) == (0, 0)
    made = document(search(subject, Needs(), catalogue), subject)
    assert made["options"][0]["price"]["reason"].startswith("1 x 0.2 USD/h on demand in cellar")


def test_a_model_without_a_cache_is_bound_by_none() -> None:
    subject = worlds.subject("bge-m3")
    plan = search(subject, Needs(), worlds.catalogue("four-of-eight-h100"))
    (option,) = plan.options
    assert binding(option, plan.needs).startswith("nothing: ")
    labels = {line.name: line.label for line in memory_lines(subject, option, plan.needs)}
    assert labels["kv_cache"] == "spare"


def test_every_layout_is_listed_with_a_reason_or_room() -> None:
    catalogue = worlds.catalogue("four-of-eight-h100")
    offer = catalogue.offers[0]
    accelerator = catalogue.accelerators[offer.accelerator]
    found = every_layout(worlds.subject("llama-3.1-70b"), Needs(), offer, accelerator)
    by = {one.parallel: one for one in found}
    assert by[Parallel(4)].fits
    assert by[Parallel(4)].requests > 16
    assert by[Parallel(1)].legal
    assert not by[Parallel(1)].fits
    assert "leave nothing" in by[Parallel(1)].reason
    assert by[Parallel(3)].reason == "tensor 3 does not divide 64 attention heads"
    assert all(bool(one.reason) is not one.fits for one in found)
    places = [(not one.fits, not one.legal) for one in found]
    assert places == sorted(places), "what fits comes first, then what is legal"


def test_two_plans_are_compared_figure_by_figure_with_what_it_costs() -> None:
    catalogue = worlds.catalogue("catalog")
    small, large = worlds.subject("llama-3.1-8b"), worlds.subject("llama-3.1-70b")
    ours = of_fleet(search(large, Needs(), catalogue), large, "large")
    theirs = of_fleet(search(small, Needs(), catalogue), small, "small")
    rows = {row.name: row for row in compare(ours, theirs)}
    assert rows["parameters"].change == "8.79 times as much"
    price = rows["price"]
    assert isinstance(price.ours, float)
    assert isinstance(price.theirs, float)
    assert f"{price.ours - price.theirs:,.2f} USD/h more" in price.change
    assert "USD in a month" in price.change
    assert all(row.change == "" for row in compare(ours, ours))


def test_a_plan_that_fits_nowhere_can_still_be_compared() -> None:
    subject = worlds.subject("llama-3.1-405b")
    catalogue = worlds.catalogue("catalog")
    ours = of_fleet(search(subject, Needs(), catalogue), subject, "here")
    none = of_fleet(search(subject, Needs(budget=0.01), catalogue), subject, "here")
    rows = {row.name: row for row in compare(ours, none)}
    assert rows["machine"].theirs is None
    assert rows["machine"].change == "differs"


@pytest.mark.parametrize("name", ["llama-3.1-70b", "gpt-oss-20b", "deepseek-v3"])
def test_a_picture_is_well_formed_deterministic_and_to_scale(name: str) -> None:
    subject = worlds.subject(name)
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    bars = fleet_bars(plan, subject)
    made = svg(bars, f"Memory of <{name}> & others")
    assert made == svg(fleet_bars(plan, subject), f"Memory of <{name}> & others")
    root = ET.fromstring(made)
    assert "prefers-color-scheme: dark" in made
    texts = "".join(root.itertext())
    assert f"Memory of <{name}> & others" in texts
    for option in plan.options[:8]:
        assert option.offer.name in texts
        assert option.budget.memory == next(b for b in bars if b.name == option.offer.name).total
    drawn = [r for r in root.iter(f"{SVG}rect") if r.find(f"{SVG}title") is not None]
    assert len(drawn) == sum(len(bar.sizes) for bar in bars)
    for one, other in pairwise(drawn):
        if one.get("y") == other.get("y"):
            assert (
                float(one.get("x", 0)) + float(one.get("width", 0))
                <= float(other.get("x", 0)) + 0.1
            )
    assert all(float(r.get("x", 0)) + float(r.get("width", 0)) <= 960 for r in drawn)


def _contrast(one: str, other: str) -> float:
    """WCAG 2.1's contrast ratio of two colours."""
    lights = sorted((_luminance(one), _luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colours_can_be_read_on_light_and_on_dark() -> None:
    from llmops.planning.fleet.plot import PARTS

    for name, (_, colour, ink) in PARTS.items():
        assert _contrast(colour, ink) >= 4.5, f"text on {name}"
    for paper, inks in (("#ffffff", ("#1f2328", "#59636e")), ("#0d1117", ("#f0f3f6", "#a9b1ba"))):
        assert all(_contrast(paper, ink) >= 4.5 for ink in inks)


def test_what_would_change_it_has_been_planned_with() -> None:
    subject = worlds.subject("llama-3.1-70b")
    needs = Needs(budget=3.0)
    catalogue = worlds.catalogue("clouds")
    assert search(subject, needs, catalogue).options == ()
    facts = worlds.facts(worlds.config("llama-3.1-70b"))
    found = {
        change.what.split(":")[0]: change for change in changes(subject, needs, catalogue, facts)
    }
    assert {"8-bit weights (fp8)", "4-bit weights (AWQ)", "a higher budget"} <= set(found)
    four = found["4-bit weights (AWQ)"].option
    assert four.price is not None
    assert four.price <= 3.0
    assert four.budget.weights < subject.weight_bytes / 3
    budget = found["a higher budget"].option.price
    assert search(subject, replace(needs, budget=budget), catalogue).options


def test_more_machines_of_ones_own_are_counted_until_it_fits() -> None:
    subject, plan = _own("llama-3.1-405b", replicas=3)
    assert plan.options == ()
    facts = worlds.facts(worlds.config("llama-3.1-405b"))
    found = [
        c.what for c in changes(subject, plan.needs, worlds.catalogue("four-of-eight-h100"), facts)
    ]
    assert "2 times as many machines" in found
    miss = nearest_miss(plan)
    assert miss is not None
    assert miss.offer.name == "own/h100-rack"


def test_old_prices_are_called_stale() -> None:
    subject = worlds.subject("smollm2-135m")
    plan = search(subject, Needs(), worlds.catalogue("catalog"))
    oldest = prices(plan, date(2026, 8, 25))
    assert all(day <= date(2026, 8, 25) for day, _ in oldest.values())
    assert all(stale for _, stale in prices(plan, date(2030, 1, 1)).values())
    assert not any(stale for _, stale in prices(plan, date(2026, 1, 1)).values())
