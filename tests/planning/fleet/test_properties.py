"""What holds for every fleet plan: the optimum of brute force, and that more is never worse."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.catalog import Accelerator, Catalogue, Offer
from llmops.planning.fleet import Needs, Subject, every_layout, search
from llmops.planning.fleet.budget import batches, budget
from llmops.planning.fleet.layouts import Site, judge
from llmops.planning.fleet.network import domain, joined
from llmops.planning.fleet.search import requests
from llmops.planning.parallel import Parallel
from tests.planning.fleet import worlds

MODELS = ("llama-3.1-8b", "mixtral-8x7b", "gemma-3-27b", "deepseek-v2-lite", "qwen3-32b",
          "falcon-mamba-7b", "gpt-oss-20b", "granite-4.0-h-small")  # fmt: skip
MOST = 3
"""Machines of one replica that brute force tries."""

devices = st.builds(
    worlds.device,
    st.sampled_from(["small", "middle", "large"]),
    st.integers(10, 190),
    domain=st.sampled_from([1, 8]),
)
prices = st.one_of(st.none(), st.integers(1, 400).map(lambda cents: cents / 8))
models = st.sampled_from(MODELS)


@st.composite
def shops(draw: st.DrawFn, least: int = 1) -> Catalogue:
    known = {one.name: one for one in draw(st.lists(devices, min_size=1, max_size=3))}
    offers = [
        worlds.machine(
            draw(st.sampled_from(sorted(known))), draw(st.sampled_from([1, 2, 3, 4, 8])),
            draw(prices), name=f"m{number}", fast=draw(st.booleans()),
        )
        for number in range(draw(st.integers(least, 4)))
    ]  # fmt: skip
    return worlds.shop(list(known.values()), offers)


wishes = st.builds(
    Needs,
    context=st.sampled_from([None, 1024, 8192, 32768]),
    in_flight=st.sampled_from([1, 4, 16, 200]),
    typical=st.sampled_from([256, 2048]),
    replicas=st.integers(1, 5),
    machines=st.just(MOST),
    budget=st.sampled_from([None, None, 5.0, 40.0]),
)


def _naive(subject: Subject, needs: Needs, catalogue: Catalogue) -> float | None:
    """The lowest price of everything that is legal and fits, found by trying all of it."""
    found = [
        price
        for offer in catalogue.offers
        for price in _prices(subject, needs, offer, catalogue.accelerators[offer.accelerator])
        if needs.budget is None or price <= needs.budget
    ]
    return min(found, default=None)


def _prices(subject: Subject, needs: Needs, offer: Offer, accelerator: Accelerator) -> list[float]:
    each = [price.on_demand for price in offer.prices if price.on_demand is not None]
    most = joined(offer) or MOST
    found = []
    for machines in range(1, most + 1):
        site = Site(offer.count, machines, domain(offer))
        for parallel in _all(subject, offer.count * machines):
            verdict = judge(subject.cuts, parallel, site)
            if verdict.reason or parallel.devices > offer.count * machines:
                continue
            if parallel.devices > offer.count and parallel.devices % offer.count:
                continue  # nobody rents a part of a machine
            if _holds(subject, parallel, accelerator, needs):
                found += [price * _machines(needs, offer, parallel) for price in each]
    return found


def _holds(subject: Subject, parallel: Parallel, accelerator: Accelerator, needs: Needs) -> bool:
    memory, wanted = accelerator.planned() or 0, -(-needs.in_flight // parallel.data)
    for batch in batches(accelerator, memory, needs, parallel.data):
        made = budget(subject, parallel, accelerator, memory, needs, batch)
        if made.pool.least <= made.room and requests(made, needs) >= wanted:
            return True
    return False


def _machines(needs: Needs, offer: Offer, parallel: Parallel) -> int:
    together = offer.count // parallel.devices
    if together:
        return -(-needs.replicas // together)
    return needs.replicas * -(-parallel.devices // offer.count)


def _all(subject: Subject, devices: int) -> list[Parallel]:
    sizes = range(1, devices + 1)
    shared = {1, *(2**power for power in range(1, 8))}
    return [
        Parallel(tensor, pipeline, data, expert, context)
        for tensor, pipeline, data in product(sizes, sizes, sizes)
        if tensor * pipeline * data <= devices and not subject.cuts.why_not(Parallel(tensor))
        for expert in (False, True)
        for context in sorted(shared)
        if not subject.cuts.why_not(Parallel(tensor, pipeline, data, expert, context))
    ]


@settings(max_examples=60)
@given(models, wishes, shops())
def test_the_search_finds_what_brute_force_finds(
    name: str, needs: Needs, catalogue: Catalogue
) -> None:
    subject = worlds.subject(name)
    plan = search(subject, needs, catalogue)
    priced = [one.price for one in plan.options if one.price is not None]
    assert min(priced, default=None) == _naive(subject, needs, catalogue)
    if priced:
        assert plan.options[0].price == min(priced), "the cheapest is not the first"


def _best(name: str, needs: Needs, catalogue: Catalogue) -> float:
    options = search(worlds.subject(name), needs, catalogue).options
    return min((one.price for one in options if one.price is not None), default=float("inf"))


@settings(max_examples=60)
@given(models, wishes, shops(least=2))
def test_another_offer_never_makes_the_best_dearer(
    name: str, needs: Needs, catalogue: Catalogue
) -> None:
    fewer = Catalogue(catalogue.accelerators, catalogue.offers[:-1])
    assert _best(name, needs, catalogue) <= _best(name, needs, fewer)


@settings(max_examples=60)
@given(models, wishes, shops(), st.sampled_from(["budget", "context", "in_flight", "replicas",
                                                 "machines"]))  # fmt: skip
def test_asking_for_less_never_makes_the_best_dearer(
    name: str, needs: Needs, catalogue: Catalogue, what: str
) -> None:
    less = {
        "budget": replace(needs, budget=None),
        "context": replace(needs, context=needs.context and needs.context // 2),
        "in_flight": replace(needs, in_flight=max(1, needs.in_flight // 2)),
        "replicas": replace(needs, replicas=max(1, needs.replicas - 1)),
        "machines": replace(needs, machines=needs.machines + 1),
    }[what]
    assert _best(name, less, catalogue) <= _best(name, needs, catalogue)


def test_more_regions_never_make_the_best_dearer() -> None:
    catalogue = worlds.catalogue("catalog")
    for name in ("llama-3.1-8b", "llama-3.1-70b"):
        one = _best(name, Needs(regions=("europe",)), catalogue)
        two = _best(name, Needs(regions=("europe", "us")), catalogue)
        assert _best(name, Needs(), catalogue) <= two <= one


@settings(max_examples=60)
@given(models, wishes, shops(), st.sampled_from([1.01, 1.25, 1.9, 3.0]))
def test_more_memory_never_makes_a_fit_impossible(
    name: str, needs: Needs, catalogue: Catalogue, times: float
) -> None:
    subject = worlds.subject(name)
    fits = {one.offer.name for one in search(subject, needs, catalogue).options}
    more = {
        one.offer.name for one in search(subject, needs, worlds.larger(catalogue, times)).options
    }
    assert fits <= more, f"{fits - more} fit with less memory on each device"


@settings(max_examples=60)
@given(models, st.integers(1, 400), st.integers(1, 8), st.sampled_from([70, 160]), st.booleans())
def test_a_device_on_which_the_engine_takes_larger_batches_holds_no_less(
    name: str, in_flight: int, count: int, gib: int, fast: bool
) -> None:
    """The engine's own batch grows at 70 and at 160 GiB: no model stops to fit there."""
    offers = [worlds.machine("device", count, 1.0, fast=fast)]
    needs = Needs(in_flight=in_flight, machines=MOST)
    fitted = [
        bool(search(worlds.subject(name), needs, worlds.shop([one], offers)).options)
        for one in (worlds.device("device", gib - 1 / 1024), worlds.device("device", gib))
    ]
    assert fitted != [True, False]


