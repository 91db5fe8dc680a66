"""The plan of a training: figures by value, laws, and refusals that name what then fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmops.errors import RefusedError
from llmops.finetuning import FineTune, parse_finetune
from llmops.finetuning.planning import (
    Counts,
    Speed,
    TrainingFacts,
    TrainingPlan,
    changed_by,
    plan_document,
    plan_training,
    warnings_of,
)
from llmops.planning import Gpu, MachineFacts, ModelFacts
from tests.planning.training.profiles import CASES

GIB = 2**30
HEAD = "kind: FineTune\nname: style\nmodel: {source: hf://o/n}\n"
DATA = "data: {train: [{source: a.jsonl}], split: 0.05}\n"
PAIRS = "data: {train: [{source: a.jsonl, format: preference}], split: 0.05}\n"
CPU = MachineFacts(
    cores=4, memory=32 * GIB, memory_free=24 * GIB, disk_free=2**50, gpus=(), port_owner="",
    endpoint_port=None,
)  # fmt: skip


def model(name: str = "smollm2-135m", **changes: Any) -> ModelFacts:
    text = (CASES / "architectures" / f"{name}.yaml").read_text()
    config = yaml.safe_load(text)["config"] | changes
    return ModelFacts(
        source="hf://o/n", revision="0" * 40, config=config, parameters=0, weight_bytes=0,
        dtypes={}, download_bytes=0, chat_template=True, converted=False,
    )  # fmt: skip


def spec(text: str = "", data: str = DATA) -> FineTune:
    return parse_finetune(HEAD + data + text).value


def gpus(count: int, size: int = 80) -> MachineFacts:
    gpu = Gpu("NVIDIA H100 80GB HBM3", size * GIB, size * GIB)
    return replace(CPU, cores=64, gpus=(gpu,) * count)


def plan(
    text: str = "", name: str = "smollm2-135m", machine: MachineFacts = CPU, **facts: Any
) -> TrainingPlan:
    return plan_training(spec(text), TrainingFacts(model(name), machine, **facts))


def size(made: TrainingPlan, name: str) -> int:
    return sum(line.bytes for line in made.memory if line.name == name)


def test_adapters_on_one_worker_by_value() -> None:
    """134,515,008 weights of 4 bytes; adapters of rank 16 on all linear layers: 4,884,480."""
    made = plan("training: {sequence: 512, tokens_per_step: 2048}\n")
    assert (made.device, made.strategy, made.precision.value) == ("cpu", "ddp", "float32")
    assert made.model.trainable.value == 4_884_480
    assert size(made, "weights") == 4 * 134_515_008
    assert size(made, "adapters") == size(made, "gradients") == 4 * 4_884_480
    assert size(made, "optimiser") - 8 * 4_884_480 == 4 * 420  # a count of steps for each matrix
    assert made.micro_batch.value == 4
    assert (made.accumulation.value, made.tokens_per_step.value) == (1, 2048)
    assert made.learning_rate.value == 2e-4
    assert made.per_worker.value == sum(line.bytes for line in made.memory)
    assert int(made.per_worker.value) <= int(made.room.value)
    assert made.gradient_checkpointing is False


def test_a_step_is_the_nearest_that_sequences_and_workers_divide() -> None:
    made = plan("training: {sequence: 500, tokens_per_step: 4100, workers: 2}\n")
    assert made.tokens_per_step.value == 4000
    assert "the nearest to 4100" in made.tokens_per_step.reason
    rows = int(made.micro_batch.value) * int(made.accumulation.value) * made.workers
    assert rows * 500 == 4000


def test_steps_and_time_are_told_when_their_sources_are_there() -> None:
    text = "training: {sequence: 512, tokens_per_step: 2048, epochs: 2}\n"
    assert plan(text).steps is None
    assert plan(text).seconds is None
    counts = Counts(rows=300, tokens=100_000, longest=480)
    made = plan(text, counts=counts, speed=Speed(1000.0, "run 1 of style"))
    assert made.steps is not None
    assert made.steps.value == 2 * 49  # 196 sequences of 512 tokens, 4 in a step
    assert made.seconds is not None
    assert made.seconds.value == round(98 * 2048 / 1000)
    assert "run 1 of style" in made.seconds.reason
    apart = plan(text.replace("epochs: 2", "epochs: 2, packing: false"), counts=counts)
    assert apart.steps is not None
    assert apart.steps.value == 2 * 75
    fixed = plan("training: {steps: 7}\n", counts=counts)
    assert fixed.steps is not None
    assert fixed.steps.value == 7


def test_auto_takes_fsdp_only_where_ddp_does_not_fit() -> None:
    full = "method: {kind: full}\ntraining: {workers: 4}\n"
    assert plan(full, machine=gpus(4)).strategy == "ddp"
    made = plan(full, "llama-3.1-8b", gpus(4))
    assert made.strategy == "fsdp"
    assert "ddp, with all on each worker, takes" in made.strategy_reason
    assert [one.chosen for one in made.options].count(True) == 1
    assert not any(one.fits for one in made.options if one.strategy == "ddp")


def test_checkpointing_is_chosen_only_where_it_must_be() -> None:
    text = "method: {kind: full}\ntraining: {workers: 4, strategy: fsdp, sequence: 8192,"
    made = plan(text + " tokens_per_step: 32768}\n", "llama-3.1-8b", gpus(4))
    assert made.gradient_checkpointing is True
    assert "without it a worker takes" in made.checkpointing_reason
    assert plan("", machine=gpus(1)).gradient_checkpointing is False


@pytest.mark.parametrize("strategy", ["tensor", "pipeline"])
def test_cut_models_take_less_for_each_worker(strategy: str) -> None:
    one = "method: {kind: full}\ntraining: {sequence: 512, micro_batch: 1, tokens_per_step: 2048"
    cut = f"{one}, strategy: {strategy}, {strategy}: 2, workers: 2}}\n"
    whole, part = plan(one + "}\n", "qwen3-0.6b"), plan(cut, "qwen3-0.6b")
    assert size(whole, "weights") / 2 < size(part, "weights") < size(whole, "weights")
    assert size(part, "optimiser") < size(whole, "optimiser")
    assert part.model.trainable.value == whole.model.trainable.value
    assert part.tokens_per_step.value == 2048


def test_pairs_take_two_sequences_and_full_training_a_base_beside() -> None:
    text = "training: {sequence: 512, tokens_per_step: 2048, micro_batch: 1}\n"
    facts = TrainingFacts(model(), CPU)
    pairs = plan_training(spec(text, PAIRS), facts)
    rows = plan_training(spec(text), facts)
    assert pairs.learning_rate.value == pytest.approx(2e-5)
    assert pairs.packing is False
    assert size(pairs, "activations") > 1.9 * size(rows, "activations")
    assert size(pairs, "reference") == 0
    full = plan_training(spec("method: {kind: full}\n" + text, PAIRS), facts)
    assert size(full, "reference") == 4 * 134_515_008


@given(
    micro=st.integers(1, 15),
    full=st.booleans(),
    checkpointing=st.booleans(),
    sequence=st.sampled_from([128, 256, 512]),
)
@settings(max_examples=30, deadline=None)
def test_memory_grows_with_the_micro_batch(
    micro: int, full: bool, checkpointing: bool, sequence: int
) -> None:
    machine = replace(CPU, memory_free=2**45)
    base = spec(f"method: {{kind: {'full' if full else 'lora'}}}\n")

    def takes(batch: int) -> int:
        changes = {
            "training.micro_batch": batch,
            "training.sequence": sequence,
            "training.tokens_per_step": sequence * 16,
            "training.gradient_checkpointing": checkpointing,
        }
        changed = changed_by(base, changes)
        assert changed is not None
        return int(plan_training(changed, TrainingFacts(model(), machine)).per_worker.value)

    assert takes(micro) < takes(micro + 1)


@given(
    kind=st.sampled_from(["full", "lora"]),
    workers=st.integers(1, 4),
    free=st.integers(2, 40),
    strategy=st.sampled_from(["auto", "ddp", "fsdp", "deepspeed-zero3", "tensor"]),
    name=st.sampled_from(["smollm2-135m", "qwen3-0.6b", "tinyllama-1.1b"]),
    cards=st.sampled_from([0, 0, 2, 4]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_refusal_names_something_that_then_fits(
    kind: str, workers: int, free: int, strategy: str, name: str, cards: int
) -> None:
    dividing = strategy not in ("auto", "ddp")
    workers = max(2, workers) if dividing else workers
    cut = f", tensor: {workers}" if strategy == "tensor" else ""
    text = (
        f"method: {{kind: {'full' if cut else kind}}}\ntraining: {{workers: {workers},"
        f" strategy: {strategy}, micro_batch: 1{cut}}}\n"
    )
    machine = gpus(cards, free) if cards else replace(CPU, memory_free=free * GIB)
    asked, facts = spec(text), TrainingFacts(model(name), machine)
    refusal = _refusal(asked, facts)
    if refusal is not None:
        assert refusal.exit_code == 3
        assert refusal.hint
        changed = changed_by(asked, refusal.changes)
        assert changed is not None
        asked = changed if refusal.changes else asked
    if refusal is None or refusal.changes:
        made = plan_training(asked, facts)
        assert int(made.per_worker.value) <= int(made.room.value)
        assert made.strategy == asked.training.strategy or asked.training.strategy == "auto"


def _refusal(asked: FineTune, facts: TrainingFacts) -> RefusedError | None:
    try:
        plan_training(asked, facts)
    except RefusedError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("text", "name", "machine", "says", "changes"),
    [
        (
            "method: {kind: full}\n", "qwen3-0.6b", replace(CPU, memory_free=8 * GIB),
            "it does not fit: full by ddp", {"method.kind", "training.sequence"},
        ),
        (
            "training: {micro_batch: 8}\n", "smollm2-135m", replace(CPU, memory_free=16 * GIB),
            "8 x 2048 tokens at once", {"training.micro_batch"},
        ),
        (
            "hardware: {memory: 2GiB}\n", "smollm2-135m", CPU, "hardware.memory",
            {"hardware.memory"},
        ),
        (
            "method: {kind: full}\ntraining: {strategy: ddp, workers: 4}\n", "llama-3.1-8b",
            gpus(4), "for each of 4 worker(s)", {"training.strategy"},
        ),
        (
            "method: {kind: full}\n", "llama-3.1-8b", gpus(4), "for each of 1 worker(s)",
            {"training.workers"},
        ),
        (
            "training: {workers: 8}\n", "smollm2-135m", CPU, "this machine has 4",
            {"training.workers"},
        ),
        (  # were each number of workers tried with all others, this would take minutes
            "training: {workers: 1024, tokens_per_step: 3000000}\n", "smollm2-135m", CPU,
            "this machine has 4", {"training.workers"},
        ),
        (
            "hardware: {device: gpu}\n", "smollm2-135m", CPU, "this machine has none",
            {"hardware.device"},
        ),
        ("method: {kind: qlora}\n", "smollm2-135m", CPU, "4 bits", {"method.kind"}),
        (
            "training: {precision: float16}\n", "smollm2-135m", CPU, "float16 is computed on a GPU",
            {"training.precision"},
        ),
        (
            "training: {precision: bfloat16, strategy: deepspeed-zero2, workers: 2}\n",
            "smollm2-135m", CPU, "bfloat16 with deepspeed-zero2", {"training.precision"},
        ),
        (
            "hardware: {memory: 2GiB}\n", "llama-3.1-8b", gpus(1), "hardware.memory",
            {"hardware.memory"},
        ),
        (
            "method: {kind: full}\ntraining: {strategy: tensor, tensor: 2, workers: 2}\n",
            "smollm2-135m", CPU, "9 attention heads, which 2 workers do not divide",
            {"training.strategy", "training.tensor", "training.pipeline"},
        ),
        (
            "training: {sequence: 16384}\n", "smollm2-135m", CPU,
            "sequences of 16384 tokens are longer than the 8192", {"training.sequence"},
        ),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused_with_figures_and_the_nearest(
    text: str, name: str, machine: MachineFacts, says: str, changes: set[str]
) -> None:
    asked, facts = spec(text), TrainingFacts(model(name), machine)
    with pytest.raises(RefusedError) as caught:
        plan_training(asked, facts)
    assert says in caught.value.message
    assert set(caught.value.changes) == changes, caught.value.hint
    assert caught.value.hint.startswith("set ")
    changed = changed_by(asked, caught.value.changes)
    assert changed is not None
    plan_training(changed, facts)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (TrainingFacts(model("llama-3.1-405b"), CPU), "it does not fit"),
        (TrainingFacts(model("bert-base-uncased"), CPU), "generate text"),
        (TrainingFacts(model("flan-t5-base"), CPU), "an encoder beside its decoder"),
        (
            TrainingFacts(model(quantization_config={"quant_method": "gptq", "bits": 4}), CPU),
            "quantised already",
        ),
        (TrainingFacts(model(), replace(CPU, disk_free=1000)), "of disk"),
    ],
)
def test_what_nothing_helps_is_refused_without_a_false_hope(
    facts: TrainingFacts, says: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        plan_training(spec(), facts)
    assert says in caught.value.message
    assert caught.value.changes == {}
    assert caught.value.hint


def test_identity_is_of_what_is_trained_and_not_of_where() -> None:
    first = plan()
    assert plan(machine=replace(CPU, memory_free=20 * GIB)).identity == first.identity
    assert plan("checkpoints: {every: 5}\n").identity == first.identity
    assert plan("training: {seed: 4}\n").identity != first.identity


def test_the_document_has_stable_keys() -> None:
    assert list(plan_document(plan())) == [
        "kind", "name", "identity", "model", "method", "device", "strategy", "strategy_reason",
        "workers", "tensor", "pipeline", "cores", "precision", "gradient_checkpointing",
        "checkpointing_reason", "packing", "sequence", "micro_batch", "accumulation",
        "tokens_per_step", "learning_rate", "steps", "save_every", "keep", "evaluate_every",
        "seconds", "memory", "per_worker", "room", "total", "disk", "options", "notes",
    ]  # fmt: skip


def test_what_may_hurt_is_warned_of() -> None:
    text = HEAD + "data: {train: [{source: 'hf://o/n'}], personal_data: keep}\n"
    told = " ".join(warnings_of(parse_finetune(text).value))
    for words in ("data.train[0] has no revision", "no gate", "nothing is held out", "people"):
        assert words in told
    pinned = HEAD + (
        f"data: {{train: [{{source: 'hf://o/n', revision: {'a' * 40}}}], split: 0.1}}\n"
        "eval: [{set: held-out, metric: perplexity, no_worse_than: base}]\n"
    )
    assert warnings_of(parse_finetune(pinned).value) == ()
