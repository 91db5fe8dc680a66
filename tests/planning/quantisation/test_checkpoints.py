"""Published checkpoints: what they take, in bytes; how it is said; and what they need."""

from __future__ import annotations

from typing import Any

import pytest

from tests.effort import effort
from tests.planning.quantisation import cases

CHECKPOINTS = cases.of("checkpoints")
PADDED = {name: case for name, case in CHECKPOINTS.items() if "padded" in case}
SOURCED = {name: case for name, case in CHECKPOINTS.items() if "published" in case}


@pytest.mark.parametrize("case", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_takes_these_bytes(case: dict[str, Any]) -> None:
    config = cases.model(case)
    assert cases.stored(config, cases.understood(config)) == case["bytes"]


@pytest.mark.parametrize("case", SOURCED.values(), ids=SOURCED)
def test_the_bytes_are_those_that_were_published(case: dict[str, Any]) -> None:
    published = case["published"]
    reckoned = case["bytes"] + published.get("beside", 0)
    off = abs(reckoned - published["bytes"]) / published["bytes"]
    assert off <= published["within"], f"{off:.6%} away from {case['source']}"


@pytest.mark.parametrize("case", PADDED.values(), ids=PADDED)
def test_kernels_round_experts_up(case: dict[str, Any]) -> None:
    config = cases.model(case)
    quantisation = cases.understood(config)
    for one in case["padded"]:
        padded = sum(
            quantisation.padded(name, weight, 2, one["ranks"], one["capability"])
            for name, weight in cases.weights(config)
        )
        assert padded == one["bytes"], one
    published = case.get("padded_published")
    if published:
        off = abs(case["padded"][0]["bytes"] - published["bytes"]) / published["bytes"]
        assert off <= published["within"], f"{off:.4%} away from {case['padded_source']}"


def test_without_tiles_nothing_is_added() -> None:
    config = cases.model(CHECKPOINTS["llama-3.1-8b-awq"])
    quantisation = cases.understood(config)
    padded = sum(quantisation.padded(n, w, 2, 4, 90) for n, w in cases.weights(config))
    assert padded == CHECKPOINTS["llama-3.1-8b-awq"]["bytes"]


@pytest.mark.parametrize("case", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_what_is_said_of_a_checkpoint(case: dict[str, Any]) -> None:
    found = cases.understood(cases.model(case))
    assert found.words == case["words"]
    assert found.needs == case.get("needs")
    assert found.kv_dtype == case.get("kv_dtype")
    said = case.get("unloadable", "")
    assert said in found.unloadable
    assert bool(said) == bool(found.unloadable), found.unloadable


@pytest.mark.parametrize("case", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_norms_routers_and_biases_are_never_quantised(case: dict[str, Any]) -> None:
    config = cases.model(case)
    quantisation = cases.understood(config)
    quantised = [
        name
        for name, weight in cases.weights(config)
        if weight.role in ("norm", "router", "bias") and quantisation.packing(name, weight)
    ]
    assert quantised == []


def test_the_largest_model_is_summed_in_milliseconds() -> None:
    config = cases.model(CHECKPOINTS["llama-3.1-405b-fbgemm"])
    weights = list(cases.weights(config))
    with effort() as spent:
        quantisation = cases.understood(config)
        for name, weight in weights:
            quantisation.stored(name, weight, 2)
    assert spent.seconds < 0.1
