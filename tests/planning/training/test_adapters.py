"""Adapters have as many parameters as peft really made, over families and ways of naming layers."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from llmops.planning.training import TrainingSetup, adapter_parameters
from tests.planning.training.profiles import CASES, llama, published

MADE: dict[str, dict[str, int]] = yaml.safe_load((CASES / "adapters" / "peft.yaml").read_text())
ROWS = [(model, targets) for model, made in MADE.items() for targets in made]


def count(model: str, targets: str, rank: int = 8) -> int:
    names = tuple(targets.split(", "))
    setup = TrainingSetup(method="lora", rank=rank, targets=names, sequence=16)
    return adapter_parameters(published(model), setup)


def test_many_families_are_compared() -> None:
    assert len(MADE) >= 60


@pytest.mark.parametrize(("model", "targets"), ROWS)
def test_adapters_are_those_that_peft_makes(model: str, targets: str) -> None:
    assert count(model, targets) == MADE[model][targets]


def test_parameters_grow_with_the_rank_and_nothing_else() -> None:
    assert count("llama-3.1-8b", "all-linear", rank=64) == 8 * count("llama-3.1-8b", "all-linear")


def test_a_name_matches_whole_parts_only() -> None:
    def trained(*targets: str, **config: Any) -> int:
        setup = TrainingSetup(method="lora", rank=1, targets=targets, sequence=16)
        return adapter_parameters(llama(**config), setup)

    assert trained("q_proj") == 4 * (256 + 256)
    assert trained("self_attn.q_proj") == trained("q_proj")
    assert trained("lm_head") == 256 + 1000
    assert trained("q_proj", "v_proj") == 4 * (256 + 256 + 256 + 64)


def test_full_training_has_no_adapters() -> None:
    assert adapter_parameters(llama(), TrainingSetup(sequence=16)) == 0
