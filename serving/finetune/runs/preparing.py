"""The stage in which the rows are prepared, and the training is planned upon what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from serving.finetune.runs import store
from serving.finetune.runs.handed import Tell, base_of, spec_of
from serving.finetune.runs.paths import RunPaths
from serving.finetune.runs.progress import last_progress

if TYPE_CHECKING:
    from llmops.finetuning import FineTune
    from llmops.finetuning.planning import Counts, Speed, TrainingPlan
    from serving.finetune.training import TrainingJob

    Precision = Literal["float32", "bfloat16", "float16"]


def data(paths: RunPaths, tell: Tell) -> None:
    """Prepare the rows, plan, and leave the training's job.

    Raises:
        InputError: When the data is not what the spec says it is.
        RefusedError: When what the data holds cannot be trained on here.
    """
    from llmops.finetuning.planning import plan_document, plan_training
    from serving.finetune.data import prepare, settings_of
    from serving.lookup import training_facts

    spec, base = spec_of(paths), base_of(paths)
    had = prepare(settings_of(spec), base, paths.named.data, tell)
    store.write_json(paths.prepared, {"folder": str(had.folder), "digest": had.digest})
    tell("planning the training")
    facts = training_facts(
        paths.named.home,
        spec.model.source,
        store.read(paths).revision,
        counts=counts_of(had.manifest),
        speed=speed_of(paths),
        offline=True,
    )
    plan = plan_training(spec, facts)
    store.write_json(paths.plan, plan_document(plan))
    paths.job.with_suffix(".new").write_text(job_of(spec, plan, base, had.folder, paths).to_json())
    paths.job.with_suffix(".new").replace(paths.job)


def counts_of(manifest: Mapping[str, Any]) -> Counts:
    """What prepared data holds, as its manifest counts it."""
    from llmops.finetuning.planning import Counts

    train = manifest["train"]
    return Counts(int(train["rows"]), int(train["tokens"]), int(train["longest"]))


def speed_of(paths: RunPaths) -> Speed | None:
    """How fast the run before this one was; None when there was none."""
    from llmops.finetuning.planning import Speed

    for number in reversed([one for one in paths.named.numbers() if one < paths.number]):
        told = last_progress(paths.named.run(number).progress).get("tokens_per_second")
        if isinstance(told, int | float) and told > 0:
            return Speed(float(told), f"run {number} of {paths.named.name}")
    return None


def job_of(
    spec: FineTune, plan: TrainingPlan, base: Path, prepared: Path, paths: RunPaths
) -> TrainingJob:
    """The training's job: the spec's words, and the plan's figures where the spec leaves them.

    Raises:
        InputError: When they contradict each other.
        RefusedError: When the training does not offer it.
    """
    from llmops.finetuning import Full
    from serving.finetune.training import TrainingJob

    training = spec.training
    adapters: dict[str, Any] = {}
    if not isinstance(spec.method, Full):
        targets = spec.method.targets
        adapters = {
            "rank": spec.method.rank,
            "alpha": spec.method.scale,
            "dropout": spec.method.dropout,
            "targets": (targets,) if isinstance(targets, str) else targets,
        }
    return TrainingJob(
        name=spec.name,
        base=str(base),
        data=str(prepared),
        out=str(paths.folder),
        method=spec.method.kind,
        strategy=plan.strategy,
        workers=plan.workers,
        tensor=plan.tensor,
        pipeline=plan.pipeline,
        cores=int(plan.cores.value),
        precision=cast("Precision", plan.precision.value),  # the job refuses any other word
        gradient_checkpointing=plan.gradient_checkpointing,
        packing=plan.packing,
        sequence=plan.sequence,
        micro_batch=int(plan.micro_batch.value),
        accumulation=int(plan.accumulation.value),
        learning_rate=float(plan.learning_rate.value),
        schedule=training.schedule,
        warmup=training.warmup,
        weight_decay=training.weight_decay,
        clip=training.clip,
        epochs=None if training.steps else training.epochs,
        steps=training.steps,
        seed=training.seed,
        save_every=plan.save_every,
        keep=plan.keep,
        eval_every=plan.evaluate_every,
        objective="dpo" if spec.preference else "sft",
        beta=training.beta,
        **adapters,
    )
