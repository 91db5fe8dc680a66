"""Tokens each second of a fine-tuning, against trl's SFTTrainer: as people start it, and tuned.

    .venv/bin/python -m benchmarks.finetune [ROUNDS [DOCUMENTS]]
    .venv/bin/python -m benchmarks.finetune wall [ROUNDS [DOCUMENTS]]

The same base, data, adapters, optimiser and seed, one epoch, one process with all cores, each side
in a process of its own and in turn; ours twice, as the noise floor. Tokens are those of documents:
filling counts for nobody. The time is that of the training loop, from its start to its last step.
The loss on what is held out is computed the same way for all, from the adapters that each leaves.
"As people start it" keeps the defaults of `SFTConfig` for batches, lengths and gradient
checkpointing; tuned packs, switches that off, and fills as many tokens into a step as ours. A
speed says nothing where it was bought with the loss: whether that is equal is told beside each.

`wall` takes the time of whole processes instead, imports, Ray and what is written included: the
training as a run starts it, against a plain script that does the same with trl, tuned.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from serving.finetune.training import TrainingJob, job_from_json

SIDES = ("llmops", "trl", "trl tuned", "llmops again")
SEQUENCE, ROWS, RATE = 512, 4, 1e-3
AIM_TRL, AIM_TUNED, AIM_WALL = 2.0, 1.0, 1.05

EQUAL = 0.01
"""Share by which our loss on what is held out may be above theirs and still be called equal: about
what another seed changes."""

WHOLE = ("llmops", "plain script", "llmops again")


def base(folder: Path) -> Path:
    """A Llama of some 8 million parameters, untrained, with a byte-level tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    from tests.support.tiny_model import make_tiny_model

    make_tiny_model(folder, layers=4, heads=4, kv_heads=4, hidden=256, vocabulary=8192,
                    positions=SEQUENCE)  # fmt: skip
    set_seed(5)
    LlamaForCausalLM(LlamaConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def prepared(folder: Path, documents: int) -> Path:
    """Documents of 20 to 400 tokens, most of them short, as chats are; a third is the prompt."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(11)
    folder.mkdir()
    for part, count in (("train", documents), ("eval", max(8, documents // 8))):
        sizes = np.clip(random.lognormal(4.4, 0.6, count), 20, 400).astype(int)
        begins = random.integers(0, 8000, count)
        ids = [
            [int(b + at) % 8000 + 10 for at in range(n)] for b, n in zip(begins, sizes, strict=True)
        ]
        masks = [[0] * (n // 3) + [1] * (n - n // 3) for n in sizes]
        table = pa.table({
            "input_ids": pa.array(ids, pa.list_(pa.int32())),
            "loss_mask": pa.array(masks, pa.list_(pa.int8())),
            "length": pa.array(sizes, pa.int32()),
            "source": [f"{part}:{at + 1}" for at in range(count)],
        })  # fmt: skip
        pq.write_table(table, folder / f"{part}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"kind": "chat"}))
    return folder


def ours(job: TrainingJob) -> tuple[float, Path]:
    """Seconds of the loop, and where the adapters are."""
    from serving.finetune.training import steps
    from serving.finetune.training.worker import train

    began: list[float] = []
    begin = steps.Steps.begin

    def noted(self: Any, step: int) -> None:
        begin(self, step)
        began.append(time.monotonic())

    steps.Steps.begin = noted  # type: ignore[method-assign]
    train(job)
    lines = (job.folder / "progress.jsonl").read_text().splitlines()
    ended = time.monotonic() - (time.time() - json.loads(lines[-1])["time"])
    return ended - began[0], job.folder / "final"


def theirs(job: TrainingJob, *, tuned: bool, evaluated: bool) -> tuple[float, Path]:
    """The same of trl's trainer; `evaluated`: with the loss on what is held out at the end."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    data, held = (
        Dataset.from_parquet(f"{job.data}/{part}.parquet", keep_in_memory=True)
        .rename_column("loss_mask", "completion_mask")
        .select_columns(["input_ids", "completion_mask"])
        for part in ("train", "eval")
    )
    chosen: dict[str, Any] = {"bf16": False}  # no CPU here computes it any faster
    if tuned:
        chosen |= {
            "packing": True, "max_length": SEQUENCE, "per_device_train_batch_size": ROWS,
            "gradient_checkpointing": False, "dataloader_pin_memory": False,
        }  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    tokenizer.pad_token = tokenizer.eos_token
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(job.base, dtype="float32"),
        args=SFTConfig(
            output_dir=job.out, num_train_epochs=1, learning_rate=RATE, seed=job.seed, use_cpu=True,
            report_to=[], save_strategy="no", disable_tqdm=True, **chosen,
        ),
        train_dataset=data, eval_dataset=held if evaluated else None, processing_class=tokenizer,
        peft_config=LoraConfig(r=job.rank, lora_alpha=job.alpha, target_modules="all-linear"),
    )  # fmt: skip
    began = time.monotonic()
    trainer.train()
    took = time.monotonic() - began
    if evaluated:
        trainer.evaluate()
    trainer.save_model(f"{job.out}/final")
    return took, Path(job.out) / "final"


