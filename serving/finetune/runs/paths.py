"""Where a run keeps what it needs: names only, nothing is made here.

    LLMOPS_HOME/finetune/<name>/            0700
        <name>.lock                         held by whoever works on a run of this name
        data/<digest>/                      prepared data, shared by runs
        runs/<number>/                      a run: everything that is known of it

A file that says that a stage is done appears by a rename, after all that it speaks of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from llmops.errors import InputError

NAME = re.compile(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?")
"""A name of a spec, as `llmops.spec.DNS_LABEL`; written out here so that a process that only waits
reads no kinds of specs."""


@dataclass(frozen=True, slots=True)
class Named:
    """The folder of all that belongs to one name."""

    home: Path
    name: str

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError(
                f"{self.name!r} is no name of a fine-tuning",
                hint="lower-case letters, digits and hyphens, at most 40, a letter first",
            )

    @property
    def folder(self) -> Path:
        return self.home / "finetune" / self.name

    @property
    def data(self) -> Path:
        """Where prepared data lies, a folder for each digest."""
        return self.folder / "data"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    def run(self, number: int) -> RunPaths:
        return RunPaths(self, number)

    def numbers(self) -> tuple[int, ...]:
        """Numbers of the runs that there are, in order."""
        try:
            found = [path.name for path in self.runs.iterdir()]
        except OSError:
            return ()
        return tuple(sorted(int(name) for name in found if name.isdecimal()))


@dataclass(frozen=True, slots=True)
class RunPaths:
    """The files of one run."""

    named: Named
    number: int

    @classmethod
    def of(cls, folder: Path) -> RunPaths:
        """The run whose folder this is."""
        own = folder.parent.parent
        return cls(Named(own.parent.parent, own.name), int(folder.name))

    @property
    def folder(self) -> Path:
        return self.named.runs / str(self.number)

    @property
    def spec(self) -> Path:
        """What was asked for, with each place named in full."""
        return self.folder / "spec.json"

    @property
    def state(self) -> Path:
        """How far it is."""
        return self.folder / "state.json"

    @property
    def stop(self) -> Path:
        """There while it is to stop."""
        return self.folder / "stop"

    @property
    def waiting(self) -> Path:
        """What the stage at work is waiting for."""
        return self.folder / "waiting.json"

    @property
    def log(self) -> Path:
        """What its programs have printed."""
        return self.folder / "log"

    @property
    def base(self) -> Path:
        """Which model is trained, and where it lies: the first stage is done."""
        return self.folder / "base.json"

    @property
    def prepared(self) -> Path:
        """Which prepared data is learnt from, and where it lies."""
        return self.folder / "data.json"

    @property
    def plan(self) -> Path:
        """Why it is trained in the way it is."""
        return self.folder / "plan.json"

    @property
    def job(self) -> Path:
        """What is trained, every choice made: data and plan are done."""
        return self.folder / "job.json"

    @property
    def progress(self) -> Path:
        """A line for each step."""
        return self.folder / "progress.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def result(self) -> Path:
        """How the training ended: it is done, and `final` holds what it made."""
        return self.folder / "result.json"

    @property
    def final(self) -> Path:
        return self.folder / "final"

    @property
    def merged(self) -> Path:
        """Base and adapter in one, where that is asked for."""
        return self.folder / "merged"

    @property
    def evaluation(self) -> Path:
        """Scores of the model and of what it is compared with, and the answers behind them."""
        return self.folder / "evaluation"

    @property
    def gate(self) -> Path:
        """What the gate says: the evaluation is done."""
        return self.folder / "gate.json"

    @property
    def artefact(self) -> Path:
        """What can be served, with its lineage."""
        return self.folder / "artefact"

    @property
    def failure(self) -> Path:
        """Why the last attempt at a stage ended, as its program said."""
        return self.folder / "failure.json"


def names(home: Path) -> tuple[str, ...]:
    """Every name that has runs, sorted."""
    try:
        found = sorted(path.name for path in (home / "finetune").iterdir())
    except OSError:
        return ()
    return tuple(name for name in found if NAME.fullmatch(name) and Named(home, name).numbers())
