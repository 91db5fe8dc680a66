"""The words for Megatron-LM: the job's own figures, and nothing that it has no words for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmops.errors import RefusedError
from serving.finetune.training.megatron import launch
from tests.finetuning.training import tiny

HERE = Path("/nowhere")
LLAMA = {
    "model_type": "llama", "hidden_act": "silu", "num_hidden_layers": 32, "hidden_size": 4096,
    "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "tie_word_embeddings": False,
    "rope_parameters": {"rope_theta": 500000.0},
}  # fmt: skip


def after(words: list[str], name: str) -> str:
    return words[words.index(f"--{name}") + 1]


def test_sizes_and_shapes_are_the_jobs_and_the_models() -> None:
    job = tiny.job(
        HERE, HERE, HERE, method="full", strategy="tensor", tensor=4, workers=4, sequence=4096,
        precision="bfloat16", gradient_checkpointing=True, micro_batch=2, accumulation=8,
    )  # fmt: skip
    words = launch(job, LLAMA, steps=500)
    found = {name: after(words, name) for name in (
        "tensor-model-parallel-size", "num-query-groups", "rotary-base", "seq-length",
        "global-batch-size", "train-iters", "recompute-granularity",
    )}  # fmt: skip
    assert found == {
        "tensor-model-parallel-size": "4", "num-query-groups": "8", "rotary-base": "500000",
        "seq-length": "4096", "global-batch-size": "16", "train-iters": "500",
        "recompute-granularity": "full",
    }  # fmt: skip
    assert {"--bf16", "--swiglu", "--sequence-parallel", "--group-query-attention"} <= set(words)
    assert not {"--fp16", "--add-qkv-bias"} & set(words)


def test_what_it_has_no_words_for_is_refused() -> None:
    job = tiny.job(HERE, HERE, HERE)
    with pytest.raises(RefusedError, match="lora"):
        launch(job, LLAMA, steps=5)
    with pytest.raises(RefusedError, match="shape of Llama"):
        launch(replace(job, method="full"), {"model_type": "gpt2", "hidden_act": "gelu"}, steps=5)
