"""The folder of an artefact: written aside, renamed once it is whole, checked before every load.

    artefact/   adapter_model.safetensors, adapter_config.json   (or the weights and a tokenizer)
                lineage.json     where it comes from
                manifest.json    SHA-256 and size of each of the others

Refused are pickles and links, and folders are left out: what is kept can be read by anybody without
running code. A byte that changes afterwards is found before an engine reads it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmops.errors import ModelError
from serving.finetune.artefacts import lineage
from serving.finetune.artefacts.lineage import Lineage

MANIFEST = "manifest.json"
ADAPTER = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
CONFIG = "config.json"

WANTED = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""Endings of the files that are kept."""

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".joblib")
"""Endings of files that can run code when they are opened."""

Kind = Literal["adapter", "weights"]


@dataclass(frozen=True, slots=True)
class Artefact:
    """What a run has made. `digest` is over all its files but the manifest."""

    directory: Path
    kind: Kind
    lineage: Lineage
    files: Mapping[str, str]
    """SHA-256 in hex by name."""

    @property
    def digest(self) -> str:
        return lineage.digest(self.files)


def keep(made: Path, out: Path, comes_from: Lineage) -> Artefact:
    """Keep what a training has made as the artefact `out`.

    Killed at any moment it leaves no half artefact; done twice it gives the first one back.

    Raises:
        ModelError: When it holds a pickle, or neither an adapter nor weights; or when `out` is an
            artefact of another lineage.
        OSError: When it cannot be written.
    """
    if out.exists():
        there = verify(out)
        if there.lineage != comes_from:
            raise ModelError(f"{out} is there already, and of another lineage")
        return there
    names = [name for name in _names(made) if name != MANIFEST]  # a training's own is of its folder
    kind_of(made)
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700, parents=True)
    for name in names:
        shutil.copyfile(made / name, aside / name)
    _write(aside / lineage.NAME, comes_from.document())
    files = {
        path.name: {"sha256": lineage.sha256(path), "size": path.stat().st_size}
        for path in sorted(aside.iterdir())
    }
    _write(aside / MANIFEST, {"format": 1, "files": files})
    for path in aside.iterdir():
        _sync(path)
    _sync(aside)
    verify(aside)
    aside.rename(out)
    _sync(out.parent)
    return read(out)


def read(folder: Path) -> Artefact:
    """What an artefact says of itself; opens no weights.

    Raises:
        ModelError: When it is none, or a part of it is missing or damaged.
    """
    files = {name: found[0] for name, found in _manifest(folder).items()}
    return Artefact(folder, kind_of(folder), lineage.parse(folder / lineage.NAME), files)


def verify(folder: Path) -> Artefact:
    """An artefact whose every byte is what its manifest says: call this before each load.

    Raises:
        ModelError: Naming the first file that is missing, new or changed.
    """
    told = _manifest(folder)
    names = set(_names(folder)) - {MANIFEST}
    hint = "take it from its run again, or train anew: what has changed is not known"
    if missing := told.keys() - names:
        raise ModelError(f"{folder / min(missing)} is missing", hint=hint)
    if extra := names - told.keys():
        raise ModelError(f"{folder / min(extra)} is not in the artefact's manifest", hint=hint)
    for name, (expected, _) in told.items():
        if (found := lineage.sha256(folder / name)) != expected:
            raise ModelError(
                f"{folder / name} is not what its manifest says: SHA-256 is {found},"
                f" expected {expected}",
                hint=hint,
            )
    return read(folder)


def is_artefact(folder: Path) -> bool:
    """Whether a folder has a manifest of this kind."""
    return (folder / MANIFEST).is_file()


def kind_of(folder: Path) -> Kind:
    """What a folder holds.

    Raises:
        ModelError: When it is neither an adapter nor weights, as safetensors.
    """
    if (folder / ADAPTER).is_file() and (folder / ADAPTER_CONFIG).is_file():
        return "adapter"
    weights = any(path.suffix == ".safetensors" for path in folder.glob("*.safetensors"))
    if weights and (folder / CONFIG).is_file():
        return "weights"
    raise ModelError(
        f"{folder} holds neither an adapter ({ADAPTER} and {ADAPTER_CONFIG}) nor weights",
        hint="only safetensors are kept and loaded",
    )


def plain_files(folder: Path) -> dict[str, str]:
    """SHA-256 by name of what makes an adapter in a folder that has no manifest.

    Raises:
        ModelError: When it holds a pickle, or no adapter.
    """
    _names(folder)
    if kind_of(folder) != "adapter":
        raise ModelError(f"{folder} holds weights, not an adapter", hint="serve it as model.source")
    return {name: lineage.sha256(folder / name) for name in (ADAPTER, ADAPTER_CONFIG)}


def _names(folder: Path) -> list[str]:
    """Names of the files that count, sorted.

    Raises:
        ModelError: When a pickle or a link is among them, or the folder cannot be read.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise ModelError(f"{folder} cannot be read: {error.strerror}") from error
    for path in found:
        if path.suffix in PICKLES:
            raise ModelError(
                f"{path} can run code when it is opened",
                hint="only safetensors are kept and loaded: convert it, and remove this file",
            )
        if path.is_symlink():
            raise ModelError(f"{path} is a link", hint="copy what it stands for")
    return [path.name for path in found if path.is_file() and path.suffix in WANTED]


def _manifest(folder: Path) -> dict[str, tuple[str, int]]:
    file = folder / MANIFEST
    try:
        document = json.loads(file.read_bytes())
        return {
            str(name): (str(entry["sha256"]), int(entry["size"]))
            for name, entry in document["files"].items()
        }
    except FileNotFoundError as error:
        raise ModelError(f"{folder} is no artefact: {MANIFEST} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{file} is damaged", hint="take it from its run again") from error


def _write(file: Path, document: Mapping[str, object]) -> None:
    file.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    file.chmod(0o600)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
