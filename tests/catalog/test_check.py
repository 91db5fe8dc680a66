"""`check` finds each thing that it is for, and nothing in a catalogue that is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from llmops.catalog import (
    Accelerator,
    Catalogue,
    Finding,
    Link,
    Offer,
    Price,
    Severity,
    Source,
    check,
)

TODAY = date(2026, 9, 1)
SOURCE = Source("page", "A page", "https://example.com/page", TODAY - timedelta(days=10))
FIELDS = ("memory", "usable", "bandwidth", "flops", "link", "pcie", "capability", "year", "count",
          "vcpus", "network", "fabric", "gpudirect", "prices", "machines", "rails")  # fmt: skip
SOURCES = dict.fromkeys(FIELDS, SOURCE)
CARD = Accelerator(
    name="Card", vendor="nvidia", kind="gpu", aliases=(), memory=80, usable=79, bandwidth=3e12,
    flops={"fp32": 67e12, "tf32": 494e12, "bf16": 989e12, "fp8": 1979e12, "int8": 1e12},
    link=Link("nvlink", 900e9, 8), pcie=64e9, capability="9.0", year=2023, sources=SOURCES,
)  # fmt: skip
OFFER = Offer(
    provider="cloud", instance="big", accelerator="Card", count=8, vcpus=96, memory=2**40,
    network=3.2e12, fabric="infiniband", gpudirect=True, prices=(Price("r", 10.0, 4.0),),
    sources=SOURCES,
)  # fmt: skip


def found(
    card: dict[str, Any] | None = None, *offers: Offer, today: date = TODAY
) -> tuple[Finding, ...]:
    one = replace(CARD, **(card or {}))
    return check(Catalogue({one.name: one}, offers or (OFFER,)), today)


def test_nothing_is_found_in_a_catalogue_that_is_right() -> None:
    assert found() == ()


@pytest.mark.parametrize(
    ("card", "kind"),
    [
        ({"usable": 81}, "usable-over-memory"),
        ({"flops": {"fp32": 67e12, "bf16": 33e12, "tf32": 60e12}}, "slower-when-narrower"),
        ({"flops": {"bf16": 989e12, "fp8": 494e12}}, "slower-when-narrower"),
        ({"link": Link("nvlink", 32e9, 8)}, "link-slower-than-pcie"),
        ({"sources": {k: v for k, v in SOURCES.items() if k != "usable"}}, "without-source"),
        ({"sources": SOURCES | {"year": replace(SOURCE, date=date(2026, 9, 2))}}, "date-to-come"),
    ],
)
def test_a_contradiction_of_an_accelerator_is_an_error(card: dict[str, Any], kind: str) -> None:
    findings = found(card)
    assert [f.id for f in findings][:1] == [kind]
    assert findings[0].severity is Severity.ERROR
    assert findings[0].entry == "Card"
    assert findings[0].hint


@pytest.mark.parametrize(
    ("offer", "kind"),
    [
        ({"prices": (Price("r", 4.0, 10.0),)}, "spot-over-on-demand"),
        ({"prices": (Price("r", 4.0, None), Price("r", 5.0, None))}, "same-region-twice"),
        ({"count": 16}, "link-smaller-than-machine"),
        ({"accelerator": "Cart"}, "unknown-accelerator"),
        ({"sources": {}}, "without-source"),
    ],
)
def test_a_contradiction_of_an_offer_is_an_error(offer: dict[str, Any], kind: str) -> None:
    findings = found(None, replace(OFFER, **offer))
    assert [f.id for f in findings] == [kind]
    assert findings[0].severity is Severity.ERROR
    assert findings[0].entry == "cloud/big"


def test_a_machine_whose_own_link_is_larger_is_no_contradiction() -> None:
    assert found(None, replace(OFFER, count=16, link=Link("nvlink", 600e9, 16))) == ()


def test_the_same_offer_twice_is_an_error() -> None:
    assert [f.id for f in found(None, OFFER, OFFER)] == ["same-offer-twice"]


def test_whole_numbers_may_be_slower_than_wider_fractions() -> None:
    assert CARD.flops["int8"] < CARD.flops["bf16"]
    assert found() == ()


@pytest.mark.parametrize(("days", "stale"), [(90, False), (91, True)])
def test_prices_are_stale_after_ninety_days(days: int, stale: bool) -> None:
    old = replace(SOURCE, date=TODAY - timedelta(days=days))
    offers = [replace(OFFER, instance=f"i{n}", sources=SOURCES | {"prices": old}) for n in range(3)]
    findings = found(None, *offers)
    assert [(f.id, f.severity, f.entry) for f in findings] == (
        [("stale-prices", Severity.WARNING, "cloud")] if stale else []
    )
    assert all("3 offers" in f.message and str(old.date) in f.message for f in findings)


def test_ones_own_machines_have_no_prices_that_could_be_stale_or_missing() -> None:
    assert found(None, replace(OFFER, provider="own", prices=(), machines=4)) == ()


def test_other_figures_are_stale_after_five_years() -> None:
    old = replace(SOURCE, date=TODAY - timedelta(days=5 * 365 + 1))
    (finding,) = found({"sources": SOURCES | {"bandwidth": old, "flops": old}})
    assert (finding.id, finding.severity) == ("stale-figure", Severity.WARNING)
    assert old.url in finding.hint


def test_what_a_plan_would_need_and_is_not_known_is_noted() -> None:
    findings = found({"memory": None, "usable": None, "bandwidth": None, "flops": {}})
    assert [(f.id, f.severity) for f in findings] == [("missing", Severity.NOTE)]
    assert "memory, bandwidth, flops" in findings[0].message
    bare = replace(OFFER, vcpus=None, memory=None, prices=())
    assert found(None, bare)[0].message == "not known: vcpus, memory, prices"


def test_a_processor_needs_no_memory_of_its_own() -> None:
    assert found({"kind": "cpu", "memory": None, "usable": None}) == ()


def test_the_worst_is_told_first() -> None:
    old = replace(SOURCE, date=date(2026, 1, 1))
    offer = replace(OFFER, vcpus=None, count=16, sources=SOURCES | {"prices": old})
    assert [f.severity.value for f in found(None, offer)] == ["error", "warning", "note"]
