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
    found = store.read_json(paths.base) or {}
    directory = Path(str(found.get("directory", "")))
    if not directory.is_absolute() or not directory.is_dir():
        raise InputError(
            f"the base model is not there any more: {directory}",
            hint=f"remove {paths.base}, and: llmops finetune resume {paths.named.name}",
        )
    return directory


def data_of(paths: RunPaths) -> Path:
    """Where the prepared data lies.

    Raises:
        InputError: When it is not there any more.
    """
    found = store.read_json(paths.prepared) or {}
    folder = Path(str(found.get("folder", "")))
    if not folder.is_absolute() or not folder.is_dir():
        raise InputError(
            f"the prepared data is not there any more: {folder}",
            hint=f"remove {paths.job}, and: llmops finetune resume {paths.named.name}",
        )
    return folder
