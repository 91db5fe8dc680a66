"""Which documents share a row and when they are learnt: pure, so tried on many."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from serving.finetune.training.order import Order
from serving.finetune.training.packing import best_fit, rows_of
from tests.finetuning.training import tiny

HERE = Path("/nowhere")
lengths = st.lists(st.integers(0, 80), min_size=1, max_size=120)


@given(lengths, st.integers(2, 64), st.booleans(), st.integers(0, 5))
def test_every_document_stands_in_one_row_that_has_room(
    sizes: list[int], capacity: int, packing: bool, epoch: int
) -> None:
    rows = rows_of(sizes, capacity, packing=packing, seed=1, epoch=epoch)
    there = sorted(number for row in rows for number in row)
    assert there == [number for number, size in enumerate(sizes) if size]
    assert all(sum(min(sizes[n], capacity) for n in row) <= capacity for row in rows)


@given(lengths)
def test_an_epoch_has_the_same_rows_each_time_it_is_asked_for(sizes: list[int]) -> None:
    first = rows_of(sizes, 64, packing=True, seed=1, epoch=2)
    assert first == rows_of(sizes, 64, packing=True, seed=1, epoch=2)


def test_another_epoch_and_another_seed_have_another_order() -> None:
    sizes = list(range(1, 60))
    found = {
        tuple(rows_of(sizes, 64, packing=True, seed=s, epoch=e)) for s in (1, 2) for e in (0, 1)
    }
    assert len(found) == 4


def test_a_document_goes_into_the_fullest_row_that_has_room() -> None:
    assert best_fit([0, 1, 2, 3], [7, 5, 3, 2], 10) == [(0, 2), (1, 3)]


def test_best_fit_fills_rows_of_common_lengths_to_the_end() -> None:
    sizes = [32] * 10 + [16] * 20 + [8] * 40
    rows = rows_of(sizes, 64, packing=True, seed=3, epoch=0)
    assert len(rows) == sum(sizes) / 64


def test_strategies_with_more_copies_learn_the_same_rows_in_a_step() -> None:
    sizes = [5 + number % 30 for number in range(90)]
    alone = Order(tiny.job(HERE, HERE, HERE, accumulation=4), sizes)
    pair = Order(tiny.job(HERE, HERE, HERE, accumulation=2, workers=2), sizes)
    for step in range(8):
        seen = [
            row for turn in range(2) for copy in range(2) for row in pair.micro(step, turn, copy)
        ]
        assert seen == [row for turn in range(4) for row in alone.micro(step, turn, 0)]
        assert seen == pair.step(step)


def test_a_step_never_spans_two_epochs() -> None:
    sizes = [60] * 10
    order = Order(tiny.job(HERE, HERE, HERE, steps=None, epochs=2), sizes)
    assert order.steps == 6
    for epoch in range(2):
        seen = [n for step in range(3) for row in order.step(epoch * 3 + step) for n in row]
        assert sorted(seen) == list(range(10))
    assert order.step(2)[2:] == [(), ()]
    assert (order.epoch(2), order.epoch(5)) == (1.0, 2.0)


def test_a_part_of_an_epoch_is_a_part_of_its_steps() -> None:
    order = Order(tiny.job(HERE, HERE, HERE, steps=None, epochs=1.5), [60] * 16)
    assert order.steps == 6


def test_any_step_can_be_asked_for_without_those_before() -> None:
    sizes = [7 + number % 50 for number in range(60)]
    job = tiny.job(HERE, HERE, HERE, steps=40)
    through = Order(job, sizes)
    seen = [through.step(step) for step in range(40)]
    assert Order(job, sizes).step(37) == seen[37]
    assert [through.step(step) for step in (3, 30, 3)] == [seen[3], seen[30], seen[3]]
