"""A job as the command line of Megatron-LM: for clusters on which that is what trains.

Pure: a job and a model's configuration in, words out; nothing is started. Megatron-LM pretrains on
its own binary data and has no adapters, so only a full training on plain text can be said in its
words; everything else is refused. Weights and data must be converted with its own tools first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmops.errors import RefusedError
from serving.finetune.training.job import TrainingJob

ROTARY = 10000.0
"""Base of rotary positions where a configuration names none (its own default in transformers)."""


def launch(job: TrainingJob, model: Mapping[str, Any], steps: int) -> list[str]:
    """The command of one node, as words.

    Args:
        job: The training; `workers` are the node's GPUs.
        model: The base's `config.json`: one in the shape of Llama.
        steps: Steps in all.

    Raises:
        RefusedError: When Megatron-LM has no words for it.
    """
    if job.method != "full" or job.objective != "sft":
        raise RefusedError(
            f"Megatron-LM trains every weight on plain text; it has no words for"
            f" {job.method if job.method != 'full' else job.objective}",
            hint="train it with strategy fsdp",
        )
    if model.get("hidden_act") != "silu" or "num_hidden_layers" not in model:
        kind = model.get("model_type", "this model")
        raise RefusedError(f"{kind}: only models in the shape of Llama are said in its words")
    start = ["torchrun", f"--nproc-per-node={job.workers}", "pretrain_gpt.py"]
    told = {**_model(job, model), **_training(job, steps), **_files(job)}
    return start + [word for name, value in told.items() for word in _words(name, value)]


def _words(name: str, value: object) -> list[str]:
    if value is False or value is None:
        return []
    return [f"--{name}"] if value is True else [f"--{name}", str(value)]


def _model(job: TrainingJob, model: Mapping[str, Any]) -> dict[str, object]:
    heads = model["num_attention_heads"]
    groups = model.get("num_key_value_heads") or heads
    rotary = model.get("rope_parameters") or {}
    return {
        "num-layers": model["num_hidden_layers"],
        "hidden-size": model["hidden_size"],
        "ffn-hidden-size": model["intermediate_size"],
        "num-attention-heads": heads,
        "kv-channels": model.get("head_dim") or model["hidden_size"] // heads,
        "group-query-attention": groups != heads,
        "num-query-groups": groups if groups != heads else None,
        "max-position-embeddings": model["max_position_embeddings"],
        "seq-length": job.sequence,
        "position-embedding-type": "rope",
        "rotary-base": int(rotary.get("rope_theta") or model.get("rope_theta") or ROTARY),
        "normalization": "RMSNorm",
        "norm-epsilon": model.get("rms_norm_eps", 1e-6),
        "swiglu": True,
        "disable-bias-linear": not model.get("mlp_bias", False),
        "add-qkv-bias": bool(model.get("attention_bias", False)),
        "untie-embeddings-and-output-weights": not model.get("tie_word_embeddings", False),
        "attention-dropout": 0.0,
        "hidden-dropout": 0.0,
    }


def _training(job: TrainingJob, steps: int) -> dict[str, object]:
    return {
        "tensor-model-parallel-size": job.tensor,
        "pipeline-model-parallel-size": job.pipeline,
        "sequence-parallel": job.tensor > 1,
        "use-distributed-optimizer": job.copies > 1,
        "micro-batch-size": job.micro_batch,
        "global-batch-size": job.rows_per_step,
        "train-iters": steps,
        "lr": job.learning_rate,
        "lr-decay-style": job.schedule,
        "lr-warmup-iters": round(job.warmup * steps),
        "weight-decay": job.weight_decay,
        "clip-grad": job.clip,
        "bf16": job.precision == "bfloat16",
        "fp16": job.precision == "float16",
        "recompute-granularity": "full" if job.gradient_checkpointing else None,
        "recompute-method": "uniform" if job.gradient_checkpointing else None,
        "recompute-num-layers": 1 if job.gradient_checkpointing else None,
        "seed": job.seed,
    }


def _files(job: TrainingJob) -> dict[str, object]:
    return {
        "tokenizer-type": "HuggingFaceTokenizer",
        "tokenizer-model": job.base,
        "data-path": f"{job.data}/megatron/train_text_document",
        "split": "99,1,0",
        "load": f"{job.out}/megatron/base",
        "save": f"{job.out}/megatron/checkpoints",
        "save-interval": job.save_every,
        "eval-interval": job.eval_every or job.save_every,
        "finetune": True,
        "tensorboard-dir": f"{job.out}/tensorboard",
    }
