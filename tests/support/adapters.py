"""Adapters in peft's format over the tiny model: random, strong enough to change what it says."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from serving.finetune.artefacts import Artefact, Base, Gated, Lineage, keep

TARGETS = ("q_proj", "v_proj", "o_proj", "down_proj")


def make_adapter(
    directory: Path,
    base: Path,
    *,
    seed: int,
    rank: int = 8,
    strength: float = 0.5,
    changed: Mapping[str, Any] | None = None,
) -> Path:
    """Write an adapter for the Llama in `base` into `directory` and return it.

    Args:
        directory: Made when missing.
        base: The model, whose `config.json` gives the shapes.
        seed: Of its matrices.
        rank: Of each.
        strength: Standard deviation of the elements of both matrices.
        changed: Keys of `adapter_config.json` that are to be others.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shapes = _shapes(json.loads((base / "config.json").read_text()))
    random = np.random.default_rng(seed)
    tensors = {}
    for name, (outputs, inputs) in shapes.items():
        for part, shape in (("A", (rank, inputs)), ("B", (outputs, rank))):
            values = random.normal(0.0, strength, shape).astype(np.float32)
            tensors[f"base_model.model.{name}.lora_{part}.weight"] = values
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(TARGETS),
        "base_model_name_or_path": str(base),
    }
    (directory / "adapter_config.json").write_text(json.dumps(config | dict(changed or {})))
    (directory / "adapter_model.safetensors").write_bytes(_safetensors(tensors))
    return directory


def lineage(name: str, number: int, base: Base, gate: Gated | None = None) -> Lineage:
    """The lineage of a run that was none."""
    return Lineage(
        run=name,
        number=number,
        seed=17,
        base=base,
        data="d" * 64,
        spec="e" * 64,
        plan="f" * 64,
        code="0",
        metrics={"loss": 1.5},
        gate=gate or Gated("passed", ("exact_match 0.9, 0.5 at least",)),
    )


def make_run(home: Path, comes_from: Lineage, made: Path) -> Artefact:
    """Keep an adapter as what a run below `home` has made."""
    run = home / "finetune" / comes_from.run / "runs" / str(comes_from.number)
    run.mkdir(parents=True, mode=0o700)
    return keep(made, run / "artefact", comes_from)


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"] * config["head_dim"]
    keys = config["num_key_value_heads"] * config["head_dim"]
    one = {
        "self_attn.q_proj": (heads, hidden),
        "self_attn.v_proj": (keys, hidden),
        "self_attn.o_proj": (hidden, heads),
        "mlp.down_proj": (hidden, wide),
    }
    return {
        f"model.layers.{layer}.{name}": shape
        for layer in range(config["num_hidden_layers"])
        for name, shape in one.items()
    }


def _safetensors(tensors: Mapping[str, Any]) -> bytes:
    header: dict[str, Any] = {}
    body = b""
    for name, values in sorted(tensors.items()):
        data = values.tobytes()
        offsets = [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body
