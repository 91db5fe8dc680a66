"""Small models as bytes by name, and what several tests do with them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from llmops.events import Event, Flow, Progress
from serving.models import Models

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
    "vocab_size": 32,
}
TOKENIZER = {"model": {"type": "BPE", "vocab": {chr(97 + n): n for n in range(26)}, "merges": []}}

PARAMETERS = 60_000
"""Of each shard of `model_files`: some 120 kB, many blocks of a loopback hub."""


def shard(name: str, *, seed: int = 0, count: int = PARAMETERS) -> bytes:
    """A safetensors file with one tensor of that name."""
    values = np.random.default_rng(seed).integers(0, 2**15, size=count, dtype=np.uint16)
    return bytes(save({name: values.view(np.float16)}))


def model_files(*, seed: int = 0, shards: int = 2) -> dict[str, bytes]:
    """A model of random weights in shards, with an index when there are several."""
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": json.dumps(TOKENIZER).encode(),
        "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}).encode(),
    }
    if shards == 1:
        return files | {"model.safetensors": shard("layer", seed=seed)}
    names = [f"model-{n + 1:05}-of-{shards:05}.safetensors" for n in range(shards)]
    for number, name in enumerate(names):
        files[name] = shard(f"layer.{number}", seed=seed + number)
    placed = {f"layer.{number}": name for number, name in enumerate(names)}
    index = {"metadata": {}, "weight_map": placed}
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


def write(directory: Path, files: Mapping[str, bytes]) -> Path:
    """Put files into a directory, made when missing."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


class Canary:
    """A pickle that leaves a file behind when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)

    def pickled(self) -> bytes:
        """Its bytes."""
        return pickle.dumps(self)

    @property
    def sang(self) -> bool:
        """Whether it was opened."""
        return self.path.exists()


def outcome(flow: Flow[Path], told: list[Event] | None = None) -> Path:
    """Run a flow to its end; `told` gets its events."""
    while True:
        try:
            event = next(flow)
        except StopIteration as end:
            found: Path = end.value
            return found
        if told is not None:
            told.append(event)


def have(models: Models, source: str, revision: str | None = None) -> Path:
    """Look a model up and have it, as a deploy does; returns its checked directory."""
    facts = models.describe(source, revision)
    outcome(models.ensure(facts.source, facts.revision))
    return models.verified(facts.source, facts.revision)


def contents_of(directory: Path) -> dict[str, bytes]:
    """All files below a directory, by name."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def visible(root: Path) -> list[Path]:
    """The entries of a cache that a reader would take for models."""
    return [path for path in root.glob("*/*") if path.is_dir() and path.suffix != ".part"]


def left_over(root: Path) -> list[Path]:
    """What is half in a cache."""
    return list(root.glob("*/*.part"))


def reasons(told: list[Event]) -> list[str]:
    """What was said while waiting."""
    return [event.reason for event in told if isinstance(event, Progress)]
