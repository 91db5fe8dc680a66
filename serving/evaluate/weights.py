"""A model as a folder of weights, with an adapter or without: measured in a process of its own.

The process ends with the measurement, and its memory with it, so that the base and the candidate
can follow each other on one machine. It is handed the questions, and sends back a line per item,
which is kept before the next one is read; when this side dies, the kernel ends it as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError, ModelError, TargetError
from serving.evaluate.journal import Journal, Record
from serving.evaluate.tasks import Settings, Task

Tell = Callable[[str], None]
LOG = "worker.log"
SHOWN = 600
"""Characters of the process's last words that a message repeats."""
IDENTIFIED_BY = ("config.json", "adapter_config.json", "model.safetensors.index.json")
"""Files whose text is part of what a model is; weights are known by name, size and time."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder of safetensors and a tokenizer, and perhaps an adapter in peft's format."""

    base: Path
    adapter: Path | None = None

    def document(self) -> dict[str, Any]:
        """What it is, as plain data.

        Raises:
            ModelError: When a folder holds no model, or no adapter.
        """
        if not (self.base / "config.json").exists():
            raise ModelError(
                f"{self.base} holds no model: it has no config.json",
                hint="name a folder of safetensors and a tokenizer",
            )
        if self.adapter is not None and not (self.adapter / "adapter_config.json").exists():
            raise ModelError(f"{self.adapter} holds no adapter: it has no adapter_config.json")
        return {
            "kind": "weights",
            "base": str(self.base),
            "adapter": str(self.adapter) if self.adapter else None,
            "digest": _digest([self.base, *([self.adapter] if self.adapter else [])]),
        }

    def measure(
        self, tasks: Sequence[Task], journal: Journal, settings: Settings, tell: Tell
    ) -> None:
        """Measure what the journal does not know yet.

        Raises:
            InputError: When packages are missing, or the model cannot be loaded.
            TargetError: When the process dies, for lack of memory for example.
        """
        work = [_work(task, journal) for task in tasks]
        total = sum(len(task["answers"]) + len(task["likelihoods"]) for task in work)
        if not total:
            return
        folder = Path(journal.file.name).parent
        job = {
            "base": str(self.base),
            "adapter": str(self.adapter) if self.adapter else None,
            "batch": settings.concurrency,
            "seed": settings.seed,
            "tasks": work,
        }
        with (folder / LOG).open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "serving.evaluate.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            )
            try:
                said = _follow(process, job, journal, total, tell)
            finally:
                process.kill()
                process.wait()
        _end(process.returncode, said, folder / LOG)


def _digest(folders: Sequence[Path]) -> str:
    """What tells one content from another, cheaply: an adapter that was trained anew is another."""
    found = hashlib.sha256()
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        if path.name in IDENTIFIED_BY:
            found.update(f"{path.name}\n{path.read_text(encoding='utf-8')}\n".encode())
        elif path.suffix == ".safetensors":
            stat = path.stat()
            found.update(f"{path.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return found.hexdigest()


def _work(task: Task, journal: Journal) -> dict[str, Any]:
    def left(kind: str, wanted: bool) -> list[dict[str, Any]]:
        name = task.items.name
        items = task.items.items if wanted else ()
        return [i.document() for i in items if (name, i.id, kind) not in journal.records]

    return {
        "set": task.items.name,
        "max_tokens": task.max_tokens,
        "answers": left("answer", task.asks),
        "likelihoods": left("likelihood", task.weighs),
    }


def _follow(
    process: subprocess.Popen[bytes], job: dict[str, Any], journal: Journal, total: int, tell: Tell
) -> dict[str, Any]:
    """Keep what the process sends, to its end; what it said of itself last."""
    assert process.stdin is not None  # noqa: S101 - both are pipes
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already, and its last words say why
    done, said = 0, {}
    for line in process.stdout:
        if not line.endswith(b"\n"):
            break  # a kill fell into it
        document = json.loads(line)
        if "item" in document:
            journal.add(Record(**document))
            done += 1
            tell(f"{done} of {total} items measured")
        else:
            said = document
            if "phase" in said:
                tell(said["phase"])
    process.wait()
    return said


def _end(code: int, said: dict[str, Any], log: Path) -> None:
    if code == 0:
        return
    if "refused" in said:
        raise InputError(said["refused"], hint=said.get("hint", ""))
    last = log.read_text(errors="replace").strip()[-SHOWN:]
    died = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    raise TargetError(
        f"the process that measures the weights {died}: {last or 'it said nothing'}",
        hint=f"see its log, {log}; signal 9 is most often a lack of memory. What it measured is"
        " kept: the same command goes on",
        serving=True,
    )
