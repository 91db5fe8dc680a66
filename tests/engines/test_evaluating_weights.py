"""Weights are measured exactly, and a batch gives what its items give alone."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmops.evaluating import Item, ItemSet, Metric, Turn
from serving.evaluate import Settings, Task, Weights, compare, evaluate
from serving.evaluate import worker as module
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1200)]

PROMPTS = (
    "one",
    "the old wind of the north",
    "so it is in the end, and on and on",
    "x y",
    "a",
    "in",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def adapter(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter whose matrices are random, so that it changes every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    made: Any = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, value in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.5)
    path = tmp_path_factory.mktemp("adapter")
    made.save_pretrained(path)
    return path


def job(model: Path) -> dict[str, Any]:
    return {"base": str(model), "adapter": None, "seed": 17, "batch": 4}


@pytest.fixture(scope="module")
def loaded(model: Path) -> module._Model:
    return module._Model(job(model), io.StringIO())


def test_a_batch_says_what_its_items_say_alone(loaded: module._Model) -> None:
    ids = [list(loaded.tokenizer(text).input_ids) for text in PROMPTS]
    assert len({len(row) for row in ids}) > 3, "the batch has to need padding"
    together = loaded.generate(ids, 24)
    alone = [loaded.generate([row], 24)[0] for row in ids]
    assert together == alone
    assert len({tuple(row) for row in alone}) == len(alone), "the answers must differ to tell"


def test_likelihoods_are_those_of_the_plain_formula(loaded: module._Model) -> None:
    import torch

    item = {"id": "1", "prompt": "the old wind", "references": [" of the north"]}
    ids, learnt = loaded._text(item)
    longer, on = loaded._text({**item, "prompt": "so it is, the old wind on and on"})
    padded = loaded._losses([longer, ids], [on, learnt])[1]
    logits = loaded._model(torch.tensor([ids])).logits[0].double()
    expected = sum(
        -float(torch.log_softmax(logits[at - 1], dim=-1)[ids[at]])
        for at in range(1, len(ids))
        if learnt[at]
    )
    assert padded[1] == sum(learnt)
    assert padded[0] == pytest.approx(expected, rel=1e-4)
    assert loaded.tokenizer.decode([i for i, on in zip(ids, learnt, strict=True) if on]) == (
        " of the north"
    )


def test_a_chats_reference_is_weighed_after_its_template(loaded: module._Model) -> None:
    chat = {"messages": [{"role": "user", "content": "Hi"}], "references": ["Hello"]}
    ids, learnt = loaded._text(chat)
    cut = learnt.index(True)
    assert loaded.tokenizer.decode(ids[:cut]).endswith("user: Hi\nassistant: ")
    assert loaded.tokenizer.decode(ids[cut:]) == "Hello"


def tasks() -> list[Task]:
    items = tuple(
        Item(str(n), text, references=("and so on",)) for n, text in enumerate(PROMPTS * 4)
    )
    chat = Item("chat", "", (Turn("user", "Hi"),), ("Hello",))
    wanted = (Metric.ROUGE_L, Metric.PERPLEXITY)
    return [
        Task(ItemSet("exam", items), wanted, max_tokens=8),
        Task(ItemSet("chats", (chat,)), (Metric.EXACT_MATCH,), max_tokens=4),
    ]


def test_base_and_adapter_are_measured_and_compared(
    model: Path, adapter: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    base = evaluate(Weights(model), tasks(), tmp_path / "base", said.append)
    tuned = evaluate(Weights(model, adapter), tasks(), tmp_path / "tuned", said.append)
    assert "25 of 49 items measured" in said
    for found in (base, tuned):
        assert [s.missing for s in found.scores] == [(), (), ()]
        assert not found.latency, "times of a batch say nothing"
    ours, theirs = (f.of("exam", Metric.PERPLEXITY) for f in (tuned, base))
    assert ours is not None
    assert theirs is not None
    assert ours.value != theirs.value
    assert compare(ours, theirs).n == 24
    assert evaluate(Weights(model), tasks(), tmp_path / "base", said.append) == base


def test_an_item_beyond_the_context_is_missing_and_says_why(model: Path, tmp_path: Path) -> None:
    long = Item("long", "so " * 600, references=("x",))
    task = Task(ItemSet("exam", (long,)), (Metric.EXACT_MATCH, Metric.PERPLEXITY), max_tokens=8)
    found = evaluate(Weights(model), [task], tmp_path, lambda _: None)
    assert [s.missing for s in found.scores] == [("long",), ("long",)]
    assert "exceed the context of 512" in found.lost["exam/long"]


def test_a_killed_evaluation_goes_on_and_leaves_no_process(model: Path, tmp_path: Path) -> None:
    items = [
        {"id": str(n), "prompt": f"{text} {n}", "reference": "x"}
        for n, text in enumerate(PROMPTS * 4)
    ]
    exam = tmp_path / "exam.jsonl"
    exam.write_text("".join(json.dumps(item) + "\n" for item in items))
    program = (
        "import sys; from pathlib import Path; from serving.evaluate import *\n"
        "from llmops.evaluating import Metric\n"
        "task = Task(read_set(Path(sys.argv[2])), (Metric.EXACT_MATCH,), 32)\n"
        "model, folder = Path(sys.argv[1]), Path(sys.argv[3])\n"
        "evaluate(Weights(model), [task], folder, print, Settings(concurrency=1))"
    )
    folder = tmp_path / "e"
    process = subprocess.Popen([sys.executable, "-c", program, model, exam, folder])
    journal = folder / "answers.jsonl"
    try:
        end = time.monotonic() + 500
        while not journal.exists() or journal.read_text().count("\n") < 4:
            assert time.monotonic() < end, "nothing was measured"
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.05)
        [child] = psutil.Process(process.pid).children()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        process.kill()
    known = journal.read_text().count("\n") - 1
    print(f"killed {process.pid} after {known} items")
    assert known < len(items), "the fault did not land"
    _, alive = psutil.wait_procs([child], timeout=120)
    assert not alive, "the process that measures outlived the one that asked"
    from serving.evaluate import read_set

    task = Task(read_set(exam), (Metric.EXACT_MATCH,), 32)
    said: list[str] = []
    found = evaluate(Weights(model), [task], folder, said.append, Settings(concurrency=1))
    assert found.scores[0].n == len(items)
    assert f"{len(items) - known} of {len(items) - known} items measured" in said
    kept = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert sorted(record["item"] for record in kept) == sorted(item["id"] for item in items)
