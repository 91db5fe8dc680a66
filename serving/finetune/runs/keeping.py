"""The stage in which what was made is kept: one folder with its lineage and digests.

What a gate refuses is kept as well: somebody will want to know what was wrong with it. Old runs are
let go, as `output.keep_runs` says, and never one that a service answers with or may go back to.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.finetune.runs import store
from serving.finetune.runs.handed import Tell, base_of, spec_of
from serving.finetune.runs.paths import Named, RunPaths

if TYPE_CHECKING:
    from serving.finetune.artefacts import Gated, Lineage

LIBRARIES = ("accelerate", "deepspeed", "peft", "ray", "tokenizers", "torch", "transformers", "trl")
"""Packages whose version may change what a training makes."""


def artefact(paths: RunPaths, tell: Tell) -> None:
    """Keep what the training has made, merged where the spec says so; let old runs go."""
    from serving.finetune.artefacts import keep, merge

    spec, made = spec_of(paths), paths.final
    if spec.output.merge and spec.method.kind != "full":
        tell("adding the adapter into the weights of the base")
        made = merge(base_of(paths), paths.final, paths.merged)
    tell("keeping what was made, with its lineage")
    keep(made, paths.artefact, lineage(paths))
    let_go(paths.named, spec.output.keep_runs)


def lineage(paths: RunPaths) -> Lineage:
    """Where what a run has made comes from."""
    from llmops import __version__
    from serving.finetune.artefacts import Lineage
    from serving.finetune.artefacts import base_of as base_in

    spec, run = spec_of(paths), store.read(paths)
    prepared = store.read_json(paths.prepared) or {}
    return Lineage(
        run=run.name,
        number=run.number,
        seed=spec.training.seed,
        base=base_in(base_of(paths), spec.model.source, run.revision),
        data=str(prepared.get("digest", "")),
        spec=_digest(paths.spec),
        plan=_digest(paths.plan),
        code=__version__,
        libraries=_versions(),
        metrics=_metrics(paths),
        gate=_gated(store.read_json(paths.gate) or {}),
    )


def _metrics(paths: RunPaths) -> dict[str, float]:
    """What the training and the exams measured, by name."""
    found: dict[str, float] = {}
    result = store.read_json(paths.result) or {}
    for name in ("loss", "eval_loss"):
        if isinstance(value := result.get(name), int | float):
            found[name] = float(value)
    for one in (store.read_json(paths.gate) or {}).get("verdicts", []):
        if isinstance(value := one.get("value"), int | float):
            found[f"{one['set']} {one['metric']}"] = float(value)
    return found


def _gated(gate: dict[str, Any]) -> Gated:
    from serving.finetune.artefacts import Gated

    verdicts = gate.get("verdicts", [])
    if not verdicts:
        return Gated("none")
    reasons = tuple(f"{one['set']} {one['metric']}: {one['reason']}" for one in verdicts)
    return Gated("passed" if gate.get("passed") else "refused", reasons)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def let_go(named: Named, keep_runs: int) -> None:
    """Remove the oldest runs beyond those that are kept; never one that is served."""
    from serving.finetune.artefacts import served_runs

    for half in named.runs.glob("*.gone"):  # a kill fell into its removal
        shutil.rmtree(half, ignore_errors=True)
    old = named.numbers()[:-keep_runs]
    if not old:
        return
    served = served_runs(named.home)
    for number in old:
        paths = named.run(number)
        if (named.name, number) in served or not store.read(paths).state.ended:
            continue
        gone = paths.folder.with_name(f"{number}.gone")
        paths.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