@settings(max_examples=40)
@given(models, wishes, shops())
def test_the_list_of_layouts_says_what_the_search_says(
    name: str, needs: Needs, catalogue: Catalogue
) -> None:
    """Not of prices, nor of how many machines there are for further replicas."""
    subject = worlds.subject(name)
    one = replace(needs, replicas=1, budget=None)
    chosen = {option.offer.name: option for option in search(subject, one, catalogue).options}
    for offer in catalogue.offers:
        accelerator = catalogue.accelerators[offer.accelerator]
        listed = every_layout(subject, one, offer, accelerator)
        option = chosen.get(offer.name)
        assert any(layout.fits for layout in listed) is (option is not None), offer.name
        if option is None:
            continue
        (same,) = [layout for layout in listed if layout.parallel == option.parallel]
        assert same.fits
        assert same.budget == option.budget
        assert same.requests == option.requests
        assert not same.told or same.told in option.notes


@settings(max_examples=30)
@given(models, wishes, shops())
def test_the_plan_is_the_same_whatever_the_order_of_offers(
    name: str, needs: Needs, catalogue: Catalogue
) -> None:
    turned = Catalogue(catalogue.accelerators, catalogue.offers[::-1])
    subject = worlds.subject(name)
    assert search(subject, needs, catalogue).options == search(subject, needs, turned).options
