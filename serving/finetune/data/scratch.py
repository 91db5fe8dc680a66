"""Rows on disk between the two readings of a preparation, in the scratch database.

4 bytes for each token and 1 for its mask, beside the row's text where it may still be shown.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from serving.finetune.data.tokens import Encoded
from serving.finetune.data.writing import Sample

TABLE = (
    "CREATE TABLE kept (part INTEGER, id INTEGER PRIMARY KEY, source TEXT, key BLOB, sign BLOB,"
    " text TEXT, exam TEXT, tokens BLOB)"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A row that came through, with what it is compared by."""

    sample: Sample
    key: bytes
    signature: bytes
    """Empty where near duplicates are not looked for."""
    text: str
    """Its beginning, after personal data was replaced."""
    exam: str = ""
    """Why it is what an exam asks; empty when it is not, or exams are not looked at."""


class Scratch:
    """The rows of a side, written to their end and then read from their beginning."""

    def __init__(self, base: sqlite3.Connection, part: int) -> None:
        self._base, self._part = base, part

    def add(self, kept: Kept) -> None:
        packed = b"".join(_packed(one) for one in kept.sample.readings)
        self._base.execute(
            "INSERT INTO kept VALUES (?, NULL, ?, ?, ?, ?, ?, ?)",
            (
                self._part,
                kept.sample.source,
                kept.key,
                kept.signature,
                kept.text,
                kept.exam,
                packed,
            ),
        )

    def __iter__(self) -> Iterator[Kept]:
        for source, key, signature, text, exam, packed in self._base.execute(
            "SELECT source, key, sign, text, exam, tokens FROM kept WHERE part = ? ORDER BY id",
            (self._part,),
        ):
            yield Kept(Sample(source, tuple(_unpacked(packed))), key, signature, text, exam)


def _packed(one: Encoded) -> bytes:
    return len(one.ids).to_bytes(8, "little") + array("i", one.ids).tobytes() + bytes(one.mask)


def _unpacked(packed: bytes) -> Iterator[Encoded]:
    at = 0
    while at < len(packed):
        count = int.from_bytes(packed[at : at + 8], "little")
        ids = array("i")
        ids.frombytes(packed[at + 8 : at + 8 + 4 * count])
        end = at + 8 + 5 * count
        yield Encoded(tuple(ids), tuple(packed[end - count : end]))
        at = end
