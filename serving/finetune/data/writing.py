"""Parquet, written so that the same rows give the same bytes.

Fixed settings, row groups by counted rows, no time and no name of a machine in the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from serving.finetune.data.tokens import Encoded

GROUP_TOKENS = 2**18
"""Tokens of a row group: some megabytes in memory, for the writer and for each reader."""

GROUP_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of the result: one reading, or of a preference pair the chosen and the rejected."""

    source: str
    readings: tuple[Encoded, ...]

    @property
    def length(self) -> int:
        """Tokens; of a pair, of the longer reading."""
        return max(len(one.ids) for one in self.readings)

    @property
    def tokens(self) -> int:
        """Tokens of all readings."""
        return sum(len(one.ids) for one in self.readings)

    @property
    def learnt(self) -> int:
        """Tokens of all readings that are learnt."""
        return sum(one.learnt for one in self.readings)


@dataclass(slots=True)
class Totals:
    """What a file of rows holds."""

    rows: int = 0
    tokens: int = 0
    learnt_tokens: int = 0
    longest: int = 0
    sha256: str = ""

    def add(self, sample: Sample) -> None:
        self.rows += 1
        self.tokens += sample.tokens
        self.learnt_tokens += sample.learnt
        self.longest = max(self.longest, sample.length)


class Writer:
    """A file of rows, written group by group."""

    def __init__(self, path: Path, *, pairs: bool) -> None:
        import pyarrow.parquet as pq

        self._path, self._pairs = path, pairs
        self._schema = _schema(pairs=pairs)
        self._file = pq.ParquetWriter(
            path, self._schema, compression="zstd", version="2.6", use_dictionary=False,
            write_statistics=False, data_page_version="1.0", store_schema=False,
        )  # fmt: skip
        self._waiting: list[Sample] = []
        self._tokens = 0
        self.totals = Totals()

    def add(self, sample: Sample) -> None:
        """Write a row, in the order of the calls."""
        self.totals.add(sample)
        self._waiting.append(sample)
        self._tokens += sample.tokens
        if self._tokens >= GROUP_TOKENS or len(self._waiting) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._waiting:
            return
        columns = _columns(self._waiting, pairs=self._pairs)
        arrays = [pa.array(columns[field.name], type=field.type) for field in self._schema]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._waiting, self._tokens = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._file.close()
            return
        self._flush()
        self._file.close()
        self.totals.sha256 = sha256_of(self._path)


def _schema(*, pairs: bool) -> Any:
    import pyarrow as pa

    ids, mask = pa.list_(pa.int32()), pa.list_(pa.int8())
    readings = (
        [("chosen_ids", ids), ("chosen_mask", mask), ("rejected_ids", ids), ("rejected_mask", mask)]
        if pairs
        else [("input_ids", ids), ("loss_mask", mask)]
    )
    return pa.schema([*readings, ("length", pa.int32()), ("source", pa.string())])


def _columns(samples: Iterable[Sample], *, pairs: bool) -> dict[str, list[Any]]:
    held = list(samples)
    names = (
        [("chosen_ids", "chosen_mask"), ("rejected_ids", "rejected_mask")]
        if pairs
        else [("input_ids", "loss_mask")]
    )
    columns: dict[str, list[Any]] = {
        "length": [one.length for one in held],
        "source": [one.source for one in held],
    }
    for at, (ids, mask) in enumerate(names):
        columns[ids] = [one.readings[at].ids for one in held]
        columns[mask] = [one.readings[at].mask for one in held]
    return columns


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
