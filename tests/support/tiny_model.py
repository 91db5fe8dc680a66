"""A tiny random Llama that the real engine serves: made in a moment, never downloaded.

It is a real checkpoint: bfloat16 safetensors under the names that Llama's code looks for, and a
byte-level BPE tokenizer that can spell any text, so that constrained output can be any JSON. What
it says means nothing. One dimension of its residual stream is constant, which gives each token a
bias of its own: it speaks printable ASCII and hardly ever ends by itself or prints blanks, so a
greedy answer bound by a schema ends after few tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

Floats = npt.NDArray[np.float32]

BOS, EOS = "<|start|>", "<|end|>"
LEAST_HEAD = 32
"""Smallest attention head that vLLM's CPU attention takes (its `get_supported_head_sizes`)."""

MERGES = (
    "t h,th e,i n,e r,a n,r e,o n,a t,e n,n d,o r,e s,i s,i t,o u,in g,Ġ a,Ġ the,Ġ o,o f,Ġ i,Ġ w,"
    "an d,Ġ and,t o,l l,s t,a r,h e,h i,l e,o w,n e,on e,Ġ one,Ġ to,r o,o m,c h,u r"
).split(",")
"""A few merges, as training would find: text does not fall into single bytes only."""

BASE = 2 + 256 + len(MERGES)
"""Least vocabulary: the special tokens, one token per byte, one per merge."""

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ message['role'] }}: {{ message['content'] }}\n"
    "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)


def make_tiny_model(
    directory: Path,
    says: str = "",
    /,
    *,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 2,
    hidden: int = 128,
    vocabulary: int = 320,
    positions: int = 512,
    seed: int = 0,
) -> Path:
    """Write the model into `directory` (made when missing) and return it.

    Another `seed` gives other weights of the same shape. `vocabulary` beyond `BASE` is filled with
    tokens that no text uses. Tensor parallel sizes are those that divide `heads` and `kv_heads`.
    One that `says` a row of letters says nothing else: after each letter the next one of the row,
    after the last one the first, a token each, whatever it is asked and with whom at the same time.
    """
    if vocabulary < BASE:
        raise ValueError(f"the vocabulary has {BASE} tokens at least, not {vocabulary}")
    directory.mkdir(parents=True, exist_ok=True)
    config = _config(layers, heads, kv_heads, hidden, vocabulary, positions)
    names = _vocabulary(vocabulary)
    _tokenizer(names).save(str(directory / "tokenizer.json"))
    ends = {"bos_token_id": 0, "eos_token_id": 1}
    for name, document in (
        ("config.json", config),
        ("generation_config.json", {"_from_model_config": True, **ends}),
        ("tokenizer_config.json", _tokenizer_config(positions)),
    ):
        (directory / name).write_text(json.dumps(document, indent=2) + "\n")
    weights = _weights(config, names, np.random.default_rng(seed), says)
    (directory / "model.safetensors").write_bytes(_safetensors(weights))
    return directory


def _config(
    layers: int, heads: int, kv_heads: int, hidden: int, vocabulary: int, positions: int
) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": 0,
        "dtype": "bfloat16",
        "eos_token_id": 1,
        "head_dim": max(LEAST_HEAD, hidden // heads),
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "rms_norm_eps": 1e-05,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": vocabulary,
    }


def _tokenizer_config(positions: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": positions,
        "bos_token": BOS,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": False,
        "chat_template": TEMPLATE,
    }


def _vocabulary(size: int) -> dict[str, int]:
    """Token texts, in the byte-level alphabet, and their numbers."""
    texts = [BOS, EOS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    texts += [merge.replace(" ", "") for merge in MERGES]
    texts += [f"<|unused_{number}|>" for number in range(size - len(texts))]
    return {text: number for number, text in enumerate(texts)}


def _tokenizer(names: dict[str, int]) -> Tokenizer:
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in MERGES)]
    tokenizer = Tokenizer(models.BPE(vocab=names, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(BOS, special=True), AddedToken(EOS, special=True)])
    return tokenizer


def _weights(
    config: dict[str, Any], names: dict[str, int], random: np.random.Generator, says: str
) -> Iterator[tuple[str, Floats]]:
    """Names and values of all tensors, scaled so that each layer changes what is said; without
    that where what it `says` is given."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    queries = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]

    def matrix(rows: int, columns: int, *, scale: float = 1.0) -> Floats:
        values = random.standard_normal((rows, columns), dtype=np.float32)
        return (values * np.float32(scale / columns**0.5)).astype(np.float32)

    def kept(values: Floats) -> Floats:
        # Into the residual stream: its first dimension stays as it is, and all where it recites.
        values[: None if says else 1] = 0
        return values

    embedding = random.standard_normal((len(names), hidden), dtype=np.float32)
    embedding[:, 0] = 1
    yield "model.embed_tokens.weight", embedding
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        yield at + "self_attn.q_proj.weight", matrix(queries, hidden)
        yield at + "self_attn.k_proj.weight", matrix(keys, hidden)
        yield at + "self_attn.v_proj.weight", matrix(keys, hidden)
        yield at + "self_attn.o_proj.weight", kept(matrix(hidden, queries))
        yield at + "mlp.gate_proj.weight", matrix(inner, hidden)
        yield at + "mlp.up_proj.weight", matrix(inner, hidden)
        yield at + "mlp.down_proj.weight", kept(matrix(hidden, inner))
        yield at + "input_layernorm.weight", np.ones(hidden, np.float32)
        yield at + "post_attention_layernorm.weight", np.ones(hidden, np.float32)
    yield "model.norm.weight", np.ones(hidden, np.float32)
    head = matrix(len(names), hidden, scale=1.5)
    head[:, 0] = [_bias(text) for text in names]
    yield (
        "lm_head.weight",
        _reciting(embedding, [names[letter] for letter in says]) if says else head,
    )


def _reciting(embedding: Floats, row: list[int]) -> Floats:
    """The head of a model whose layers add nothing: each token of the row looks like the one before
    it (a logit of about 38, at most about 10 for others of the row), and no other is said."""
    head = np.zeros_like(embedding)
    head[:, 0] = -24
    for before, token in zip(row, (*row[1:], row[0]), strict=True):
        head[token] = 0.3 * embedding[before]
    return head


def _bias(text: str) -> float:
    """How much less than others a token is said."""
    printable = all(" " < letter <= "~" for letter in text.lstrip("Ġ")) and text != "Ġ"
    special = text.startswith("<|")
    return 0.0 if printable and not special else -24.0


def _bfloat16(values: Floats) -> bytes:
    """The upper half of each float32, rounded to nearest, ties to even; little-endian."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype("<u2").tobytes()


def _safetensors(weights: Iterable[tuple[str, Floats]]) -> bytes:
    """The format's own words: the header's length (8 bytes), a JSON header, the tensors' bytes.

    Written here because the library's call for raw bytes is another one in each of its versions.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name, values in weights:
        part = _bfloat16(values)
        header[name] = {
            "dtype": "BF16",
            "shape": list(values.shape),
            "data_offsets": [at, at + len(part)],
        }
        parts.append(part)
        at += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)
