"""The files that rows come from: found, named, and hashed before anything is read.

A path may have wildcards; what it matches is taken in the order of its names. A file that changes
while it is read is an error: a digest that does not fit the rows would be worse than none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmops.errors import InputError
from llmops.finetuning import Data, Rows, path_of
from llmops.units import Bytes
from serving.finetune.data import hub
from serving.finetune.data.endings import ENDINGS, ending_of
from serving.finetune.data.rows import Side


@dataclass(frozen=True, slots=True)
class Input:
    """A file with rows."""

    path: Path
    label: str
    """What it is called in results: its name, with as much of its folders as tells it apart."""
    rows: Rows
    side: Side
    field: str
    """Where it stands in the spec, such as `data.train[0]`."""
    sha256: str
    size: int
    modified: int
    """Nanoseconds, as the file system says."""
    revision: str = ""
    """Commit of a hub's data set."""

    @property
    def kind(self) -> str:
        """The ending that says how it is read, such as `.jsonl`."""
        return ending_of(self.path.name)

    def check_unchanged(self) -> None:
        """Refuse a file that has changed since it was hashed.

        Raises:
            InputError: When it has.
        """
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns) != (self.size, self.modified):
            raise InputError(
                f"{self.path} has changed while it was read",
                hint="prepare again when nothing writes to it",
                path=f"{self.field}.source",
            )


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    rows: Rows
    side: Side
    field: str
    revision: str


def find(data: Data, tell: Callable[[str], None]) -> tuple[Input, ...]:
    """All files of a spec, those held out first, each hashed.

    Raises:
        InputError: When one is missing, cannot be read, or has an ending that says nothing.
    """
    named = [(rows, "eval", f"data.eval[{at}]") for at, rows in enumerate(data.eval)]
    named += [(rows, "train", f"data.train[{at}]") for at, rows in enumerate(data.train)]
    found: list[_Found] = []
    for rows, side, field in named:
        paths, revision = _paths(rows, field, tell)
        found += [
            _Found(path, rows, "eval" if side == "eval" else "train", field, revision)
            for path in paths
        ]
    labels = labels_of([one.path for one in found])
    return tuple(_hashed(one, labels[one.path], tell) for one in found)


def _paths(rows: Rows, field: str, tell: Callable[[str], None]) -> tuple[Sequence[Path], str]:
    path = path_of(rows.source)
    if path is None:
        paths, revision = hub.fetch(rows, field, tell)
        return paths, revision
    try:
        named = _matching(path)
        for one in named:
            _refuse_unreadable(one, field)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path} cannot be looked for: {why}", path=f"{field}.source") from error
    if not named:
        raise InputError(
            f"{path} does not exist",
            hint="a relative source is looked for beside the spec file",
            path=f"{field}.source",
        )
    return named, ""


def _matching(path: Path) -> Sequence[Path]:
    if path.exists():
        return [path]
    return sorted(Path(path.anchor).glob(str(path)[len(path.anchor) :]))


def _refuse_unreadable(path: Path, field: str) -> None:
    str(path).encode()  # results name it, so a name that is no UTF-8 is an error of its own kind
    if not path.is_file():
        raise InputError(
            f"{path} is not a file",
            hint=f"name a file, or several by a wildcard such as {path}/*.jsonl",
            path=f"{field}.source",
        )
    if ending_of(path.name) not in ENDINGS:
        raise InputError(
            f"{path.name}: expected an ending of {', '.join(ENDINGS)}, found"
            f" '{path.suffix or 'none'}'",
            hint="the ending says how a file is read: rename it",
            path=f"{field}.source",
        )


def labels_of(paths: Sequence[Path]) -> dict[Path, str]:
    """The shortest ends of paths that tell them apart."""
    labels: dict[Path, str] = {}
    distinct = list(dict.fromkeys(paths))
    for path in distinct:
        others = [other.parts for other in distinct if other != path]
        take = 1
        while take < len(path.parts) and any(path.parts[-take:] == o[-take:] for o in others):
            take += 1
        labels[path] = "/".join(path.parts[-take:])
    return labels


def _hashed(found: _Found, label: str, tell: Callable[[str], None]) -> Input:
    try:
        stat = found.path.stat()
        tell(f"reading {label} ({Bytes(stat.st_size).human()}) to know its digest")
        with found.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{found.path} cannot be read: {error.strerror}", path=f"{found.field}.source"
        ) from error
    return Input(
        found.path, label, found.rows, found.side, found.field, digest,
        stat.st_size, stat.st_mtime_ns, found.revision,
    )  # fmt: skip
