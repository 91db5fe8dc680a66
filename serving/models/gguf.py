"""What a GGUF file says of itself: enough to plan with, without converting it.

The keys are those of the GGUF specification
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from serving.models import gguf_header, licences
from serving.models.contents import Description
from serving.models.gguf_header import Header
from serving.models.headers import Weights

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mistral": "MistralForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "phi3": "Phi3ForCausalLM",
}


def describe(path: Path) -> Description:
    """`config.json`'s deciding fields, the weights as they will be, and chat template or not.

    Raises:
        ModelError: When it is not a whole GGUF file, or of an architecture that is not converted.
    """
    try:
        header = gguf_header.read(path)
    except ValueError as error:
        raise ModelError(f"{path} is not a whole GGUF file: {error}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    kind = str(header.values.get("general.architecture", ""))
    if kind not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelError(
            f"{path} is a GGUF file of architecture '{kind[:40]}', which is not converted",
            hint=f"converted are: {known}; or use the model's safetensors",
        )
    count = sum(math.prod(shape) for shape in header.shapes.values())
    try:
        config = _config(header, kind)
    except (KeyError, IndexError, ValueError, OverflowError) as error:
        raise ModelError(f"{path} lacks what a {kind} model must have: {error}") from error
    return config, Weights({"BF16": count}, 2 * count), "tokenizer.chat_template" in header.values


def licence(path: Path) -> str:
    """What a GGUF file says of its licence; empty when it says nothing, or cannot be read."""
    try:
        said = gguf_header.read(path).values.get("general.license")
    except (OSError, ValueError):
        return ""
    return licences.stated({"license": said})


def _config(header: Header, kind: str) -> dict[str, Any]:
    def number(name: str) -> int:
        return int(header.values[f"{kind}.{name}"])

    heads = number("attention.head_count")
    grouped = f"{kind}.attention.head_count_kv" in header.values
    config = {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "hidden_size": number("embedding_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": number("attention.head_count_kv") if grouped else heads,
        "intermediate_size": number("feed_forward_length"),
        "max_position_embeddings": number("context_length"),
        "vocab_size": header.shapes["token_embd.weight"][-1],
        "tie_word_embeddings": "output.weight" not in header.shapes,
        "torch_dtype": "bfloat16",
    }
    if f"{kind}.attention.key_length" in header.values:
        config["head_dim"] = number("attention.key_length")
    return config
