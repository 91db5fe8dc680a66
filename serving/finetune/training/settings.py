"""What the trainer of transformers is told of a job: values in, values out.

Its own checkpoints, logs and evaluation schedule are switched off: when those happen is decided at
each step, by `steps.Control`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from serving.finetune.training.job import TrainingJob

_ZERO = {"deepspeed-zero1": 1, "deepspeed-zero2": 2, "deepspeed-zero3": 3}


def arguments(job: TrainingJob, steps: int, aside: Path, cuda: bool) -> dict[str, Any]:
    """Arguments of transformers' `TrainingArguments`.

    Args:
        job: The training.
        steps: Its steps in all.
        aside: Where checkpoints are written before they are sealed.
        cuda: Whether GPUs train.
    """
    told: dict[str, Any] = {
        "output_dir": str(aside), "max_steps": steps, "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": job.accumulation, "learning_rate": job.learning_rate,
        "lr_scheduler_type": job.schedule if job.warmup == 0 or job.schedule != "constant"
        else "constant_with_warmup",
        "warmup_steps": math.ceil(job.warmup * steps), "weight_decay": job.weight_decay,
        "max_grad_norm": job.clip, "seed": job.seed, "data_seed": job.seed,
        "bf16": job.precision == "bfloat16", "fp16": job.precision == "float16",
        "gradient_checkpointing": job.gradient_checkpointing and job.strategy != "fsdp",
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "optim": "adamw_torch", "logging_strategy": "steps", "logging_steps": 1,
        "logging_nan_inf_filter": False, "save_strategy": "no", "eval_strategy": "no",
        "report_to": [], "disable_tqdm": True, "remove_unused_columns": False,
        "ddp_find_unused_parameters": False, "dataloader_pin_memory": cuda,
        "average_tokens_across_devices": True,
    }  # fmt: skip
    if job.strategy in _ZERO and job.workers > 1:
        return told | {"deepspeed": deepspeed(job, _ZERO[job.strategy])}
    if job.strategy == "fsdp" and job.workers > 1:
        told |= {"fsdp": True, "fsdp_config": fsdp(job)}
    return told | {"use_cpu": not cuda}


def fsdp(job: TrainingJob) -> dict[str, Any]:
    """PyTorch's FSDP2 as accelerate takes it: each layer sharded, shards saved where they are."""
    return {
        "version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "reshard_after_forward": True,
        "state_dict_type": "SHARDED_STATE_DICT",
        "activation_checkpointing": job.gradient_checkpointing,
    }  # fmt: skip


def deepspeed(job: TrainingJob, stage: int) -> dict[str, Any]:
    """DeepSpeed's configuration. The optimiser is PyTorch's, so that all strategies share one."""
    kinds = {"bfloat16": {"bf16": {"enabled": True}}, "float16": {"fp16": {"enabled": True}}}
    return {
        "zero_optimization": {
            "stage": stage, "stage3_gather_16bit_weights_on_model_save": stage == 3,
            "overlap_comm": False,
        },
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": job.accumulation,
        "gradient_clipping": job.clip,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        **kinds.get(job.precision, {}),
    }  # fmt: skip
