"""A spec from files, and a later error about one of its fields shown at its place in the file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops.errors import InputError, LlmopsError, RefusedError

if TYPE_CHECKING:
    from llmops.finetuning import FineTune
    from llmops.spec import Deployment, Document, Loaded, Placed


def read_spec(files: list[Path] | None) -> Loaded:
    """Read the named files, or `llmops.yaml`.

    Raises:
        InputError: When a file is missing or wrong.
    """
    from llmops.spec import read

    return read(_named(files))


def tried_on(deployment: Deployment, percent: int) -> Deployment:
    """The deployment, tried on this share of its traffic first.

    Raises:
        InputError: When the rest of it takes no canary.
    """
    from pydantic import ValidationError

    from llmops.spec import on_some_traffic

    try:
        return on_some_traffic(deployment, percent)
    except ValidationError as error:
        wrong = error.errors()[0]
        path = ".".join(str(part) for part in wrong["loc"])
        raise InputError(f"--canary {percent}: {wrong['msg']}", path=path) from error


def read_any(files: list[Path] | None) -> Loaded | Placed[FineTune]:
    """Read the named files, or `llmops.yaml`, as what they say they are: a service, or a
    fine-tuning.

    Raises:
        InputError: When a file is missing or wrong.
    """
    from llmops.finetuning import FINETUNE, FineTune
    from llmops.spec import SPEC, loaded, read_one_of

    documents: dict[str, Document[Any]] = {"Service": SPEC, "FineTune": FINETUNE}
    placed = read_one_of(documents, "Service", _named(files))
    return placed if isinstance(placed.value, FineTune) else loaded(placed)


def _named(files: list[Path] | None) -> list[Path]:
    """The files that were named, or the one that is usual."""
    from cli.options import DEFAULT_FILE, spec_files

    if not files and not DEFAULT_FILE.exists():
        raise InputError(
            f"there is no {DEFAULT_FILE} here",
            hint="llmops init NAME writes one; -f names another file",
        )
    return spec_files(files)


@contextlib.contextmanager
def placed(loaded: Placed[Any]) -> Iterator[None]:
    """Give an error about a field of the spec the file, line and column it was written at."""
    try:
        yield
    except (InputError, RefusedError) as error:
        where = loaded.where(error.path) if error.path else None
        if where is None:
            raise
        file, line, column = where
        message = f"{file}:{line}:{column}: {error.path}: {error.message}"
        shown = LlmopsError(message, hint=error.hint)
        shown.exit_code = error.exit_code
        raise shown from error
