"""Entries are found by what people call them; a name that nobody has is met with the nearest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.catalog import accelerators_called, entry_called, load_catalogue, offers_of, shown
from llmops.catalog.rates import parse
from llmops.errors import InputError

KNOWN = load_catalogue()


def test_a_familys_name_is_all_of_it_and_the_usual_one_first() -> None:
    names = [one.name for one in accelerators_called(KNOWN, "h100")]
    assert names[0] == "H100-SXM"
    assert set(names) == {"H100-SXM", "H100-PCIE", "H100-NVL"}
    assert [one.name for one in accelerators_called(KNOWN, "H100-NVL")] == ["H100-NVL"]
    assert [one.name for one in accelerators_called(KNOWN, "A100-80")] == [
        "A100-80-SXM", "A100-80-PCIE",
    ]  # fmt: skip


def test_offers_are_those_that_have_all_that_is_asked_for() -> None:
    offers = offers_of(KNOWN, gpu="L4", provider="gcp", region="europe-west4")
    assert offers
    for offer in offers:
        assert (offer.provider, offer.accelerator) == ("gcp", "L4")
        assert any(price.region == "europe-west4" for price in offer.prices)
    assert offers_of(KNOWN) == KNOWN.offers


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ({"gpu": "H100-SMX"}, "did you mean 'H100-SXM'?"),
        ({"gpu": "H1000"}, "did you mean 'H100'?"),
        ({"gpu": "potato"}, "llmops catalog list --kind accelerators names them"),
        ({"provider": "awss"}, "did you mean 'aws'?"),
        ({"region": "us-east1-b"}, "did you mean 'us-east1'?"),
    ],
)
def test_a_name_that_nobody_has_is_met_with_the_nearest(asked: dict[str, str], hint: str) -> None:
    with pytest.raises(InputError) as caught:
        offers_of(KNOWN, **asked)
    assert caught.value.hint == hint
    assert caught.value.exit_code == 2


def test_an_entry_is_found_with_and_without_its_provider() -> None:
    assert entry_called(KNOWN, "AWS/p5.48xlarge").name == "aws/p5.48xlarge"
    assert entry_called(KNOWN, "p5.48xlarge").name == "aws/p5.48xlarge"
    assert entry_called(KNOWN, "Tesla T4").name == "T4"
    with pytest.raises(InputError, match="expected an accelerator or an offer") as caught:
        entry_called(KNOWN, "p5.48xlrge")
    assert caught.value.hint == "did you mean 'p5.48xlarge'?"


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("3.35TB/s", "B/s", 3.35e12), ("900 GB/s", "B/s", 900e9), ("3200Gbit/s", "bit/s", 3.2e12),
        ("100Gbps", "bit/s", 1e11), ("989.4TFLOPS", "op/s", 989.4e12), ("1.5POPS", "op/s", 1.5e15),
    ],
)  # fmt: skip
def test_a_rate_is_read_with_its_unit(text: str, unit: str, value: float) -> None:
    assert parse(text, unit) == pytest.approx(value)


@pytest.mark.parametrize("text", ["900", 900, "900GB", "-1GB/s", "0GB/s", "1e3GB/s", "GB/s", None])
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="no rate"):
        parse(text, "B/s")


@given(st.integers(1, 999_999), st.sampled_from(["", "k", "M", "G", "T"]))
def test_a_rate_that_is_shown_reads_back(number: int, prefix: str) -> None:
    value = parse(f"{number}{prefix}B/s", "B/s")
    assert parse(shown(value, "B/s"), "B/s") == pytest.approx(value)
