"""Finished runs as points of a law: how large the model was, what it learnt from, what it lost.

Losses lie on one curve only when they are of the same held-out rows, cut into tokens alike, by the
same kind of training; anything else is refused by what differs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmops.errors import InputError, RefusedError
from llmops.finetuning import Point
from serving.finetune.runs import RunPaths
from serving.models import tensors_of

SAME = ("kind", "tokenizer", "template")
"""What of the prepared data's manifest must be the same, beside what is held out."""
FIELDS = ("parameters", "tokens", "loss")


def points_of_runs(runs: Sequence[RunPaths]) -> tuple[Point, ...]:
    """The points of finished runs.

    Raises:
        InputError: When a run has not ended its training, or held nothing out.
        RefusedError: When two runs cannot lie on one curve.
    """
    found = [_run(paths) for paths in runs]
    for point, known in found[1:]:
        for what, value in known.items():
            first, at_first = found[0]
            if value != at_first[what]:
                raise RefusedError(
                    f"{first.name} and {point.name} cannot lie on one curve: they differ in {what}",
                    hint="runs for an estimate share data.eval, base tokenizer and method",
                )
    return tuple(point for point, _ in found)


def _run(paths: RunPaths) -> tuple[Point, dict[str, Any]]:
    name = f"{paths.named.name}/{paths.number}"
    try:
        result = json.loads(paths.result.read_text(encoding="utf-8"))
        job = json.loads(paths.job.read_text(encoding="utf-8"))
        manifest = json.loads((Path(job["data"]) / "manifest.json").read_text(encoding="utf-8"))
        loss, tokens = result["eval_loss"], int(result["tokens"])
        known = {key: manifest[key] for key in SAME} | {
            "held-out rows": manifest["eval"]["sha256"],
            "method": job["method"],
            "objective": job["objective"],
        }
        parameters = parameters_of(Path(job["base"]))
    except FileNotFoundError as error:
        raise InputError(
            f"run {name} has not ended its training: there is no {error.filename}",
            hint=f"see `llmops finetune status {paths.named.name}`",
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"what run {name} left cannot be read: {error}") from error
    if not isinstance(loss, (int, float)) or not math.isfinite(loss) or loss <= 0:
        raise InputError(
            f"run {name} has no loss of held-out rows", hint="set data.eval to the same file in all"
        )
    return Point(name, parameters, tokens, float(loss)), known


def parameters_of(base: Path) -> int:
    """Parameters of a folder of safetensors, as their headers have them.

    Raises:
        InputError: When there is none.
        ModelError: When a file is damaged.
    """
    files = sorted(base.glob("*.safetensors"))
    total = sum(math.prod(tensor.shape) for file in files for tensor in tensors_of(file))
    if not total:
        raise InputError(f"{base} holds no safetensors")
    return total


def points_of_file(path: Path) -> tuple[Point, ...]:
    """The points in a file of JSON Lines with `parameters`, `tokens`, `loss`, and perhaps `name`.

    Raises:
        InputError: When it cannot be read, naming the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return tuple(_point(line, f"{path}:{n}") for n, line in enumerate(lines, 1) if line.strip())


def _point(line: str, where: str) -> Point:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where}: expected a JSON object, found text that is none") from error
    fields = found if isinstance(found, dict) else {}
    parameters, tokens, loss = (_number(fields.get(field)) for field in FIELDS)
    if not (parameters >= 1 and tokens >= 1 and loss):
        raise InputError(f"{where}: expected {', '.join(FIELDS)} as numbers above 0, and the first"
                         " two from 1")  # fmt: skip
    return Point(str(fields.get("name", where)), int(parameters), int(tokens), loss)


def _number(value: object) -> float:
    """A finite number above 0; else 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return 0.0
    return float(value) if math.isfinite(value) and value > 0 else 0.0
