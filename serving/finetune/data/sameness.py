"""Which rows are the same as others: duplicates on a side, and rows learnt though held out.

Both go by the same measure, that of `data.duplicates`: equal text, case and spaces aside; and,
where near duplicates are looked for, a likeness from the threshold on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from serving.finetune.data.duplicates import Exact, Index, Near, signature_of
from serving.finetune.data.ledger import Ledger
from serving.finetune.data.rows import Row, Side
from serving.finetune.data.scratch import Kept
from serving.finetune.data.settings import Settings

SIDES: tuple[Side, Side] = ("train", "eval")


class Sameness:
    """The memory of rows that were kept."""

    def __init__(self, index: Index, ledger: Ledger, settings: Settings) -> None:
        duplicates = settings.data.duplicates
        self._ledger = ledger
        self._threshold = None if duplicates.near == "off" else duplicates.near
        self._exact: dict[Side, Exact] = {}
        self._near: dict[Side, Near] = {}
        if duplicates.exact:
            self._equal = ledger.open("exact duplicates", "the same text, case and spaces aside")
            self._exact = {side: index.exact(side) for side in SIDES}
        if self._threshold is not None:
            about = f"at least {self._threshold:.0%} alike"
            self._alike = ledger.open("near duplicates", about)
            self._near = {side: index.near(side, self._threshold) for side in SIDES}
            self._held_near = index.near("held", self._threshold)
        self._held = index.exact("held")

    def without(self, rows: Sequence[Row], side: Side) -> list[tuple[Row, bytes]]:
        """Rows that are like none before them on their side, each with its signature (empty where
        near duplicates are not looked for)."""
        if self._exact:
            rows = list(self._first(rows, self._exact[side]))
        if self._near:
            return list(self._unlike(rows, self._near[side]))
        return [(row, b"") for row in rows]

    def hold_out(self, row: Row, signature: bytes) -> None:
        """Remember a row that must not be learnt from."""
        if self._held.find(row.key) is None:
            self._held.add(row.key, row.source)
        if signature:
            self._held_near.add(signature, row.source)

    def leaks(self, kept: Kept) -> str:
        """Why a row to learn from is the same as one that is held out, or as what an exam asks;
        empty when it is not."""
        if (source := self._held.find(kept.key)) is not None:
            return f"also held out ({source})"
        if kept.signature and (like := self._held_near.find(kept.signature)) is not None:
            return f"like one held out ({like.likeness:.0%} like {like.source})"
        return kept.exam

    def _first(self, rows: Sequence[Row], seen: Exact) -> Iterator[Row]:
        for row in rows:
            self._equal.before += 1
            key = row.key
            if (source := seen.find(key)) is not None:
                self._ledger.removed(self._equal, row.source, f"same (as {source})", row.text)
                continue
            seen.add(key, row.source)
            yield row

    def _unlike(self, rows: Sequence[Row], seen: Near) -> Iterator[tuple[Row, bytes]]:
        for row in rows:
            self._alike.before += 1
            signature = signature_of(row.text)
            if (like := seen.find(signature)) is not None:
                why = f"alike ({like.likeness:.0%} like {like.source})"
                self._ledger.removed(self._alike, row.source, why, row.text)
                continue
            seen.add(signature, row.source)
            yield row, signature
