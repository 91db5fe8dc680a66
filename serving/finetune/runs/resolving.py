"""What a run would be, looked up before one begins: the plan, and what tells it from the last one.

It reads headers, configurations and the bytes of the data, and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops.errors import InputError
from serving.finetune.runs import store
from serving.finetune.runs.paths import Named
from serving.finetune.runs.preparing import counts_of, speed_of

if TYPE_CHECKING:
    from llmops.finetuning import FineTune
    from llmops.finetuning.planning import Counts, TrainingPlan


@dataclass(frozen=True, slots=True)
class Resolved:
    """What would be run."""

    plan: TrainingPlan
    revision: str
    """What pins the base."""
    identity: str
    """Digest of spec, data and base."""
    document: dict[str, Any]
    """The spec, as a run's folder keeps it."""


def resolve(home: Path, spec: FineTune) -> Resolved:
    """Look up what a run needs, and plan it. Places in `spec` are in full.

    Raises:
        InputError: When the data or an exam is not there.
        ModelError: When the base cannot be found.
        RefusedError: When it cannot be trained here, with what could.
    """
    from llmops.finetuning.planning import plan_training
    from serving.lookup import training_facts

    named = Named(home, spec.name)
    digests = dict(_digests(spec))
    next_run = named.run(max(named.numbers(), default=0) + 1)
    facts = training_facts(
        home,
        spec.model.source,
        spec.model.revision,
        counts=_known_counts(named, spec, digests),
        speed=speed_of(next_run),
    )
    plan = plan_training(spec, facts)
    document = spec.model_dump(mode="json")
    asked = {name: part for name, part in document.items() if name not in ("checkpoints", "output")}
    asked["merge"] = spec.output.merge
    text = json.dumps([asked, facts.model.revision, digests], sort_keys=True)
    identity = hashlib.sha256(text.encode()).hexdigest()
    return Resolved(plan, facts.model.revision, identity, document)


def _digests(spec: FineTune) -> Iterator[tuple[str, str]]:
    """SHA-256 of each file that the spec names, by its address."""
    from llmops.finetuning import path_of

    named = [(rows.source, "data") for rows in (*spec.data.train, *spec.data.eval)]
    named += [(exam.set, "eval") for exam in spec.eval]
    named += [(spec.data.chat_template, "data.chat_template")] if spec.data.chat_template else []
    for source, field in named:
        if (path := path_of(source)) is None:
            continue
        try:
            with path.open("rb") as file:
                yield source, hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{field}: {path} cannot be read: {error.strerror}",
                hint="paths are relative to the folder of the fine-tune file",
            ) from error


def _known_counts(named: Named, spec: FineTune, digests: dict[str, str]) -> Counts | None:
    """What the data holds, where the last run prepared the same; None where it must be prepared."""
    numbers = named.numbers()
    if not numbers:
        return None
    last = named.run(numbers[-1])
    before = store.read_json(last.spec) or {}
    same = before.get("data") == spec.model_dump(mode="json")["data"]
    folder = Path(str((store.read_json(last.prepared) or {}).get("folder", "")))
    manifest = store.read_json(folder / "manifest.json") if folder.is_absolute() else None
    if not same or manifest is None:
        return None
    known = {one.get("sha256") for one in manifest.get("inputs", [])}
    sources = {rows.source for rows in (*spec.data.train, *spec.data.eval)}
    read = {digest for source, digest in digests.items() if source in sources}
    return counts_of(manifest) if read and read == known else None
