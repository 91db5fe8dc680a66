"""A way of training that contradicts itself is refused before any model is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning.refusal import Refusal
from llmops.planning.training import TrainingSetup, training_memory
from tests.planning.training.profiles import llama, published

WRONG = [
    ({"method": "dora"}, "method: expected one of full, lora, qlora"),
    ({"dtype": "fp8"}, "dtype: expected one of"),
    ({"optimiser": "adam"}, "optimiser: expected one of"),
    ({"strategy": "zero4"}, "strategy: expected one of"),
    ({"method": "lora", "rank": 0}, "rank: expected a whole number from 1"),
    ({"rank": -4}, "rank: expected a whole number from 1"),
    ({"devices": 0}, "devices: expected a whole number from 1"),
    ({"devices": 2.0}, "devices: expected a whole number from 1"),
    ({"micro_batch": 0}, "micro_batch: expected a whole number from 1"),
    ({"micro_batch": True}, "micro_batch: expected a whole number from 1"),
    ({"sequence": 0}, "sequence: expected a whole number from 1"),
    ({"sequence": 2**31}, "sequence: expected a whole number from 1"),
    ({"method": "lora", "targets": ()}, "targets: lora trains adapters"),
    ({"method": "lora", "targets": ("",)}, "targets: expected names of layers"),
    ({"method": "lora", "targets": ("all-linear", "q_proj")}, "every linear layer already"),
    ({"dtype": "float16", "master_weights": False}, "float16 gradients cannot be scaled"),
    ({"optimiser": "adafactor", "strategy": "zero2"}, "flat pieces"),
]


@pytest.mark.parametrize(("setup", "says"), WRONG)
def test_a_contradiction_is_refused(setup: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TrainingSetup(**setup)


@pytest.mark.parametrize(
    "setup",
    [
        {"method": "qlora", "strategy": "fsdp", "devices": 8},
        {"method": "qlora", "strategy": "zero3", "devices": 8},
        {"optimiser": "adafactor", "strategy": "fsdp", "devices": 2},
        {"method": "lora", "dtype": "float16", "master_weights": False},
        {"strategy": "zero3", "devices": 1},
    ],
)
def test_what_only_sounds_contradictory_is_taken(setup: dict[str, Any]) -> None:
    assert training_memory(llama(), TrainingSetup(sequence=64, **setup)).total.value


def test_a_sequence_beyond_the_models_positions_is_refused() -> None:
    with pytest.raises(Refusal, match="2048 tokens are longer than the 1024") as caught:
        training_memory(llama(), TrainingSetup(sequence=2048))
    assert "at most 1024" in caught.value.hint


def test_adapters_that_find_no_layer_are_refused_with_the_names_there_are() -> None:
    setup = TrainingSetup(method="lora", targets=("query",), sequence=64)
    with pytest.raises(Refusal, match="no layer of LlamaForCausalLM is called query") as caught:
        training_memory(llama(), setup)
    assert "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj" in caught.value.hint


def test_an_adapter_that_peft_refuses_is_refused() -> None:
    setup = TrainingSetup(method="lora", sequence=64)
    with pytest.raises(Refusal, match="'out_proj' of Mamba") as caught:
        training_memory(published("mamba-130m"), setup)
    assert "in_proj" in caught.value.hint
