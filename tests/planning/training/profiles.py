"""Profiles for tests of training: published models by name, and small ones that a test shapes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from llmops.planning.architecture import Fields, Profile
from llmops.planning.architecture.families import READERS

CASES = Path(__file__).parents[2] / "cases"


@cache
def published(name: str) -> Profile:
    """A model of tests/cases/architectures, as if it were not quantised."""
    text = (CASES / "architectures" / f"{name}.yaml").read_text()
    config: dict[str, Any] = yaml.safe_load(text)["config"]
    config.pop("quantization_config", None)
    return READERS[config["model_type"]](Fields(config))


def llama(**changes: Any) -> Profile:
    """A small Llama."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
        "num_attention_heads": 8, "num_key_value_heads": 2, "intermediate_size": 640,
        "num_hidden_layers": 4, "vocab_size": 1000, "max_position_embeddings": 1024,
    }  # fmt: skip
    return READERS["llama"](Fields(config | changes))
