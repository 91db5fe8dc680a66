"""An adapter by its address: where it lies, and what is known of it without loading it.

The files are those of peft. What the engine leaves out of an adapter, or answers wrongly with, is
named here, since it would be told minutes later or not at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import ModelError
from llmops.planning import AdaptedLayer, AdapterFacts
from llmops.spec import run_of
from serving.finetune.artefacts import kept, lineage
from serving.finetune.artefacts.kept import ADAPTER, ADAPTER_CONFIG, Artefact
from serving.finetune.artefacts.lineage import Base
from serving.models import tensors_of

MOST_TEXT = 2**20
"""Bytes of a configuration that is read."""

PREFIX = "base_model.model."
_MATRIX = re.compile(r"(.+)\.lora_(A|B)(?:\.default)?\.weight", re.ASCII)

_TRAITS = {
    "use_dora": "DoRA", "lora_bias": "biases in the adapter", "modules_to_save": "modules_to_save",
    "alora_invocation_tokens": "activated LoRA", "layer_replication": "layer_replication",
    "use_bdlora": "block-diagonal LoRA", "use_qalora": "QALoRA",
    "target_parameters": "adapters of bare parameters",
    "trainable_token_indices": "trained tokens",
}  # fmt: skip
"""Traits by their key in peft's configuration that the engine refuses (vLLM 0.32's `PEFTHelper`)
or leaves out."""

PLAIN_INITS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
"""Beginnings that leave the base weights as they are."""


@dataclass(frozen=True, slots=True)
class Found:
    """An adapter in its folder, every byte of it checked where it has a manifest."""

    directory: Path
    digest: str
    artefact: Artefact | None


def locate(home: Path, source: str, *, expected: str | None = None) -> Found:
    """Find an adapter by its address and check its files.

    Args:
        home: The state's folder, below which runs are kept.
        source: `run://NAME/N` or `file:///path`.
        expected: The digest that it must have: what was planned with.

    Raises:
        ModelError: When it is not there, damaged, no adapter, or another than was planned with.
    """
    folder = _folder(home, source)
    if kept.is_artefact(folder):
        artefact = kept.verify(folder)
        if artefact.kind != "adapter":
            raise ModelError(
                f"{source} is weights, not an adapter",
                hint=f"serve them as they are: model.source: file://{folder}",
            )
        found = Found(folder, artefact.digest, artefact)
    else:
        found = Found(folder, lineage.digest(kept.plain_files(folder)), None)
    if expected is not None and found.digest != expected:
        raise ModelError(
            f"{source} has changed since it was planned with: its digest is {found.digest[:12]},"
            f" and the plan is for {expected[:12]}",
            hint="deploy again: the plan is then made for what is there now",
        )
    return found


def _folder(home: Path, source: str) -> Path:
    run = run_of(source)
    if run is None:
        folder = Path(source.removeprefix("file://"))
        if not folder.is_dir():
            raise ModelError(f"{folder} is missing: expected a folder with an adapter")
        return folder
    name, number = run
    runs = home / "finetune" / name / "runs"
    folder = runs / str(number) / "artefact"
    if not folder.is_dir():
        there = sorted(int(p.name) for p in runs.glob("[0-9]*") if (p / "artefact").is_dir())
        known = ", ".join(str(one) for one in there) or "none"
        raise ModelError(
            f"run {number} of {name} has no artefact here",
            hint=f"runs of {name} with one: {known}; llmops finetune list {name}",
        )
    return folder


def adapter_facts(home: Path, source: str, served: Base) -> AdapterFacts:
    """What is known of an adapter.

    Args:
        home: The state's folder.
        source: Its address.
        served: The weights that are served; without digests where they are not here yet.

    Raises:
        ModelError: When it cannot be found or read, or is damaged.
    """
    found = locate(home, source)
    config = _config(found.directory / ADAPTER_CONFIG)
    comes_from = found.artefact.lineage if found.artefact else None
    refused = comes_from is not None and comes_from.gate.outcome == "refused"
    return AdapterFacts(
        source=source,
        digest=found.digest,
        layers=_layers(found.directory / ADAPTER),
        base="untold" if comes_from is None else _kinship(comes_from.base, served),
        trained_on=comes_from.base.words if comes_from else "",
        unsupported=unsupported(config),
        run=f"{comes_from.run}/{comes_from.number}" if comes_from else "",
        data=comes_from.data if comes_from else "",
        refused="; ".join(comes_from.gate.reasons) or "it did not pass"
        if comes_from is not None and refused
        else "",
    )


def _kinship(trained: Base, served: Base) -> Any:
    """By the digests of their files where both are known, else by address and revision."""
    if served.files and trained.files:
        return "same" if dict(served.files) == dict(trained.files) else "other"
    same = (served.source, served.revision) == (trained.source, trained.revision)
    return "same" if same else "other"


def unsupported(config: Mapping[str, Any]) -> str:
    """What of an adapter's configuration the engine does not take; empty when nothing is known."""
    if config.get("peft_type") != "LORA":
        return f"it is of the kind {str(config.get('peft_type'))[:40]}, not LORA"
    traits = [words for key, words in _TRAITS.items() if config.get(key)]
    if config.get("bias", "none") != "none":
        traits.append("trained biases")
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in PLAIN_INITS:
        traits.append(f"weights that began as {start[:20]}, which changes the base")
    return f"it has {', '.join(traits)}" if traits else ""


def _layers(file: Path) -> tuple[AdaptedLayer, ...]:
    """The layers that an adapter changes, from the header of its file."""
    matrices: dict[str, dict[str, tuple[int, ...]]] = {}
    for tensor in tensors_of(file):
        match = _MATRIX.fullmatch(tensor.name)
        if match is None or len(tensor.shape) != 2:
            raise ModelError(
                f"{file} has {tensor.name[:80]!r}, which is no part of a low-rank adapter",
                hint="only adapters of linear layers are served",
            )
        name = match[1].removeprefix(PREFIX)
        matrices.setdefault(name, {})[match[2]] = tensor.shape
    found = []
    for name, pair in sorted(matrices.items()):
        down, up = pair.get("A"), pair.get("B")
        if down is None or up is None or down[0] != up[1]:
            raise ModelError(f"{file} has not both matrices of {name[:80]}, of one rank")
        found.append(AdaptedLayer(name, up[0], down[1], down[0]))
    return tuple(found)


def _config(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_TEXT:
            raise ModelError(f"{file} is absurdly large")
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} cannot be read as JSON") from error
    if not isinstance(document, dict):
        raise ModelError(f"{file} is no JSON object")
    return document
