"""What no training can mean: strategies, sizes and figures, compared. Pure.

What only the model or the machine can tell is refused by the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

from llmops.finetuning.method import ALL_LINEAR, Full, Lora, Qlora
from llmops.finetuning.model import FineTune
from llmops.spec import Finding, Trail, Written

DIVIDING = ("fsdp", "deepspeed-zero1", "deepspeed-zero2", "deepspeed-zero3")
"""Strategies that divide what workers hold."""

OF_WHOLE_WEIGHTS = ("fsdp", "deepspeed-zero3")
"""Those of them that divide the weights too."""

SLOWEST = 1e-7
"""Learning rate below which 16 bits of a weight do not change, and nobody means to train."""

FASTEST = {"full": 0.01, "lora": 0.05, "qlora": 0.05}
"""Learning rate above which training diverges, by a wide margin: a hundred times what is usual."""


def find_in_training(spec: FineTune, written: Written) -> Iterator[Finding]:
    """Everything of method, training, checkpoints and hardware that contradicts itself."""
    yield from _targets(spec)
    yield from _cut(spec)
    yield from _divided(spec)
    yield from _four_bits(spec)
    yield from _precision(spec)
    yield from _rate(spec)
    yield from _length(spec, written)
    yield from _batch(spec, written)
    yield from _pairs(spec, written)


def _targets(spec: FineTune) -> Iterator[Finding]:
    if not isinstance(spec.method, Lora) or spec.method.targets == ALL_LINEAR:
        return
    trail: Trail = ("method", "targets")
    names = spec.method.targets
    if not names:
        yield Finding(
            trail, "expected at least one layer, found an empty list",
            "write all-linear, or names such as [q_proj, v_proj]",
        )  # fmt: skip
    for at, name in enumerate(names):
        if name in names[:at]:
            yield Finding(
                (*trail, at), f"expected each layer once, found '{name}' again", "remove one"
            )


def _cut(spec: FineTune) -> Iterator[Finding]:
    """Tensor and pipeline strategies: one size, which is all workers."""
    training = spec.training
    for name, verb in (("tensor", "cut"), ("pipeline", "dealt out")):
        size, trail = getattr(training, name), ("training", name)
        about: tuple[Trail, ...] = (("training", "strategy"), ("training", "workers"))
        if training.strategy != name:
            if size > 1:
                yield Finding(
                    trail, f"expected 1 for the strategy '{training.strategy}', found {size}",
                    f"write strategy: {name}, or remove it", about[:1],
                )  # fmt: skip
            continue
        if size == 1:
            yield Finding(
                trail, f"expected at least 2: with 1 no layers are {verb}",
                f"write {name}: {max(2, training.workers)}, or strategy: auto", about[:1],
            )  # fmt: skip
        elif size != training.workers:
            yield Finding(
                trail, f"expected training.workers ({training.workers}), found {size}",
                f"this version has no groups of workers beside it: write workers: {size}", about,
            )  # fmt: skip
        yield from _only_whole(spec, name)


def _only_whole(spec: FineTune, name: str) -> Iterator[Finding]:
    trail: Trail = ("training", "strategy")
    if not isinstance(spec.method, Full):
        yield Finding(
            trail, f"expected another for the method '{spec.method.kind}', found '{name}'",
            "this version cuts models whose every weight is trained: method: {kind: full};"
            " adapters take little memory: strategy: auto", (("method",),),
        )  # fmt: skip
    if spec.preference:
        yield Finding(
            trail, f"expected another for preference pairs, found '{name}'",
            "write strategy: auto", (("data", "train"),),
        )  # fmt: skip


def _divided(spec: FineTune) -> Iterator[Finding]:
    training = spec.training
    if training.strategy in DIVIDING and training.workers == 1:
        yield Finding(
            ("training", "strategy"),
            f"expected at least 2 workers for '{training.strategy}', found 1",
            "write workers: 2 or more, or strategy: auto: one worker holds all",
            (("training", "workers"),),
        )  # fmt: skip


def _four_bits(spec: FineTune) -> Iterator[Finding]:
    if not isinstance(spec.method, Qlora):
        return
    if spec.hardware.device == "cpu":
        yield Finding(
            ("method", "kind"), "expected 'lora' or 'full' for the device cpu, found 'qlora'",
            "weights in 4 bits need a GPU: write kind: lora", (("hardware", "device"),),
        )  # fmt: skip
    if spec.training.strategy in OF_WHOLE_WEIGHTS:
        yield Finding(
            ("training", "strategy"),
            f"expected another for the method 'qlora', found '{spec.training.strategy}'",
            "weights in 4 bits are not divided by this version: write strategy: ddp",
            (("method", "kind"),),
        )


def _precision(spec: FineTune) -> Iterator[Finding]:
    if spec.training.precision == "float16" and spec.hardware.device == "cpu":
        yield Finding(
            ("training", "precision"), "expected float32 or bfloat16 on a CPU, found 'float16'",
            "write precision: auto", (("hardware", "device"),),
        )  # fmt: skip


def _rate(spec: FineTune) -> Iterator[Finding]:
    rate, kind = spec.training.learning_rate, spec.method.kind
    if rate == "auto":
        return
    trail: Trail = ("training", "learning_rate")
    usual = "1e-5 to 1e-4" if kind == "full" else "1e-5 to 1e-3"
    hint = f"usual are {usual}; or write auto"
    if rate > FASTEST[kind]:
        message = f"expected at most {FASTEST[kind]:g} for the method '{kind}', found {rate:g}"
        yield Finding(trail, message, hint, (("method", "kind"),))
    elif rate < SLOWEST:
        yield Finding(trail, f"expected at least {SLOWEST:g}, found {rate:g}", hint)


def _length(spec: FineTune, written: Written) -> Iterator[Finding]:
    training = spec.training
    if training.steps is not None and written(("training", "epochs")):
        yield Finding(
            ("training", "steps"), "expected it or training.epochs, found both",
            "remove one of them", (("training", "epochs"),), key=True,
        )  # fmt: skip
    steps: Trail = ("training", "steps")
    for trail, value in (
        (("training", "evaluate_every"), training.evaluate_every),
        (("checkpoints", "every"), spec.checkpoints.every),
    ):
        if training.steps is None or not written(trail) or not isinstance(value, int):
            continue
        if value > training.steps:
            yield Finding(
                trail, f"expected at most training.steps ({training.steps}), found {value}",
                "it would never happen: lower it, or remove it", (steps,),
            )  # fmt: skip
    held = spec.data.split is not None or spec.data.eval
    if written(("training", "evaluate_every")) and not held:
        yield Finding(
            ("training", "evaluate_every"),
            "expected it beside data.eval or data.split, found neither",
            "hold rows out with data.split: 0.05, or remove this", key=True,
        )  # fmt: skip


def groups(spec: FineTune) -> int:
    """How many workers have a part of the batch each."""
    whole = spec.training.strategy in ("tensor", "pipeline")
    return 1 if whole else spec.training.workers


def _batch(spec: FineTune, written: Written) -> Iterator[Finding]:
    training, sharing = spec.training, groups(spec)
    trail: Trail = ("training", "tokens_per_step")
    about: tuple[Trail, ...] = (("training", "sequence"), ("training", "workers"))
    least = training.sequence * sharing
    if training.tokens_per_step < least:
        blamed = next((one for one in (trail, *about) if written(one)), trail)
        yield Finding(
            blamed,
            f"expected training.tokens_per_step of at least {least}, a sequence of"
            f" {training.sequence} for each of {sharing} worker(s), found"
            f" {training.tokens_per_step}",
            f"write tokens_per_step: {least}, or shorter sequences, or fewer workers",
            (trail, *about),
        )
        return
    if training.micro_batch == "auto":
        return
    at_once = training.micro_batch * least
    if at_once > training.tokens_per_step:
        yield Finding(
            ("training", "micro_batch"),
            f"expected at most {training.tokens_per_step // least}, so that {sharing} worker(s) x"
            f" {training.sequence} tokens are no more than training.tokens_per_step"
            f" ({training.tokens_per_step}), found {training.micro_batch}",
            "write auto: it is worked out", (trail, *about),
        )  # fmt: skip


def _pairs(spec: FineTune, written: Written) -> Iterator[Finding]:
    about: tuple[Trail, ...] = (("data", "train"),)
    if spec.preference and spec.training.packing and written(("training", "packing")):
        yield Finding(
            ("training", "packing"), "expected false for preference pairs, found true",
            "remove it: a pair is compared as it is", about,
        )  # fmt: skip
    if not spec.preference and written(("training", "beta")):
        yield Finding(
            ("training", "beta"), "expected it for preference pairs only",
            "remove it, or give rows of format: preference", about, key=True,
        )  # fmt: skip
