"""What is to be said beside a plan's figures, in sentences. Pure."""

from __future__ import annotations

import re

from llmops.finetuning.model import FineTune
from llmops.finetuning.places import HUB
from llmops.finetuning.planning.model import TrainingFacts
from llmops.finetuning.planning.room import Room
from llmops.finetuning.planning.weighing import Way
from llmops.units import Bytes

_COMMIT = re.compile(r"[0-9a-f]{40}")


def warnings_of(spec: FineTune) -> tuple[str, ...]:
    """What of a spec may be meant and may hurt, before anything is looked up."""
    notes = []
    for part in ("train", "eval"):
        for at, rows in enumerate(getattr(spec.data, part)):
            if rows.source.startswith(HUB) and not _COMMIT.fullmatch(rows.revision or ""):
                what = f"the branch or tag {rows.revision}" if rows.revision else "no revision"
                notes.append(
                    f"data.{part}[{at}] has {what}: what it holds may be other rows tomorrow; a"
                    " full commit hash in revision pins it"
                )
    if not spec.eval:
        notes.append("there is no gate: whatever is trained may be served; eval says what it must"
                     " pass")  # fmt: skip
    if not spec.data.eval and spec.data.split is None:
        notes.append("nothing is held out: that it learns by heart would not be seen; data.split"
                     " holds some rows out")  # fmt: skip
    if spec.data.personal_data == "keep":
        notes.append("data.personal_data is keep: the model may repeat what it says of people")
    if spec.data.leakage == "keep" and spec.eval:
        notes.append("data.leakage is keep: the gate may ask for what was learnt")
    return tuple(notes)


def notes_of(spec: FineTune, facts: TrainingFacts, way: Way, room: Room) -> tuple[str, ...]:
    """All that is said beside a plan."""
    notes = list(warnings_of(spec))
    if facts.model.converted:
        notes.append("the base's weights are converted from GGUF to bfloat16 safetensors, once")
    formats = {rows.format for rows in (*spec.data.train, *spec.data.eval)}
    if not facts.model.chat_template and spec.data.chat_template is None and formats != {"text"}:
        notes.append("the base has no chat template, and rows of messages will be refused:"
                     " data.chat_template gives one")  # fmt: skip
    if facts.counts is None and spec.training.steps is None:
        notes.append("how many steps it takes is known once the run has prepared its data")
    if (
        facts.counts is not None
        and facts.counts.longest * 4 < spec.training.sequence
        and (not spec.training.packing or spec.preference)
    ):
        notes.append(
            f"the longest row has {facts.counts.longest} tokens, and training.sequence is"
            f" {spec.training.sequence}: a shorter one lets more rows pass at once"
        )
    if room.bytes - way.bytes < room.bytes // 20:
        notes.append(f"it fits closely: {Bytes(room.bytes - way.bytes).human()} of"
                     f" {Bytes(room.bytes).human()} are left")  # fmt: skip
    cpus = facts.machine.cores
    if (
        room.device == "cpu"
        and isinstance(spec.hardware.cores, int)
        and (spec.hardware.cores * spec.training.workers > cpus)
    ):
        notes.append(f"more threads compute than the {cpus} cores of this machine: they take turns")
    return (*notes, *way.memory.notes)


__all__ = ["notes_of", "warnings_of"]
