"""Rows that say the same, or nearly: found among all rows, of which memory holds none.

What is remembered lies in a scratch database on disk, not in memory. Bytes of it for each row that
is kept, beside the name of its place: 16 of its digest; and where near duplicates are looked for,
512 of its MinHash signature and about 20 for each band (`bands_of`). In memory is only the
database's cache of pages, `CACHE`. Of equal or like rows the first is kept, so the order of the
inputs decides.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from serving.finetune.data.rows import Side, normal
from serving.finetune.data.runs import hashes_of_runs
from serving.finetune.data.scratch import TABLE, Scratch

PERMUTATIONS = 128
"""Numbers of a signature. The standard error of a likeness J is sqrt(J (1 - J) / 128): 0.035 at
0.8 (Broder, "On the resemblance and containment of documents", 1997)."""

SEED = 17
"""Of the permutations: fixed, so that the same rows give the same result."""

SHINGLE = 5
"""Characters of the runs whose sets are compared. Characters, not words: one word changed in a
question of ten would change half of its runs of five words."""

CHUNK = 8192
"""Runs that are hashed at once, so that a long text needs no memory of its own size."""

CANDIDATES = 64
"""Rows that are compared for one band. Rows made of one form share bands with thousands that are
not alike; the earliest are looked at."""

CACHE = 16 * 2**20
"""Bytes of the database's pages in memory; the system keeps more of them where there is room."""

IN_BAND = "SELECT id FROM bands WHERE part = ? AND band = ? ORDER BY id LIMIT ?"


@dataclass(frozen=True, slots=True)
class Like:
    """An earlier row that a row is like."""

    source: str
    likeness: float


PARTS = {"train": 0, "eval": 1, "held": 2, "exam": 3}
"""What rows are remembered for: as those of a side, as held out, and as what exams ask."""

TABLES = (
    "CREATE TABLE exact (part INT, key BLOB, source TEXT, PRIMARY KEY (part, key)) WITHOUT ROWID",
    "CREATE TABLE near (id INTEGER PRIMARY KEY, sign BLOB, source TEXT)",
    "CREATE TABLE bands (part INT, band INT, id INT, PRIMARY KEY (part, band, id)) WITHOUT ROWID",
    TABLE,
)


class Index:
    """A scratch database in `folder`; what is in it may be lost at any time."""

    def __init__(self, folder: Path) -> None:
        # Nobody else reads it and a killed run begins anew: neither journal nor sync is of use.
        self._base = sqlite3.connect(folder / "index.sqlite", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE",
                       f"cache_size = -{CACHE // 1024}", "temp_store = FILE"):  # fmt: skip
            self._base.execute(f"PRAGMA {pragma}")
        self._base.execute("BEGIN")
        for table in TABLES:
            self._base.execute(table)

    def exact(self, part: str) -> Exact:
        """The digests of a part."""
        return Exact(self._base, PARTS[part])

    def near(self, part: str, threshold: float) -> Near:
        """The signatures of a part."""
        return Near(self._base, PARTS[part], threshold)

    def scratch(self, side: Side) -> Scratch:
        """The rows of a side."""
        return Scratch(self._base, PARTS[side])

    def close(self) -> None:
        """Let it go."""
        self._base.close()


class Exact:
    """Digests of rows, and where each was seen first."""

    def __init__(self, base: sqlite3.Connection, part: int) -> None:
        self._base, self._part = base, part

    def find(self, key: bytes) -> str | None:
        """Where the same was seen."""
        found = self._base.execute(
            "SELECT source FROM exact WHERE part = ? AND key = ?", (self._part, key)
        ).fetchone()
        return None if found is None else str(found[0])

    def add(self, key: bytes, source: str) -> None:
        self._base.execute("INSERT INTO exact VALUES (?, ?, ?)", (self._part, key, source))


class Near:
    """Signatures of rows, by bands: rows that share a band are compared by their signatures."""

    def __init__(self, base: sqlite3.Connection, part: int, threshold: float) -> None:
        self._base, self._part, self._threshold = base, part, threshold
        self._bands, self._rows = bands_of(threshold)

    def find(self, signature: bytes) -> Like | None:
        """The first row that is at least as like as the threshold."""
        import numpy as np

        mine = np.frombuffer(signature, dtype="<u4")
        looked: set[int] = set()
        for band in self._keys(signature):
            for (at,) in self._base.execute(IN_BAND, (self._part, band, CANDIDATES)).fetchall():
                if at in looked:
                    continue
                looked.add(at)
                sign, source = self._base.execute(
                    "SELECT sign, source FROM near WHERE id = ?", (at,)
                ).fetchone()
                likeness = float(np.mean(mine == np.frombuffer(sign, dtype="<u4")))
                if likeness >= self._threshold:
                    return Like(str(source), likeness)
        return None

    def add(self, signature: bytes, source: str) -> None:
        at = self._base.execute(
            "INSERT INTO near (sign, source) VALUES (?, ?)", (signature, source)
        ).lastrowid
        self._base.executemany(
            "INSERT OR IGNORE INTO bands VALUES (?, ?, ?)",
            [(self._part, band, at) for band in self._keys(signature)],
        )

    def _keys(self, signature: bytes) -> list[int]:
        size = 4 * self._rows
        return [
            int.from_bytes(
                hashlib.blake2b(
                    signature[band * size : (band + 1) * size],
                    digest_size=8,
                    salt=band.to_bytes(2, "little"),
                ).digest(),
                "little",
                signed=True,
            )
            for band in range(self._bands)
        ]


@cache
def bands_of(threshold: float) -> tuple[int, int]:
    """How many bands of how many numbers: the library's optimum for a likeness. A missed pair
    weighs more than a comparison in vain, since comparing decides."""
    from datasketch import MinHashLSH

    # Above that the library finds no two bands; more candidates than needed do no harm.
    chosen = MinHashLSH(threshold=min(threshold, 0.95), num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    return int(chosen.b), int(chosen.r)


def signature_of(text: str) -> bytes:
    """MinHash of a text's runs of five characters, case and spaces aside: 512 bytes."""
    import numpy as np

    minhash = _minhash()
    minhash.clear()
    # Folded to 32 bits from above: the upper bits of a product are the better mixed ones.
    runs = np.unique(hashes_of_runs(normal(text), SHINGLE) >> np.uint64(32))
    for at in range(0, len(runs), CHUNK):
        minhash.update_batch(runs[at : at + CHUNK])
    return bytes(np.asarray(minhash.digest(), dtype="<u4").tobytes())


@cache
def _minhash() -> Any:
    from datasketch import MinHash

    return MinHash(num_perm=PERMUTATIONS, seed=SEED, scheme="affine32", hashfunc=_itself)


def _itself(value: Sequence[int]) -> Sequence[int]:
    return value
