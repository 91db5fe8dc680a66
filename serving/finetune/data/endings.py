"""How a file is read, by the ending of its name: the same for files here and on a hub."""

from __future__ import annotations

from pathlib import PurePath

ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt")
PACKED = ".gz"


def ending_of(name: str) -> str:
    """A name's ending, apart from `.gz`."""
    return PurePath(name.removesuffix(PACKED)).suffix.lower()
