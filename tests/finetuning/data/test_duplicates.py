"""Rows that are the same or nearly: the estimate is right, and the index finds them."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from serving.finetune.data.duplicates import (
    PERMUTATIONS,
    SHINGLE,
    Index,
    bands_of,
    signature_of,
)
from serving.finetune.data.rows import Part, Row, normal
from serving.finetune.data.runs import hashes_of_runs
from serving.finetune.data.scratch import Kept
from serving.finetune.data.tokens import Encoded
from serving.finetune.data.writing import Sample


def words(seed: int, count: int = 60) -> list[str]:
    drawn = random.Random(seed)
    return ["".join(drawn.choices("abcdefghij", k=5)) for _ in range(count)]


def estimate(one: bytes, other: bytes) -> float:
    """What `Near.find` takes for the likeness of two signatures."""
    return float(np.mean(np.frombuffer(one, dtype="<u4") == np.frombuffer(other, dtype="<u4")))


def alike(one: str, other: str) -> float:
    """The Jaccard similarity itself."""
    first, second = (
        {normal(text)[at : at + SHINGLE] for at in range(len(normal(text)) - SHINGLE + 1)}
        for text in (one, other)
    )
    return len(first & second) / len(first | second)


@given(some.text(max_size=60), some.integers(1, 12))
def test_equal_runs_have_equal_numbers_and_others_others(text: str, length: int) -> None:
    runs = [text[at : at + length] for at in range(max(1, len(text) - length + 1))]
    numbers = hashes_of_runs(text, length)
    assert len(numbers) == len(runs)
    assert len(set(numbers.tolist())) == len(set(runs))


@pytest.mark.parametrize("changed", [0, 2, 6, 15, 40])
def test_the_estimate_is_within_its_error_of_the_likeness(changed: int) -> None:
    one, other = words(1, 200), words(1, 200)
    other[:changed] = words(2, changed)
    true = alike(" ".join(one), " ".join(other))
    error = np.sqrt(true * (1 - true) / PERMUTATIONS)
    found = estimate(signature_of(" ".join(one)), signature_of(" ".join(other)))
    assert abs(found - true) <= 4 * error + 1e-9


def test_signatures_are_of_the_text_and_of_no_process() -> None:
    found = hashlib.sha256(signature_of("The quick brown fox jumps over the lazy dog.")).hexdigest()
    assert found == SIGNED, "prepared data of before would be prepared anew: raise FORMAT"
    assert signature_of("A  b\nC") == signature_of("a b c")
    assert len(signature_of("")) == 4 * PERMUTATIONS


SIGNED = "a0dc02542158f9534ae8f5f5b25aa621ada42173a4891cfd766e2ed04771bfcd"


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 1.0])
def test_the_index_finds_what_is_well_above_the_threshold_and_not_what_is_below(
    tmp_path: Path, threshold: float
) -> None:
    index = Index(tmp_path)
    near = index.near("train", threshold)
    texts = {f"a:{at}": words(at) for at in range(200)}
    for source, said in texts.items():
        near.add(signature_of(" ".join(said)), source)
    for at, (source, said) in enumerate(texts.items()):
        found = near.find(signature_of(" ".join(said)))
        assert found is not None
        assert (found.source, found.likeness) == (source, 1.0)
        other = [*said[: 60 - 25], *words(1000 + at, 25)]
        below = near.find(signature_of(" ".join(other)))
        if alike(" ".join(said), " ".join(other)) < threshold - 0.15:
            assert below is None
    index.close()


def test_bands_miss_hardly_anything_at_the_threshold() -> None:
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
        bands, rows = bands_of(threshold)
        assert bands * rows <= PERMUTATIONS
        missed = (1 - (threshold + 0.02) ** rows) ** bands
        assert missed < 0.1, f"{threshold}: {missed:.1%} of pairs just above it are missed"


def test_what_is_remembered_comes_back(tmp_path: Path) -> None:
    index = Index(tmp_path)
    exact, rows = index.exact("train"), index.scratch("eval")
    row = Row("a:1", "chat", (Part("user", "Hello  There"), Part("assistant", "x")))
    same = Row("a:2", "chat", (Part("user", "hello there"), Part("assistant", "X")))
    turned = Row("a:3", "chat", (Part("assistant", "Hello There"), Part("user", "x")))
    exact.add(row.key, row.source)
    assert exact.find(same.key) == "a:1"
    assert exact.find(turned.key) is None
    assert index.exact("held").find(row.key) is None
    pair = (Encoded((1, 70_000, 3), (0, 1, 1)), Encoded((5,), (1,)))
    kept = Kept(Sample("a:1", pair), row.key, signature_of(row.text), "x")
    rows.add(kept)
    assert list(rows) == [kept]
    assert list(index.scratch("train")) == []
    index.close()
