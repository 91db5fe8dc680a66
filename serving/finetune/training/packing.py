"""Which documents share a row, and in which order rows are learnt: pure, from a seed and an epoch.

Best-fit decreasing (Johnson, 1973; for training Ding et al., "Fewer Truncations Improve Language
Modeling", 2024): the longest document first, each into the fullest row that has room. Documents are
never cut to fill a row. The rows are then shuffled, so that long documents do not come first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

Row = tuple[int, ...]
"""Numbers of the documents that stand in one row, in their order there."""


def rows_of(
    lengths: Sequence[int] | Any, capacity: int, *, packing: bool, seed: int, epoch: int
) -> list[Row]:
    """The rows of an epoch, in the order in which they are learnt.

    Args:
        lengths: Tokens of each document; those of none are left out.
        capacity: Most tokens of a row; a longer document counts as this long.
        packing: Whether documents share rows.
        seed: Of the training.
        epoch: Which pass over the documents, from 0: another pass has another order.
    """
    import numpy as np

    random = np.random.default_rng([seed, epoch])
    sizes = np.minimum(np.asarray(lengths, dtype=np.int64), capacity)
    order = random.permutation(np.flatnonzero(sizes > 0))
    if not packing:
        return [(int(number),) for number in order]
    falling = order[np.argsort(-sizes[order], kind="stable")]
    rows = best_fit(falling.tolist(), sizes.tolist(), capacity)
    return [rows[at] for at in random.permutation(len(rows))]


def best_fit(order: Sequence[int], sizes: Sequence[int], capacity: int) -> list[Row]:
    """Put documents into rows, each into the fullest that has room; takes O(n log capacity)."""
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}
    rooms: list[int] = []
    for number in order:
        size = sizes[number]
        at = bisect_left(rooms, size)
        if at == len(rooms):
            row, room = len(rows), capacity
            rows.append([])
        else:
            room = rooms[at]
            row = open_rows[room].pop()
            if not open_rows[room]:
                del open_rows[room]
                del rooms[at]
        rows[row].append(number)
        left = room - size
        if left > 0:
            if left not in open_rows:
                open_rows[left] = []
                insort(rooms, left)
            open_rows[left].append(row)
    return [tuple(row) for row in rows]
