"""What makes a model, wherever its files lie: which of them count, and what they say.

Only config, tokenizer and safetensors count. A pickle or a program that lies beside them is not
fetched, not opened and not in the manifest. Names are judged before a path is made of them: one
that leads out of the model is refused, and so is what an index names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from llmops.errors import ModelError
from llmops.units import Bytes
from serving.models import headers
from serving.models.headers import Weights

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".joblib")
"""Endings of weight files that can run code when they are opened. Never fetched, never opened."""

WEIGHTS = ".safetensors"
WANTED = (".json", WEIGHTS, ".model", ".txt", ".jinja")
"""Endings of the files that make a model."""

DEPTH = 2
"""Parts of a name, at most: files of the directory and of folders in it. Engines look no deeper."""

MOST_TEXT = 64 * 2**20
"""Bytes of a JSON file that is read whole: the largest tokenizers have some 35 million."""

Description = tuple[dict[str, Any], Weights, bool]
"""A parsed `config.json`, what the weights hold, and whether there is a chat template."""


class Listing(Protocol):
    """A place whose files are told by name and size, and can be read in pieces."""

    @property
    def where(self) -> str:
        """For messages."""
        ...

    @property
    def names(self) -> Iterable[str]:
        """All that is there, also what does not count."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by name, of the files that count (`select`)."""
        ...

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Bytes of one file; fewer than `length` only at its end."""
        ...


class Local:
    """The files of a directory, as a listing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.where = str(directory)
        self.sizes = {name: (directory / name).stat().st_size for name in files_of(directory)}

    @property
    def names(self) -> Iterable[str]:
        return [path.name for path in self._directory.iterdir()]

    def read(self, name: str, offset: int, length: int) -> bytes:
        path = self._directory / name
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def select(where: str, names: Iterable[str]) -> list[str]:
    """The names that make a model, sorted.

    Raises:
        ModelError: When a name leads out of the model.
    """
    chosen = []
    for name in names:
        if not name.endswith(WANTED):
            continue
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
            raise ModelError(f"{where} has a file whose name leads elsewhere: {name[:80]!r}")
        hidden = any(part.startswith(".") for part in path.parts)
        deep = len(path.parts) > (1 if name.endswith(WEIGHTS) else DEPTH)
        if not hidden and not deep:
            chosen.append(str(path))
    return sorted(chosen)


def files_of(directory: Path) -> list[str]:
    """The model's files in a directory, by name relative to it, sorted.

    Raises:
        ModelError: When one leads out of the directory, or is no file, or none can be listed.
    """
    try:
        names = list(_walk(directory, ""))
    except OSError as error:
        raise ModelError(f"{directory} cannot be read: {error.strerror}") from error
    chosen = select(str(directory), names)
    homes = _homes(directory)
    for name in chosen:
        real = (directory / name).resolve()
        if not real.is_file():
            raise ModelError(f"{directory / name} is no file")
        if not any(real.is_relative_to(home) for home in homes):
            raise ModelError(
                f"{directory / name} is a link that leads out of the directory, to {real}",
                hint=f"copy the model with the files that its links stand for: cp -rL {directory}",
            )
    return chosen


def _walk(directory: Path, above: str) -> Iterator[str]:
    with os.scandir(directory) as found:
        for item in found:
            name = above + item.name
            if not item.is_dir(follow_symlinks=False):
                # Only a name that counts can be refused: anything may lie beside a model.
                if item.name.endswith(WANTED) and not item.is_dir():
                    yield name
            elif not above and not item.name.startswith("."):
                yield from _walk(Path(item.path), f"{name}/")


def _homes(directory: Path) -> list[Path]:
    """Where the files may really lie: in the directory, or where a hub's client keeps them.

    The client's own cache has `snapshots/<commit>/<name>` as links into `blobs` beside it.
    """
    home = directory.resolve()
    return [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]


