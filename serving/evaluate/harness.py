"""Tasks of lm-evaluation-harness against an endpoint, by its own clients and its own scoring.

It runs in a process of its own, since its import takes long and its task files may bring code: run
only such as you trust. It looks at all task files in the folders of those that are named, runs only
these, and fetches nothing: their data must lie on this machine. It is told the key by its
environment and speaks to the endpoint itself, so an endpoint behind a proxy that wants credentials
of its own is refused.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError, TargetError
from serving.client import Endpoint, Line
from serving.evaluate.journal import keep

SHOWN = 600
"""Characters of the process's last words that a message repeats."""
_TASK = re.compile(r"^task:\s*['\"]?([\w./-]+)['\"]?\s*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HarnessScore:
    """One figure of a task."""

    task: str
    metric: str
    """As the harness calls it, with its filter: `acc,none`."""
    value: float
    error: float | None
    """Its standard error; None where the harness gives none."""
    items: int

    def document(self) -> dict[str, Any]:
        """As plain data, for `-o json`."""
        return {name: getattr(self, name) for name in self.__slots__}


def task_name(file: Path) -> str:
    """The task that a file defines.

    Raises:
        InputError: When it cannot be read, or defines none.
    """
    try:
        found = _TASK.search(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the task file {file} cannot be read: {error}") from error
    if found is None:
        raise InputError(f"{file} defines no task: it has no line `task: NAME`")
    return found[1]


def run_harness(
    endpoint: Endpoint,
    files: Sequence[Path],
    folder: Path,
    *,
    tokenizer: Path | None = None,
    chat: bool = False,
    limit: int | None = None,
    concurrency: int = 4,
    seed: int = 17,
) -> tuple[HarnessScore, ...]:
    """Run task files against an endpoint.

    Args:
        endpoint: Whom to ask.
        files: Task files (YAML) of lm-evaluation-harness.
        folder: Where its log and `harness.json` are written; made when missing.
        tokenizer: Folder of the model's tokenizer; needed where log-likelihoods are asked for.
        chat: Whether to ask by chats, which tasks that generate can be.
        limit: Items of each task; None: all.
        concurrency: Requests at once.
        seed: Of its sampling of examples.

    Raises:
        InputError: When it cannot be done so: a package, a tokenizer or a task is missing.
        TargetError: When it failed.
    """
    if endpoint.line != Line():
        raise InputError(
            "the harness reaches an endpoint directly only, and this one is behind a proxy or TLS"
            " of its own",
            hint="use --url with an address that clients reach",
        )
    names = [task_name(file) for file in files]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used: {error.strerror}", hint="name a folder that you may write to"
        ) from error
    job = {
        "chat": chat,
        "url": f"{endpoint.url}/{'chat/completions' if chat else 'completions'}",
        "model": endpoint.model,
        "tokenizer": str(tokenizer.absolute()) if tokenizer else None,
        "tasks": names,
        "folders": sorted({str(file.absolute().parent) for file in files}),
        "limit": limit,
        "concurrency": concurrency,
        "seed": seed,
    }
    document = _run(job, folder / "harness.log", endpoint.key)
    found = tuple(_scores(document))
    text = json.dumps({"tasks": [score.document() for score in found]}, indent=1)
    keep(folder / "harness.json", text + "\n")
    return found


def _run(job: dict[str, Any], log: Path, key: str) -> dict[str, Any]:
    environment = os.environ | {
        "OPENAI_API_KEY": key,
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # A proxy of the environment's must not see the key, and cannot reach loopback.
        "NO_PROXY": "*",
        "no_proxy": "*",
    }
    with log.open("wb") as errors:
        os.fchmod(errors.fileno(), 0o600)
        done = subprocess.run(
            [sys.executable, "-m", "serving.evaluate.harness_worker"],
            input=json.dumps(job).encode(),
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            check=False,
        )
    try:
        document: dict[str, Any] = json.loads(done.stdout or b"{}")
    except ValueError as error:
        raise TargetError(f"the harness sent no result; its log is {log}", serving=True) from error
    if "refused" in document:
        raise InputError(document["refused"])
    if done.returncode or not document:
        last = log.read_text(errors="replace").replace(key, "<key>").strip()[-SHOWN:]
        raise TargetError(f"the harness failed: {last}", hint=f"its log is {log}", serving=True)
    return document


def _scores(document: dict[str, Any]) -> list[HarnessScore]:
    found = []
    for task, figures in document["results"].items():
        for name, value in figures.items():
            if not isinstance(value, (int, float)) or "_stderr," in name or "," not in name:
                continue
            metric, _, kind = name.partition(",")
            error = figures.get(f"{metric}_stderr,{kind}")
            spread = float(error) if isinstance(error, (int, float)) else None
            items = int(document["items"].get(task, 0))
            found.append(HarnessScore(task, name, float(value), spread, items))
    return found
