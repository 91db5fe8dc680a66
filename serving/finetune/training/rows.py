"""Prepared documents for random access, at the price of pages that the kernel can drop.

Parquet is read once, a batch at a time, into three flat files that are mapped: tokens, which of
them are learnt, and where each document begins. Memory holds a few numbers for each document, and
no token for longer than it is looked at. The files are made aside and renamed, and made again when
the data are others.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from serving.finetune.training.failure import Failure, Kind, TrainingError

COLUMNS = ("input_ids", "loss_mask")

BLOCK = 4096
"""Documents that are read, or whose learnt tokens are counted, at a time."""


class Documents:
    """Documents of a prepared file.

    Args:
        folder: As `unpack` made it.
    """

    def __init__(self, folder: Path) -> None:
        import numpy as np

        def mapped(name: str, kind: str) -> Any:
            path = folder / name
            empty = path.stat().st_size == 0
            return np.zeros(0, kind) if empty else np.memmap(path, kind, mode="r")

        self._ids, self._learnt = mapped("ids", "int32"), mapped("learnt", "int8")
        self._begins = mapped("begins", "int64")

    def __len__(self) -> int:
        return len(self._begins) - 1

    def lengths(self, capacity: int) -> Any:
        """Tokens of each document, as int64; 0 for those of which nothing would be learnt."""
        import numpy as np

        sizes = np.diff(np.asarray(self._begins))
        for first in range(0, len(sizes), BLOCK):
            block = sizes[first : first + BLOCK]
            block[self._learnt_in(first, block, capacity) == 0] = 0
        return sizes

    def _learnt_in(self, first: int, sizes: Any, capacity: int) -> Any:
        """How many tokens are learnt of each document from `first` on."""
        import numpy as np

        begins = np.asarray(self._begins[first : first + len(sizes) + 1])
        mask = self._learnt[begins[0] : begins[-1]]
        totals = np.concatenate([[0], np.cumsum(mask, dtype=np.int64)])
        own = begins[:-1] - begins[0]
        ends = own + np.minimum(sizes, capacity)
        # A document's first token follows nothing, so it cannot be learnt.
        return totals[ends] - totals[np.minimum(own + 1, ends)]

    def document(self, number: int, capacity: int) -> tuple[Any, Any]:
        """Token numbers (int32) and which are learnt (int8), cut at `capacity`."""
        begin = int(self._begins[number])
        end = min(int(self._begins[number + 1]), begin + capacity)
        return self._ids[begin:end], self._learnt[begin:end]


def unchanged(parquet: Path, told: dict[str, Any]) -> str:
    """The digest of a prepared file, which must be the one that its manifest tells.

    Raises:
        TrainingError: When it is another.
    """
    with parquet.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if told.get("sha256", found) != found:
        raise unreadable(parquet, f"its digest is {found}, not {told['sha256']} of the manifest")
    return found


def unpack(parquet: Path, digest: str, folder: Path, split: int = 0) -> None:
    """Make `folder` from a prepared file, unless it is there already.

    Args:
        parquet: The file.
        digest: Its digest, by which a folder made from another one is told.
        folder: Where to.
        split: For plain text: tokens at which a longer document is cut into several; 0: never.

    Raises:
        TrainingError: When it is not such a file.
    """
    mark = json.dumps({"digest": digest, "split": split})
    if (folder / "made-from").is_file() and (folder / "made-from").read_text() == mark:
        return
    aside = folder.with_name(f".{folder.name}")
    for old in (aside, folder):
        shutil.rmtree(old, ignore_errors=True)
    aside.mkdir(parents=True)
    _write(parquet, aside, split)
    (aside / "made-from").write_text(mark)
    aside.rename(folder)


def _write(parquet: Path, aside: Path, split: int) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(parquet)
    except (OSError, pa.ArrowInvalid) as error:
        raise unreadable(parquet, str(error)) from error
    absent = [name for name in COLUMNS if name not in file.schema_arrow.names]
    if absent:
        raise unreadable(parquet, f"it has no column {' and '.join(absent)}")
    begins = [np.zeros(1, np.int64)]
    with (aside / "ids").open("wb") as ids, (aside / "learnt").open("wb") as learnt:
        for group in file.iter_batches(columns=list(COLUMNS), batch_size=BLOCK):
            tokens, mask = group.column(0), group.column(1)
            sizes = np.asarray(pc.list_value_length(tokens), np.int64)
            np.asarray(tokens.flatten(), np.int32).tofile(ids)
            np.asarray(mask.flatten(), np.int8).tofile(learnt)
            begins.append(begins[-1][-1] + np.cumsum(_cut(sizes, split)))
    np.concatenate(begins).astype(np.int64).tofile(aside / "begins")


def _cut(sizes: Any, split: int) -> Any:
    """Sizes with those above `split` as several."""
    import numpy as np

    if not split:
        return sizes
    parts = np.maximum(1, -(-sizes // split))
    cut = np.full(int(parts.sum()), split, np.int64)
    last = np.cumsum(parts) - 1
    cut[last] = sizes - (parts - 1) * split
    return cut


def sources(parquet: Path, numbers: Iterable[int], split: int = 0) -> tuple[str, ...]:
    """Where documents come from, as `file:line`; empty when the file does not say."""
    import numpy as np
    import pyarrow.parquet as pq

    file = pq.ParquetFile(parquet)
    if "source" not in file.schema_arrow.names:
        return ()
    wanted = sorted(set(numbers))
    if split:
        sizes = np.asarray(file.read(columns=["length"]).column(0), np.int64)
        owner = np.repeat(np.arange(len(sizes)), np.maximum(1, -(-sizes // split)))
        wanted = sorted({int(owner[number]) for number in wanted})
    return tuple(file.read(columns=["source"]).column(0).take(wanted).to_pylist())


def unreadable(path: Path, why: str) -> TrainingError:
    """That prepared data cannot be used."""
    message = f"{path}: expected prepared data, found that {why}"
    return TrainingError(Failure(Kind.INPUT, message, hint="prepare the data again"))