def weight_files(listing: Listing) -> list[str]:
    """The weight files that an engine loads: what the index names, otherwise all of them.

    Raises:
        ModelError: When there are no safetensors, or not all that the index names.
    """
    found = {name for name in listing.sizes if name.endswith(WEIGHTS)}
    if INDEX in listing.sizes:
        wanted = _indexed(listing)
        if missing := wanted - found:
            raise ModelError(f"{listing.where} lacks {min(missing)}, which its index names")
        return sorted(wanted)
    if not found:
        raise no_safetensors(listing.where, listing.names)
    # Some repositories carry the same weights twice, the second time in one file of this name.
    return sorted(name for name in found if name != "consolidated.safetensors") or sorted(found)


def to_fetch(listing: Listing) -> dict[str, int]:
    """Names and sizes of what is fetched: of the weights, only those that an engine loads."""
    weights = weight_files(listing)
    return {
        name: size
        for name, size in listing.sizes.items()
        if not name.endswith(WEIGHTS) or name in weights
    }


def _indexed(listing: Listing) -> set[str]:
    placed = json_of(listing, INDEX).get("weight_map")
    if not isinstance(placed, dict) or not placed:
        raise ModelError(f"{listing.where}/{INDEX} has no weight_map")
    wanted = set()
    for name in placed.values():
        if not isinstance(name, str) or select(f"{listing.where}/{INDEX}", [name]) != [name]:
            raise ModelError(f"{listing.where}/{INDEX} names no safetensors: {str(name)[:80]!r}")
        wanted.add(name)
    return wanted


def describe(listing: Listing) -> Description:
    """Config, weights and chat template, from config and headers alone.

    Raises:
        ModelError: When there is no config, or no whole safetensors.
    """
    if CONFIG not in listing.sizes:
        raise ModelError(
            f"{listing.where} has no {CONFIG}", hint="name the place that holds the model's files"
        )
    config = json_of(listing, CONFIG)
    weights = headers.total(_header(listing, name) for name in weight_files(listing))
    return config, weights, _has_template(listing)


def check(listing: Listing) -> None:
    """Refuse a model that has arrived, but would not load.

    Raises:
        ModelError: Naming what is missing, damaged or of another model.
    """
    config, _, _ = describe(listing)
    rows = config.get("vocab_size")
    if "tokenizer.json" not in listing.sizes or type(rows) is not int:
        return
    model = json_of(listing, "tokenizer.json").get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    # Added tokens may lie beyond the model's rows: nobody types them. Those of plain text may not.
    if isinstance(vocabulary, dict):
        last = max((n for n in vocabulary.values() if type(n) is int), default=0)
    else:
        last = len(vocabulary) - 1 if isinstance(vocabulary, list) else 0
    if last >= rows:
        raise ModelError(
            f"{listing.where} has another model's tokenizer: its tokens go up to {last}, and the"
            f" model has {rows} of them"
        )


def json_of(listing: Listing, name: str) -> dict[str, Any]:
    """A JSON object, read whole.

    Raises:
        ModelError: When it is something else, or absurdly large.
    """
    where, size = f"{listing.where}/{name}", listing.sizes[name]
    if size > MOST_TEXT:
        most = Bytes(MOST_TEXT).human()
        raise ModelError(f"{where} has {Bytes(size).human()}: at most {most} are read")
    try:
        document = json.loads(listing.read(name, 0, size))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not JSON: {str(error)[:200]}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{where} is no JSON object")
    return document


def no_safetensors(where: str, names: Iterable[str]) -> ModelError:
    """The refusal of a place without safetensors; names a pickle that it has instead."""
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    found = f"; it has {pickles[0]}, which can run code when it is opened" if pickles else ""
    return ModelError(
        f"{where} has no safetensors{found}",
        hint="only safetensors are loaded: convert the weights, or choose a model that has them",
    )


def _header(listing: Listing, name: str) -> Weights:
    def read(offset: int, length: int) -> bytes:
        return listing.read(name, offset, length)

    return headers.parse(f"{listing.where}/{name}", read, listing.sizes[name])


def _has_template(listing: Listing) -> bool:
    if "chat_template.jinja" in listing.sizes or "chat_template.json" in listing.sizes:
        return True
    if "tokenizer_config.json" not in listing.sizes:
        return False
    return bool(json_of(listing, "tokenizer_config.json").get("chat_template"))