def held_out(job: TrainingJob, adapters: Path) -> float:
    """Mean loss of a learnt token, each document alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from serving.finetune.training.batches import Shape, batch, learnt, summed_loss
    from serving.finetune.training.rows import Documents, unpack

    folder = Path(job.out) / "held-out"
    unpack(Path(job.data) / "eval.parquet", "e", folder)
    documents = Documents(folder)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32), adapters
    ).eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for number in range(len(documents)):
            inputs = batch(documents, [(number,)], Shape(SEQUENCE, 0))
            total += float(summed_loss(model, inputs, slim=False))
            count += int(learnt(inputs["targets"]))
    return total / count


def side(name: str, path: Path) -> None:
    """Run one side in this process, and print its figures."""
    import pyarrow.parquet as pq

    job = job_from_json(path.read_text())
    if name == "plain script":
        theirs(job, tuned=True, evaluated=True)
        return
    mine = name.startswith("llmops")
    took, adapters = ours(job) if mine else theirs(job, tuned=name != "trl", evaluated=False)
    tokens = sum(pq.read_table(f"{job.data}/train.parquet")["length"].to_pylist())
    print(json.dumps({"rate": tokens / took, "loss": held_out(job, adapters)}))


def main() -> None:
    """Measure in turn, print."""
    if sys.argv[1:2] == ["side"]:
        side(sys.argv[2], Path(sys.argv[3]))
        return
    wall = sys.argv[1:2] == ["wall"]
    given = [int(word) for word in sys.argv[2 if wall else 1 :]]
    rounds, documents = (*given, *((2, 4000) if wall else (5, 800))[len(given) :])
    kept = _measured(WHOLE if wall else SIDES, rounds, documents)
    print(f"  {rounds} rounds, {documents} documents")
    (_print_wall if wall else _print)(kept)


def _measured(
    names: tuple[str, ...], rounds: int, documents: int
) -> dict[str, list[dict[str, float]]]:
    """What each side told in each round."""
    kept: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as place:
        model, data = base(Path(place) / "base"), prepared(Path(place) / "data", documents)
        for number in range(rounds):
            for name in names[:: 1 if number % 2 == 0 else -1]:
                out = Path(place) / f"{number}-{name.replace(' ', '-')}"
                out.mkdir(mode=0o700)
                job = TrainingJob(
                    name="bench", base=str(model), data=str(data), out=str(out), rank=16, alpha=32,
                    sequence=SEQUENCE, micro_batch=ROWS, learning_rate=RATE, schedule="linear",
                    warmup=0.0, epochs=1, save_every=10**6,
                )  # fmt: skip
                (out / "job.json").write_text(job.to_json())
                kept[name].append(_one(name, out / "job.json", whole=names is WHOLE))
    return kept


def _one(name: str, job: Path, *, whole: bool) -> dict[str, float]:
    """One process, to its end; its own figures, or how long all of it took."""
    command = [sys.executable, "-m", "benchmarks.finetune", "side", name, str(job)]
    if whole and name.startswith("llmops"):
        command = [sys.executable, "-m", "serving.finetune.training", str(job)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"{name}: {done.stderr[-3000:]}")
    found: dict[str, float] = {} if whole else json.loads(done.stdout.splitlines()[-1])
    return found | {"seconds": took}


def _print(kept: dict[str, list[dict[str, float]]]) -> None:
    rates = {name: [one["rate"] for one in kept[name]] for name in SIDES}
    middle = {name: statistics.median(values) for name, values in rates.items()}
    loss = {name: statistics.median(one["loss"] for one in kept[name]) for name in SIDES}
    for name in SIDES:
        low, high = min(rates[name]), max(rates[name])
        spread = f"{middle[name]:8.0f} tokens/s ({low:.0f} to {high:.0f})"
        print(f"  {name:12}  {spread}  held out {loss[name]:.4f}")
    for name, what, aim in (
        ("trl", "to trl as started", AIM_TRL), ("trl tuned", "to trl tuned", AIM_TUNED),
    ):  # fmt: skip
        equal = loss["llmops"] <= loss[name] * (1 + EQUAL)
        told = "at a loss no higher" if equal else "AT A HIGHER LOSS, so it does not count"
        print(f"  {what} {middle['llmops'] / middle[name]:.2f} (aim at least {aim}), {told}")
    print(f"  A/A {middle['llmops again'] / middle['llmops']:.3f}")


def _print_wall(kept: dict[str, list[dict[str, float]]]) -> None:
    took = {name: [one["seconds"] for one in kept[name]] for name in WHOLE}
    middle = {name: statistics.median(values) for name, values in took.items()}
    for name in WHOLE:
        print(
            f"  {name:12}  {middle[name]:7.1f} s ({min(took[name]):.1f} to {max(took[name]):.1f})"
        )
    own, plain = middle["llmops"], middle["plain script"]
    print(f"  to the plain script {own / plain:.3f} (aim at most {AIM_WALL}), {own - plain:+.1f} s")
    print(f"  A/A {middle['llmops again'] / own:.3f}")


if __name__ == "__main__":
    main()
