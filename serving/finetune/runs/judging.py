"""The stage in which a model answers its exams, and its gate says whether it may serve.

The base's answers are kept beside the runs, since every run of one base has the same exams to
compare with; they are asked for once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import InputError
from serving.finetune.runs import store
from serving.finetune.runs.handed import Tell, base_of, data_of, spec_of
from serving.finetune.runs.paths import RunPaths

if TYPE_CHECKING:
    from llmops.evaluating import Gate
    from llmops.finetuning import FineTune
    from serving.evaluate import Evaluation, Task, Weights


def evaluation(paths: RunPaths, tell: Tell) -> None:
    """Measure the model and what it is compared with; leave what the gate says."""
    from llmops.evaluating import verdicts_document
    from serving.evaluate import decide, evaluate, examine

    spec, base = spec_of(paths), base_of(paths)
    tasks, gates = examine(spec.eval, data_of(paths))
    if not gates:
        store.write_json(paths.gate, verdicts_document(()))
        return
    made = trained(paths, spec, base)
    tell("the trained model answers its exams")
    candidate = evaluate(made, tasks, paths.evaluation / "candidate", tell)
    rivals = {rival: _rival(paths, spec, rival, base, tasks, tell) for rival in _wanted(gates)}
    store.write_json(paths.gate, verdicts_document(decide(gates, candidate, rivals)))


def trained(paths: RunPaths, spec: FineTune, base: Path) -> Weights:
    """What the training made, to be asked."""
    from serving.evaluate import Weights

    if spec.method.kind == "full":
        return Weights(paths.final)
    return Weights(base, paths.final)


def _wanted(gates: Sequence[Gate]) -> tuple[str, ...]:
    """What is compared with, each once."""
    return tuple(dict.fromkeys(gate.no_worse_than for gate in gates if gate.no_worse_than))


def _rival(
    paths: RunPaths, spec: FineTune, rival: str, base: Path, tasks: Sequence[Task], tell: Tell
) -> Evaluation:
    from serving.evaluate import Live, Weights, evaluate

    if rival == "base":
        tell("the base answers the same exams")
        return evaluate(Weights(base), tasks, _base_folder(paths, base, tasks), tell)
    if spec.output.service is None:
        raise InputError("no_worse_than: live needs output.service", path="output.service")
    from serving.local import LocalTarget

    tell(f"{spec.output.service} answers the same exams")
    endpoint = LocalTarget(paths.named.home).endpoint(spec.output.service)
    return evaluate(Live(endpoint), tasks, paths.evaluation / "live", tell)


def _base_folder(paths: RunPaths, base: Path, tasks: Sequence[Task]) -> Path:
    """Where the base's answers to these very exams are kept, for every run of the name."""
    asked = [
        [task.items.digest, [metric.value for metric in task.metrics], task.max_tokens]
        for task in tasks
    ]
    text = json.dumps([str(base), store.read(paths).revision, asked])
    return paths.named.folder / "base" / hashlib.sha256(text.encode()).hexdigest()[:16]
