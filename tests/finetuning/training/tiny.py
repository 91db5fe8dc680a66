"""A tiny base and tiny prepared data, as files that a job names."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from serving.finetune.training import TrainingJob
from tests.support.tiny_model import make_tiny_model

VOCABULARY = 320


def base(folder: Path) -> Path:
    """A Llama with two layers, as untrained as transformers makes one, and a tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    make_tiny_model(folder, layers=2, heads=2, kv_heads=2, hidden=64, positions=256)
    set_seed(5)
    LlamaForCausalLM(LlamaConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def prepared(folder: Path, documents: int = 60, *, kind: str = "chat", seed: int = 3) -> Path:
    """Documents that can be learnt: each counts on from a number of its own."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {"format": 1, "kind": kind}
    for part, count in (("train", documents), ("eval", documents // 6)):
        columns: dict[str, list[Any]] = {
            "input_ids": [], "loss_mask": [], "length": [], "source": [],
        }  # fmt: skip
        for number in range(count):
            length = int(random.integers(6, 40))
            begin = int(random.integers(10, 200))
            columns["input_ids"].append([(begin + at) % 300 + 10 for at in range(length)])
            prompt = length // 3 if kind == "chat" else 0
            columns["loss_mask"].append([0] * prompt + [1] * (length - prompt))
            columns["length"].append(length)
            columns["source"].append(f"data/{part}.jsonl:{number + 1}")
        table = pa.table(
            {
                "input_ids": pa.array(columns["input_ids"], pa.list_(pa.int32())),
                "loss_mask": pa.array(columns["loss_mask"], pa.list_(pa.int8())),
                "length": pa.array(columns["length"], pa.int32()),
                "source": columns["source"],
            }
        )
        pq.write_table(table, folder / f"{part}.parquet")
        digest = hashlib.sha256((folder / f"{part}.parquet").read_bytes()).hexdigest()
        told[part] = {"rows": count, "sha256": digest}
    (folder / "manifest.json").write_text(json.dumps(told))
    return folder


def pairs(folder: Path, documents: int = 24) -> Path:
    """Preference pairs: counting on is chosen, counting back is rejected."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(4)
    for part, count in (("train", documents), ("eval", 4)):
        begins = [int(begin) for begin in random.integers(40, 200, count)]
        ways = {"chosen": 1, "rejected": -1}
        columns: dict[str, Any] = {"length": [20] * count}
        columns["source"] = [f"data/{part}.jsonl:{at + 1}" for at in range(count)]
        for name, way in ways.items():
            columns[f"{name}_ids"] = [
                [begin + at for at in range(4)] + [begin + way * at for at in range(4, 10)]
                for begin in begins
            ]
            columns[f"{name}_mask"] = [[0] * 4 + [1] * 6] * count
        pq.write_table(pa.table(columns), folder / f"{part}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "kind": "preference"}))
    return folder


def job(base: Path, data: Path, out: Path, **changed: Any) -> TrainingJob:
    """A short training that learns something."""
    plain = TrainingJob(
        name="tiny", base=str(base), data=str(data), out=str(out), rank=4, alpha=8, sequence=64,
        micro_batch=2, accumulation=2, learning_rate=5e-3, steps=8, save_every=3, warmup=0.1,
        cores=1,
    )  # fmt: skip
    return replace(plain, **changed)


def lines(folder: Path) -> list[dict[str, Any]]:
    """What a training told, the later line of a step that was done twice."""
    text = (folder / "progress.jsonl").read_text().splitlines()
    told = {line["step"]: line for line in map(json.loads, text)}
    return [told[step] for step in sorted(told)]


def losses(folder: Path) -> list[float]:
    return [float(line["loss"]) for line in lines(folder)]
