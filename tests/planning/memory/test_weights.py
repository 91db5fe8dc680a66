"""Cutting a model conserves it: every rank's part, and all parts together, for published models."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning.architecture import (
    ByExpert,
    ByKvHead,
    ByRow,
    Cut,
    Profile,
    Split,
    Weight,
    Whole,
)
from llmops.planning.memory import Stored
from llmops.planning.parallel import Cuts, Parallel, padded
from tests.planning.architectures.cases import CASES, profile

ELEMENT = 2

SIZES = (1, 2, 3, 4, 5, 6, 8, 12, 16)


@cache
def layouts(name: str) -> tuple[Parallel, ...]:
    """Legal layouts of up to 64 devices."""
    cuts = Cuts.of(profile(name))
    found = (
        Parallel(tensor, pipeline, data, expert)
        for tensor in SIZES
        for pipeline in (1, 2, 3, 4)
        for data in (1, 2, 4, 8)
        for expert in (False, True)
        if tensor * pipeline * data <= 64
    )
    return tuple(parallel for parallel in found if not cuts.why_not(parallel))


@cache
def stored(name: str) -> Stored:
    return Stored.of(profile(name), ELEMENT)


models = st.sampled_from(sorted(CASES))
cases = models.flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(layouts(name))))


def held(cut: Cut, parallel: Parallel) -> Fraction:
    """How often the ranks of a stage hold what is cut so, all of them together."""
    match cut:
        case Whole():
            return Fraction(parallel.ranks)
        case Split():
            return Fraction(parallel.data)
        case ByKvHead(heads):
            return parallel.data * max(Fraction(1), Fraction(parallel.tensor, heads))
        case ByRow(rows):
            return parallel.data * Fraction(padded(rows), rows)
        case ByExpert(experts) if parallel.expert:
            return parallel.ranks * Fraction(-(-experts // parallel.ranks), experts)
        case ByExpert(whole=whole):
            return Fraction(parallel.ranks if whole else 1)


def size(weight: Weight) -> int:
    return weight.elements * (4 if weight.float32 else ELEMENT)


def all_weights(found: Profile, parallel: Parallel) -> list[Weight]:
    """Every weight, the embedding table twice where the last stage needs it as the head."""
    weights = [*found.before, *found.after, *found.towers]
    weights += [w for layer in (*found.layers, *found.encoder) for w in layer.weights]
    if found.tied and parallel.pipeline > 1:
        weights += [w for w in found.before if isinstance(w.cut, ByRow)][:1]
    return weights


@settings(deadline=None, max_examples=300)
@given(cases)
def test_all_ranks_together_hold_every_weight_as_often_as_its_cut_says(
    case: tuple[str, Parallel],
) -> None:
    name, parallel = case
    weights = all_weights(profile(name), parallel)
    together = sum(stored(name).on(parallel)) * parallel.ranks
    assert together == sum(size(w) * held(w.cut, parallel) for w in weights)


@settings(deadline=None, max_examples=300)
@given(cases)
def test_nothing_is_lost_and_more_is_held_only_by_repeating_or_padding(
    case: tuple[str, Parallel],
) -> None:
    name, parallel = case
    together = sum(stored(name).on(parallel)) * parallel.ranks
    total = sum(size(w) for w in all_weights(profile(name), parallel))
    assert together >= total >= stored(name).total
    once = all(held(w.cut, parallel) == 1 for w in all_weights(profile(name), parallel))
    assert (together == total) == once


@given(models)
def test_one_device_holds_the_whole_model_and_the_padding_of_its_vocabulary(name: str) -> None:
    weights = all_weights(profile(name), Parallel())
    rows = sum(size(w) * (held(w.cut, Parallel()) - 1) for w in weights if isinstance(w.cut, ByRow))
    assert stored(name).on(Parallel()) == (stored(name).total + rows,)
    assert stored(name).total == sum(map(size, weights))


@settings(deadline=None)
@given(models)
def test_the_parameters_are_those_of_the_files_in_the_engines_format(name: str) -> None:
    found = profile(name)
    wide = sum(w.elements for w in all_weights(found, Parallel()) if w.float32)
    assert stored(name).total == ELEMENT * (found.parameters + wide)


@settings(deadline=None)
@given(cases)
def test_stages_share_what_one_stage_holds(case: tuple[str, Parallel]) -> None:
    name, parallel = case
    stages = stored(name).on(parallel)
    (whole,) = stored(name).on(Parallel(parallel.tensor, 1, parallel.data, parallel.expert))
    table = [w for w in profile(name).before if isinstance(w.cut, ByRow)][:1]
    again = sum(size(w) * held(w.cut, parallel) / parallel.ranks for w in table)
    twice = profile(name).tied and parallel.pipeline > 1
    assert len(stages) == parallel.pipeline
    assert sum(stages) == whole + (again if twice else 0)


@settings(deadline=None, max_examples=200)
@given(cases, st.data())
def test_more_ranks_never_hold_more_each(case: tuple[str, Parallel], data: st.DataObject) -> None:
    name, fewer = case
    alike = [p for p in layouts(name) if p.tensor % fewer.tensor == 0 and p.expert == fewer.expert
             and p.data == fewer.data and p.pipeline == fewer.pipeline]  # fmt: skip
    more = data.draw(st.sampled_from(alike))
    pairs = zip(stored(name).on(fewer), stored(name).on(more), strict=True)
    assert all(after <= before for before, after in pairs)
