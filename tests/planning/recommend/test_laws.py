"""Laws of a recommendation: nothing forbidden is offered, every claim of a change was tried."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.catalog import Task, load_catalogue, open_models
from llmops.errors import InputError
from llmops.recommend import (
    Gpu,
    Request,
    cheapest,
    recommend,
    recommendation_document,
)
from llmops.recommend.memory import fits
from llmops.recommend.search import rank
from tests.effort import effort
from tests.planning.recommend.test_cases import cost

TASKS = get_args(Task)
REQUESTS = st.builds(
    Request,
    task=st.sampled_from(TASKS),
    budget=st.none() | st.floats(0.01, 1000),
    gpu=st.none() | st.builds(Gpu, st.just("GPU"), st.integers(2**30, 2**38), st.integers(1, 8)),
    licence=st.sampled_from(("any", "commercial", "permissive")),
    context=st.none() | st.integers(1, 10**7),
    languages=st.lists(st.sampled_from(("en", "de", "zh", "sw", "xx")), max_size=3).map(tuple),
    examples=st.none() | st.integers(0, 10**6),
    latency=st.sampled_from(("low", "normal")),
    volume=st.sampled_from(("high", "normal")),
)


@given(request=REQUESTS)
def test_nothing_is_offered_that_was_ruled_out(request: Request) -> None:
    options, passed_over = rank(request, open_models(), cost)
    for option in options:
        model = option.model
        if request.licence != "any":
            assert model.licence.use != "non-commercial"
        if request.context and model.context:
            assert model.context >= request.context
        if request.budget is not None and option.price is not None:
            assert float(option.price.value) <= request.budget
        if request.gpu is not None:
            smaller = int(option.four_bits.value) if option.four_bits else model.weight_bytes
            assert fits(min(smaller, model.weight_bytes), request.gpu)
    names = [option.name for option in options]
    assert len(names) == len(set(names)), "a model is offered twice"
    assert not set(names) & {one.name for one in passed_over}


@given(request=REQUESTS)
def test_every_option_is_better_or_equal_to_the_next_and_says_why(request: Request) -> None:
    found = recommend(request, catalogue=open_models(), cost=cost)
    points = [option.points for option in found.options]
    assert points == sorted(points, reverse=True)
    assert all(option.reasons for option in found.options)
    assert all(one.reason for one in found.passed_over)
    recommendation_document(found)


@given(request=REQUESTS)
def test_what_would_change_the_answer_does(request: Request) -> None:
    found = recommend(request, catalogue=open_models(), cost=cost)
    now = found.options[0] if found.options else None
    for change in found.changes:
        assert now is None or not change.then.startswith(f"{now.name}, {now.way}"), change
        assert change.then.split(":")[0].split(",")[0] in open_models()


@given(request=REQUESTS)
def test_more_money_and_looser_terms_never_leave_fewer_options(request: Request) -> None:
    def names(asked: Request) -> set[str]:
        return {option.name for option in rank(asked, open_models(), cost)[0]}

    loosened = [replace(request, licence="any"), replace(request, context=None)]
    if request.budget is not None:
        loosened.append(replace(request, budget=request.budget * 10))
    for asked in loosened:
        assert names(request) <= names(asked)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_an_answer_that_can_be_deployed(task: Task) -> None:
    found = recommend(Request(task), catalogue=open_models())
    assert found.options[0].model.vllm in ("in-tree", "transformers")


def test_a_budget_without_prices_is_said_not_to_be_kept() -> None:
    found = recommend(Request("chat", budget=1.0), catalogue=open_models())
    assert any("the budget is not kept" in sentence for sentence in found.assumed)


def test_prices_of_the_catalogue_grow_with_the_model() -> None:
    known = cheapest(load_catalogue())
    models = open_models()
    small, large = known(models["Qwen3-8B"]), known(models["Qwen3-235B-A22B-Instruct-2507"])
    assert small is not None
    assert large is not None
    assert 0 < small < large


def test_an_answer_comes_in_milliseconds() -> None:
    catalogue = load_catalogue()
    with effort() as spent:
        for task in TASKS:
            recommend(Request(task, budget=3.0), catalogue=open_models(), cost=cheapest(catalogue))
    assert spent.seconds / len(TASKS) < 0.1


@pytest.mark.parametrize(
    "given",
    [
        {"task": "poetry"},
        {"budget": 0.0},
        {"budget": -2.0},
        {"budget": float("nan")},
        {"budget": float("inf")},
        {"context": 0},
        {"context": 10**9},
        {"examples": -1},
        {"languages": ("English",)},
        {"languages": ("de", "")},
        {"licence": "free"},
        {"latency": "none"},
        {"volume": "low"},
        {"gpu": Gpu("L4", 0)},
        {"gpu": Gpu("L4", 2**34, 0)},
    ],
    ids=str,
)
def test_an_absurd_request_is_refused_by_name(given: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Request(**({"task": "chat"} | given))
    assert next(iter(given)) in caught.value.message
