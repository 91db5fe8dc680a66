"""The model of a plan: looked up by its address, or read from a `config.json` alone.

Reads files and decides nothing. What is wrong with a file is told as such; what a configuration
means is the planner's business.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops.errors import InputError, ModelError
from llmops.units import Bytes

if TYPE_CHECKING:
    from llmops.planning import ModelFacts

CONFIG = "config.json"
EXPECTED = (
    "expected hf://owner/name, file:///path, s3://, pkg://, a config.json, or a folder with one"
)
MOST = 16 * 2**20
"""Bytes of a configuration that are read; the largest that are published have less than 1 MiB."""


def model_facts(source: str, revision: str | None = None, *, offline: bool = False) -> ModelFacts:
    """What is known of a model.

    Args:
        source: An address as in a spec, a `config.json`, or a folder that holds one.
        revision: For an address of a hub.
        offline: Whether no hub may be asked.

    Raises:
        InputError: When it is none of these.
        ModelError: When it cannot be read.
    """
    if "://" not in source:
        if not source.strip():
            raise InputError("expected a model after --model, found nothing", hint=EXPECTED)
        path = Path(source).expanduser()
        config = path / CONFIG if path.is_dir() else path
        if not (path.is_dir() and any(path.glob("*.safetensors"))):
            return _alone(source, config)
        source = f"file://{path.resolve()}"
    from cli.places import home
    from serving.lookup import describe

    return describe(home(), source, revision, offline=offline)


def _alone(source: str, path: Path) -> ModelFacts:
    """What a configuration says without weights beside it."""
    from llmops.planning import ModelFacts

    return ModelFacts(
        source=source,
        revision="",
        config=_read(source, path),
        parameters=0,
        weight_bytes=0,
        dtypes={},
        download_bytes=0,
        chat_template=True,
        converted=False,
    )


def _read(source: str, path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ModelError(f"{path} is no file")
        if size > MOST:
            raise ModelError(f"{path} has {Bytes(size).human()}: at most"
                             f" {Bytes(MOST).human()} are read")  # fmt: skip
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(source, path, error) from error
    except RecursionError as error:
        raise ModelError(f"{path} is nested too deeply") from error
    if not isinstance(document, dict):
        raise ModelError(f"{path} is no JSON object", hint="name the model's config.json")
    return document


def _unreadable(source: str, path: Path, error: OSError | ValueError) -> InputError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        what = f"{path} does not exist" if path.name != CONFIG else f"there is no {path}"
        return InputError(f"'{source}' is no model: {what}", hint=EXPECTED)
    if isinstance(error, OSError):
        return ModelError(f"{path} cannot be read: {error.strerror}")
    return ModelError(f"{path} is not JSON: {str(error)[:200]}")
