"""A service on a real runtime whose releases differ by adapters of one engine, or by the engine.

A change of adapters takes seconds, one of the engine as long as an engine's start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.finetune.artefacts import base_of
from tests.e2e.stage import Stage, free_port
from tests.support.adapters import lineage, make_adapter, make_run
from tests.support.tiny_model import make_tiny_model

NAME, RUN = "struck", "style"
ALONE, OTHER = "", "other"
ADAPTERS = (f"{RUN}/1", f"{RUN}/2")
MEANT = (ALONE, *ADAPTERS, OTHER)
"""What a release may be: the model alone, with an adapter, or another model in another engine."""


@dataclass
class Adapted:
    """The service, and the specs that make it what is meant."""

    stage: Stage
    specs: dict[str, Path] = field(default_factory=dict)
    key: str = ""

    def write(self, meant: str, source: str, more: str = "") -> None:
        """Write a spec, and keep it by what it means."""
        model = f"{{source: '{source}', context: 512{more}}}"
        engine = "{kv_cache: 512MiB, adapter_rank: 8}"
        spec = self.stage.spec(NAME, "unused", model=model, engine=engine)
        self.specs[meant] = spec.rename(spec.with_name(f"{NAME}-{len(self.specs)}.yaml"))

    def deploy(self, meant: str) -> list[str]:
        """The command that makes it so."""
        return ["deploy", "-f", str(self.specs[meant]), "--yes"]

    def rollback(self, number: int) -> list[str]:
        """The command that goes back to a release."""
        return ["rollback", NAME, str(number), "--yes"]

    def history(self) -> list[dict[str, Any]]:
        """All releases, oldest first."""
        told = self.stage.run("history", NAME, "-o", "json")
        assert told.code == 0, told.text
        releases: list[dict[str, Any]] = told.json()["releases"]
        return releases

    def settled(self, *also: str) -> str:
        """What the one release is that there is, which serves; others are retired, or `also`."""
        history = self.history()
        assert {one["state"] for one in history} <= {"live", "retired", *also}, history
        [live] = [one for one in history if one["state"] == "live"]
        answer = self.stage.complete(NAME, self.key)
        assert answer.headers["x-llmops-release"] == str(live["number"]), answer.text
        return meant_by(live)


def meant_by(release: dict[str, Any]) -> str:
    """What a release of the history was meant to be."""
    if release["model"]["source"].endswith(f"/{OTHER}"):
        return OTHER
    adapter: str = (release["model"].get("adapter") or {"run": ALONE})["run"]
    return adapter


@contextmanager
def adapted(place: Path) -> Iterator[Adapted]:
    """A deployed service with room for adapters, and a key of it; all that runs ends with it."""
    for folder in ("home", "specs"):
        (place / folder).mkdir(parents=True, mode=0o700)
    made = Adapted(Stage(place / "home", place / "specs", free_port()))
    model, other = (make_tiny_model(place / name) for name in ("tiny", OTHER))
    base = base_of(model, f"file://{model}", "a" * 64)
    for number, adapter in enumerate(ADAPTERS, 1):
        weights = make_adapter(place / f"made-{number}", model, seed=number)
        make_run(made.stage.home, lineage(RUN, number, base), weights)
        made.write(adapter, f"file://{model}", f", adapter: {{source: 'run://{adapter}'}}")
    made.write(ALONE, f"file://{model}")
    made.write(OTHER, f"file://{other}")
    try:
        done = made.stage.run(*made.deploy(ALONE))
        assert done.code == 0, done.text
        made.key = made.stage.key(NAME, "tests")
        yield made
    finally:
        made.stage.end()
