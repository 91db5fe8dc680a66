"""Parameters of every published model, against transformers itself on the meta device."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning import architecture
from tests.planning.architectures.cases import CASES

MODEL_TYPES = {case["config"]["model_type"] for case in CASES.values()}

SMALL = {
    "vocab_size": 1000,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
}
UNPUBLISHED: dict[str, dict[str, Any]] = {
    "granitemoeshared": {
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "shared_intermediate_size": 96,
        "head_dim": None,
    },
    "hunyuan_v1_dense": {},
    "ministral": {},
    "ministral3": {},
    "vaultgemma": {},
}
"""Kinds of which there is no case: a made-up small model of each."""


def counted(config: dict[str, Any], auto: str) -> int:
    """What transformers makes of a configuration, without a byte of memory for its weights."""
    import torch
    import transformers

    told = transformers.AutoConfig.for_model(
        **{key: value for key, value in config.items() if key != "quantization_config"}
    )
    with torch.device("meta"):
        found: int = getattr(transformers, auto).from_config(told).num_parameters()
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_published_model_has_the_parameters_that_transformers_counts(name: str) -> None:
    case = CASES[name]
    ours = architecture.read(case["config"]).parameters
    assert counted(case["config"], case["class"]) == case["parameters"] == ours


@pytest.mark.parametrize("kind", UNPUBLISHED)
def test_a_small_model_of_another_kind_has_as_many(kind: str) -> None:
    config = {"model_type": kind, **SMALL, **UNPUBLISHED[kind]}
    config = {field: value for field, value in config.items() if value is not None}
    assert counted(config, "AutoModelForCausalLM") == architecture.read(config).parameters


def test_at_least_thirty_kinds_of_models_are_counted() -> None:
    assert len(MODEL_TYPES) >= 30
    assert not MODEL_TYPES & UNPUBLISHED.keys(), "a kind with a published model needs no other"
