"""A user's own file: machines of one's own in a few lines, and entries in place of shipped ones."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from llmops.catalog import check, load_catalogue, offers_of

RACK = """\
offers:
  own/h100-rack:
    accelerator: H100-SXM
    count: 8
    machines: 4
    vcpus: 192
    memory: 2TiB
    network: 3200Gbit/s
    fabric: infiniband
    rails: 8
"""
SOURCE = """\
sources: {quote: {title: our contract, url: 'https://example.com/contract', date: '2026-11-01'}}
source: quote
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.yaml"


def test_four_machines_of_eight_gpus_take_ten_lines(file: Path) -> None:
    assert len(RACK.splitlines()) <= 10
    file.write_text(RACK)
    (rack,) = offers_of(load_catalogue([file]), provider="own")
    assert (rack.machines, rack.count, rack.accelerator) == (4, 8, "H100-SXM")
    assert rack.prices == ()
    assert rack.network == 3.2e12


def test_ones_own_machines_are_sourced_by_the_file_of_its_last_change(file: Path) -> None:
    file.write_text(RACK)
    os.utime(file, (1_790_000_000, 1_790_000_000))
    (rack,) = offers_of(load_catalogue([file]), provider="own")
    assert rack.sources["memory"].title == f"written in {file}"
    assert rack.sources["memory"].date == date(2026, 9, 21)
    assert not [f for f in check(load_catalogue([file]), date(2026, 9, 22)) if "own" in f.entry]


def test_other_names_and_cases_of_an_accelerator_are_taken(file: Path) -> None:
    file.write_text("offers: {own/box: {accelerator: nvidia h100 80gb hbm3, count: 1}}\n")
    assert load_catalogue([file]).offers[-1].accelerator == "H100-SXM"


def test_an_entry_of_a_shipped_name_replaces_it_wholly_and_in_its_place(file: Path) -> None:
    shipped = load_catalogue()
    names = [offer.name for offer in shipped.offers]
    file.write_text(
        SOURCE + "offers:\n  aws/p5.48xlarge: {accelerator: H100-SXM, count: 8,"
        " prices: {us-east-1: {on_demand: 31.5}}}\n"
    )
    mine = load_catalogue([file])
    assert [offer.name for offer in mine.offers] == names
    offer = mine.offers[names.index("aws/p5.48xlarge")]
    assert offer.prices[0].on_demand == 31.5
    assert offer.vcpus is None, "what the user's entry does not say is not taken from the shipped"
    assert offer.sources["prices"].title == "our contract"
    assert load_catalogue().offers == shipped.offers, "the shipped catalogue was changed"


def test_a_later_file_wins_over_an_earlier_one(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    file.write_text(SOURCE + "accelerators: {Mine: {vendor: intel, memory: 64GiB}}\n")
    other.write_text(SOURCE + "accelerators: {Mine: {vendor: intel, memory: 96GiB}}\n")
    assert load_catalogue([file, other]).accelerators["Mine"].memory == 96 * 2**30
    assert load_catalogue([other, file]).accelerators["Mine"].memory == 64 * 2**30


def test_a_replaced_accelerator_gives_its_other_names_back(file: Path) -> None:
    file.write_text(SOURCE + "accelerators: {H100-SXM: {vendor: nvidia, memory: 80GiB}}\n")
    mine = load_catalogue([file])
    assert mine.accelerator("H100") is None
    assert any(offer.accelerator == "H100-SXM" for offer in mine.offers)


def test_the_nearest_source_that_was_named_is_a_figures_source(file: Path) -> None:
    file.write_text(
        "sources:\n"
        + "".join(
            f"  {key}: {{title: {key}, url: 'https://example.com/{key}', date: '2026-01-0{day}'}}\n"
            for day, key in enumerate(("file", "prices", "entry", "field"), 1)
        )
        + "source: file\ncited: {prices: prices}\noffers:\n"
        "  x/plain: {accelerator: T4, count: 1, prices: {r: {spot: 1}}}\n"
        "  x/own: {accelerator: T4, count: 1, vcpus: 4, prices: {r: {spot: 1}}, source: entry,"
        " cited: {vcpus: field}}\n"
    )
    plain, own = offers_of(load_catalogue([file]), provider="x")
    assert {name: source.id for name, source in plain.sources.items()} == {
        "accelerator": "file", "count": "file", "prices": "prices",
    }  # fmt: skip
    assert {name: source.id for name, source in own.sources.items()} == {
        "accelerator": "entry", "count": "entry", "vcpus": "field", "prices": "prices",
    }  # fmt: skip
