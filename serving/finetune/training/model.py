"""The model that is trained: its base, and adapters where only those are.

Weights come as they lie on the disk or as float32: float32 where they are trained, since an
optimiser's small steps vanish in 16 bits; in the format that is computed in where they are frozen.
Nothing is downloaded and no code of a model's folder is run.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from serving.finetune.training.batches import separates
from serving.finetune.training.failure import Failure, Kind, TrainingError
from serving.finetune.training.job import ALL_LINEAR, TrainingJob

_FORMATS = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load(job: TrainingJob) -> Any:
    """The model to train, on the CPU or where its weights were placed.

    Raises:
        TrainingError: When it cannot be loaded, or its documents would mix in a row.
    """
    model = base(job)
    model.config.use_cache = False
    unmixed(job, model)
    return adapted(job, model) if job.method != "full" else model


def unmixed(job: TrainingJob, model: Any) -> None:
    """Hold a model against what packing needs: that documents in a row do not see each other.

    Raises:
        TrainingError: When they do.
    """
    if job.packing and not separates(model, model.config.get_text_config().vocab_size):
        raise TrainingError(
            Failure(
                Kind.REFUSED,
                f"{model.config.model_type}: documents that share a row would see each other,"
                " because this kind of model carries a state along the row",
                hint="set training.packing to false",
            )
        )


def configuration(job: TrainingJob) -> Any:
    """The base's configuration.

    Raises:
        TrainingError: When there is none.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(job.base, local_files_only=True)
    except (OSError, ValueError) as error:
        message = f"{job.base}: expected a model, found that {error}"
        raise TrainingError(Failure(Kind.INPUT, message)) from error


def base(job: TrainingJob, **chosen: Any) -> Any:
    """The base as transformers loads it.

    Raises:
        TrainingError: When it cannot be loaded.
    """
    from transformers import AutoModelForCausalLM

    kind = torch.float32 if job.method == "full" else _FORMATS[job.precision]
    if job.method == "qlora":
        chosen |= {"quantization_config": _four_bits(kind)}
    try:
        return AutoModelForCausalLM.from_pretrained(
            job.base, dtype=kind, attn_implementation="sdpa", local_files_only=True,
            trust_remote_code=False, **chosen,
        )  # fmt: skip
    except (OSError, ValueError, KeyError) as error:
        message = f"{job.base}: expected a model, found that {type(error).__name__}: {error}"
        raise TrainingError(Failure(Kind.INPUT, message)) from error


def _four_bits(kind: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=kind,
    )  # fmt: skip


def adapted(job: TrainingJob, model: nn.Module) -> Any:
    """The model with adapters to train, the same for the same seed.

    Raises:
        TrainingError: When no layer has such a name.
    """
    from peft import get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    if job.method == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=job.gradient_checkpointing
        )
    set_seed(job.seed)
    try:
        return get_peft_model(model, adapters(job))
    except ValueError as error:
        raise TrainingError(Failure(Kind.INPUT, f"method.targets: {error}")) from error


def adapters(job: TrainingJob) -> Any:
    """The adapters as peft is told of them."""
    from peft import LoraConfig

    targets = ALL_LINEAR if job.targets == (ALL_LINEAR,) else list(job.targets)
    return LoraConfig(
        r=job.rank, lora_alpha=job.alpha, lora_dropout=job.dropout, target_modules=targets,
        task_type="CAUSAL_LM", base_model_name_or_path=job.base,
    )  # fmt: skip


def tokenizer(job: TrainingJob) -> Any:
    """The tokenizer beside the base.

    Raises:
        TrainingError: When there is none.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            job.base, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        message = f"{job.base}: expected a tokenizer beside the weights, found that {error}"
        raise TrainingError(Failure(Kind.INPUT, message)) from error


def pad(found: Any) -> int:
    """The number that fills rows up: any does, since nothing is learnt from it."""
    for number in (found.pad_token_id, found.eos_token_id):
        if number is not None:
            return int(number)
    return 0
