"""What one stage of a run hands to the next: read from the run's folder, or said to be missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import InputError
from serving.finetune.runs import store
from serving.finetune.runs.paths import RunPaths

if TYPE_CHECKING:
    from llmops.finetuning import FineTune

Tell = Callable[[str], None]
"""Hears what is being done, in short sentences."""


def spec_of(paths: RunPaths) -> FineTune:
    """What a run was asked for.

    Raises:
        InputError: When its record is damaged.
    """
    from llmops.finetuning import FineTune

    found = store.read_json(paths.spec)
    if found is None:
        raise InputError(f"what was asked for cannot be read: {paths.spec}")
    return FineTune.model_validate(found)


def base_of(paths: RunPaths) -> Path:
    """Where the base lies.

    Raises:
        InputError: When it is not there any more.
    """
    return _folder(paths, paths.base, "directory", "the base model", again=paths.base)


def data_of(paths: RunPaths) -> Path:
    """Where the prepared data lies.

    Raises:
        InputError: When it is not there any more.
    """
    return _folder(paths, paths.prepared, "folder", "the prepared data", again=paths.job)


def _folder(paths: RunPaths, record: Path, key: str, what: str, *, again: Path) -> Path:
    """The folder that a record names; `again` is what to remove so that a run makes it anew."""
    found = Path(str((store.read_json(record) or {}).get(key, "")))
    if not found.is_absolute() or not found.is_dir():
        raise InputError(
            f"{what} is not there any more: {found}",
            hint=f"remove {again}, and: llmops finetune resume {paths.named.name}",
        )
    return found
