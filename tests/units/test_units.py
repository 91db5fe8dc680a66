"""Sizes, times and replica ranges: read, printed, and refused where their unit is missing."""

from __future__ import annotations

from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from llmops.units import Bytes, Duration, Replicas

UNITS = [(kind, unit, size) for kind in (Bytes, Duration) for unit, size in kind.UNITS.items()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0B", 0),
        ("1B", 1),
        ("16GiB", 16 * 2**30),
        ("16Gi", 16 * 2**30),
        ("16GB", 16 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("2 MiB", 2 * 2**20),
        ("0.5KiB", 512),
        ("1TB", 10**12),
        ("1kB", 1000),
    ],
)
def test_a_size_is_what_its_unit_says(text: str, value: int) -> None:
    assert Bytes.parse(text) == value


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5min", 300), ("2h", 7200), ("7d", 604800), ("1.5s", 1.5)],
)
def test_a_time_is_what_its_unit_says(text: str, seconds: float) -> None:
    assert Duration.parse(text).seconds == seconds


@settings(deadline=None)
@given(st.integers(0, Bytes.LIMIT).map(Bytes))
def test_a_printed_size_reads_back(size: Bytes) -> None:
    assert Bytes.parse(str(size)) == size


@settings(deadline=None)
@given(st.integers(0, Duration.LIMIT).map(Duration))
def test_a_printed_time_reads_back(time: Duration) -> None:
    assert Duration.parse(str(time)) == time


@settings(deadline=None)
@given(st.integers(0, Replicas.LIMIT), st.integers(1, Replicas.LIMIT))
def test_a_printed_range_reads_back(one: int, other: int) -> None:
    replicas = Replicas(min(one, other), max(one, other))
    assert Replicas.parse(str(replicas)) == replicas


@settings(deadline=None)
@given(st.sampled_from(UNITS), st.integers(0, 1000))
def test_every_unit_can_be_read(unit: tuple[type[Bytes | Duration], str, int], number: int) -> None:
    kind, name, size = unit
    if number * size <= kind.LIMIT:
        assert kind.parse(f"{number}{name}") == number * size


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("16", "a number and a unit"),
        ("GiB", "a number and a unit"),
        ("", "a number and a unit"),
        ("-1GiB", "a number and a unit"),
        ("16gib", "a number and a unit"),
        ("1e3MiB", "a number and a unit"),
        ("nanGiB", "a number and a unit"),
        ("infB", "a number and a unit"),
        ("016GiB", "a number and a unit"),
        ("1,5GiB", "a number and a unit"),
        ("\uff11GiB", "a number and a unit"),
        ("1GiB2", "a number and a unit"),
        ("9" * 5000 + "B", "a number and a unit"),
        ("1." + "3" * 5000 + "GiB", "a number and a unit"),
        ("0.3B", "a whole number of B"),
        ("2000000TiB", "at most 1048576TiB"),
    ],
)
def test_a_size_that_is_none_is_refused_with_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        Bytes.parse(text)
    assert says in str(caught.value), f"{text[:20]!r} was refused as: {caught.value}"
    assert len(str(caught.value)) < 200, "a long text was repeated whole"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("5", "such as '5min'"),
        ("5m", "such as '5min'"),
        ("0.5ms", "whole number of ms"),
        ("400d", "365d"),
    ],
)
def test_a_time_that_is_none_is_refused_with_what_was_expected(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        Duration.parse(text)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "text", ["0", "0..0", "4..1", "1..", "..4", "1...4", "a", "", "-1", "1001", "1.5"]
)
def test_a_range_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Replicas.parse(text)


def test_a_reversed_range_is_shown_the_right_way_round() -> None:
    with pytest.raises(ValueError, match=r"'1\.\.4'"):
        Replicas.parse("4..1")


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (int(1.25 * 2**30), "1.25GiB"),
        (257 * 2**20, "257MiB"),
        (int(999.9 * 2**20), "999MiB"),
        (1023 * 2**20, "1023MiB"),
        (2000 * 2**40, "2000TiB"),
    ],
)
def test_sizes_are_shown_to_people_in_three_figures(size: int, shown: str) -> None:
    assert Bytes(size).human() == shown


@settings(deadline=None)
@given(st.integers(0, 2**63).map(Bytes))
def test_what_people_are_shown_is_within_a_hundredth_and_has_no_exponent(size: Bytes) -> None:
    shown = size.human()
    assert "e" not in shown
    number, unit = (shown[:-3], shown[-3:]) if shown.endswith("iB") else (shown[:-1], "B")
    assert abs(float(number) * Bytes.UNITS[unit] - size) <= size * 0.01


class Spec(BaseModel):
    size: Bytes = Bytes(0)
    time: Duration = Duration(0)
    replicas: Annotated[Replicas, Field()] = Replicas(1, 1)


def test_models_take_texts_and_give_them_back() -> None:
    spec = Spec.model_validate({"size": "2GiB", "time": "5min", "replicas": "1..4"})
    assert spec == Spec(size=Bytes(2**31), time=Duration(300_000), replicas=Replicas(1, 4))
    dumped = spec.model_dump(mode="json")
    assert dumped == {"size": "2GiB", "time": "5min", "replicas": "1..4"}
    assert Spec.model_validate(dumped) == spec


@pytest.mark.parametrize("value", [16, 1.5, True, None, [], {}])
def test_models_take_no_bare_number_for_a_size_or_a_time(value: object) -> None:
    for field in ("size", "time"):
        with pytest.raises(ValidationError, match="number and a unit"):
            Spec.model_validate({field: value})


@pytest.mark.parametrize("value", [True, 1.0, None, [1, 4]])
def test_models_take_no_other_value_for_replicas(value: object) -> None:
    with pytest.raises(ValidationError, match="a number or a range"):
        Spec.model_validate({"replicas": value})


def test_replicas_may_be_a_plain_number() -> None:
    assert Spec.model_validate({"replicas": 3}).replicas == Replicas(3, 3)


def test_the_schema_takes_what_is_printed() -> None:
    import re

    properties = Spec.model_json_schema()["properties"]
    for field, texts in {"size": ["2GiB", "1.5 GB"], "time": ["500ms"]}.items():
        for text in texts:
            assert re.search(properties[field]["pattern"], text), (field, text)
        assert not re.search(properties[field]["pattern"], "16")
