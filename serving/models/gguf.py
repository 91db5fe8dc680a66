"""What a GGUF file says of itself: enough to plan with, without converting it.

The keys are those of the GGUF specification
(https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from serving.models.headers import Weights

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mistral": "MistralForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "phi3": "Phi3ForCausalLM",
}


def describe(path: Path) -> tuple[dict[str, Any], Weights, bool]:
    """`config.json`'s deciding fields, the weights as they will be, and chat template or not.

    Raises:
        ModelError: When it is not a GGUF file, or of an architecture that is not converted.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
    except (ValueError, OSError, IndexError) as error:
        raise ModelError(f"{path.name} is not a GGUF file: {error}") from error
    fields = {name: field.contents() for name, field in reader.fields.items() if _small(name)}
    kind = str(fields.get("general.architecture", ""))
    if kind not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelError(
            f"{path.name} is a GGUF file of architecture '{kind}', which is not converted",
            hint=f"converted are: {known}; or use the model's safetensors",
        )
    names = {tensor.name for tensor in reader.tensors}
    count = sum(math.prod(int(n) for n in tensor.shape) for tensor in reader.tensors)
    embedding = next(t for t in reader.tensors if t.name == "token_embd.weight")
    config = _config(
        fields, kind, vocabulary=int(embedding.shape[-1]), tied="output.weight" not in names
    )
    return config, Weights({"BF16": count}, 2 * count), "tokenizer.chat_template" in fields


def _small(name: str) -> bool:
    return not name.startswith("tokenizer.ggml.") and not name.startswith("GGUF.")


def _config(fields: dict[str, Any], kind: str, *, vocabulary: int, tied: bool) -> dict[str, Any]:
    def number(name: str) -> int:
        return int(fields[f"{kind}.{name}"])

    heads = number("attention.head_count")
    config = {
        "architectures": [ARCHITECTURES[kind]],
        "model_type": kind,
        "hidden_size": number("embedding_length"),
        "num_hidden_layers": number("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": int(fields.get(f"{kind}.attention.head_count_kv", heads)),
        "intermediate_size": number("feed_forward_length"),
        "max_position_embeddings": number("context_length"),
        "vocab_size": vocabulary,
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
    }
    if f"{kind}.attention.key_length" in fields:
        config["head_dim"] = number("attention.key_length")
    return config
