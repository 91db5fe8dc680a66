"""Rows as tensors, and the loss over what is learnt of them.

Documents that share a row never see each other: each counts its positions from 0, no attention mask
is given, and transformers then lets a token attend to its own run of positions only (its
`find_packed_sequence_indices`); `separates` holds a model against that before it is trained.
The head is computed for the columns that are learnt only: prompts cost no logits.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from serving.finetune.training.order import Order
from serving.finetune.training.packing import Row
from serving.finetune.training.rows import Documents

IGNORED = -100
"""PyTorch's own mark for a place that the loss leaves out."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become tensors."""

    sequence: int
    pad: int
    fixed: bool = False
    """Whether rows are always filled to `sequence`: where tensors of one shape are passed on."""


def batch(documents: Documents, rows: Sequence[Row], shape: Shape) -> dict[str, torch.Tensor]:
    """Tensors of one micro batch, each (rows, tokens).

    Returns:
        `input_ids`; `position_ids` from 0 in each document and in what fills a row up;
        `targets`: for each place the token that follows it, where that is learnt.
    """
    filled = [_row(documents, row, shape.sequence) for row in rows]
    width = shape.sequence if shape.fixed else max(2, *(len(ids) for ids, _, _ in filled))
    size = (len(rows), width)
    ids = torch.full(size, shape.pad)
    positions, targets = torch.zeros(size, dtype=torch.long), torch.full(size, IGNORED)
    for at, (tokens, places, learnt) in enumerate(filled):
        used = len(tokens)
        ids[at, :used], positions[at, :used], targets[at, :used] = tokens, places, learnt
        positions[at, used:] = torch.arange(width - used)
    return {"input_ids": ids, "position_ids": positions, "targets": targets}


def _row(
    documents: Documents, row: Row, sequence: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    tokens, places, targets = [], [], []
    for number in row:
        ids, learnt = documents.document(number, sequence)
        own = torch.tensor(ids, dtype=torch.long)
        follows = torch.full_like(own, IGNORED)
        mask = torch.tensor(learnt[1:], dtype=torch.bool)
        follows[:-1][mask] = own[1:][mask]
        tokens.append(own)
        places.append(torch.arange(len(own)))
        targets.append(follows)
    if not tokens:
        empty = torch.zeros(0, dtype=torch.long)
        return empty, empty, empty
    return torch.cat(tokens), torch.cat(places), torch.cat(targets)


class Micro(torch.utils.data.Dataset[dict[str, Any]]):  # type: ignore[misc]
    """Every micro batch of a training by number: of a step, then a turn, then a copy.

    A loader that deals them out to the copies in turn gives each what `Order.micro` names.
    """

    def __init__(self, order: Order, documents: Documents, shape: Shape, turns: int, copies: int):
        self._order, self._documents, self._shape = order, documents, shape
        self._turns, self._copies = turns, copies

    def __len__(self) -> int:
        return self._order.steps * self._turns * self._copies

    def __getitem__(self, number: int) -> dict[str, Any]:
        step, rest = divmod(number, self._turns * self._copies)
        rows = self._order.micro(step, *divmod(rest, self._copies))
        return batch(self._documents, rows, self._shape)


def only(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A loader's collation, where an item is a batch already."""
    return items[0]


def learnt(targets: torch.Tensor) -> torch.Tensor:
    """How many tokens are learnt."""
    return (targets != IGNORED).sum()


def summed_loss(model: nn.Module, inputs: dict[str, torch.Tensor], slim: bool) -> torch.Tensor:
    """Cross entropy in float32, summed over the learnt tokens of a micro batch.

    Args:
        model: Gives logits of `input_ids` and `position_ids`.
        inputs: As `batch` makes them.
        slim: Whether the model can compute its head for chosen columns (`keeps_columns`).
    """
    targets, chosen = inputs["targets"], {}
    if slim:
        columns = (targets != IGNORED).any(0).nonzero()[:, 0]
        # An empty row has none; one column keeps every parameter in the graph of every worker.
        columns = columns if len(columns) else torch.zeros_like(targets[0, :1])
        targets, chosen = targets[:, columns], {"logits_to_keep": columns}
    logits = model(
        input_ids=inputs["input_ids"],
        position_ids=inputs["position_ids"],
        use_cache=False,
        **chosen,
    ).logits
    return cross_entropy(logits, targets)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed over the learnt places, in float32."""
    flat = logits.flatten(0, 1).float()
    return functional.cross_entropy(flat, targets.flatten(), ignore_index=IGNORED, reduction="sum")


def keeps_columns(model: nn.Module) -> bool:
    """Whether a causal model of transformers computes its head for chosen columns."""
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def separates(model: nn.Module, vocabulary: int) -> bool:
    """Whether a document's logits stay the same whatever stands before it in its row."""
    device = next(model.parameters()).device
    tokens = torch.arange(32, device=device) % vocabulary
    other = tokens.clone()
    other[:16] = (other[:16] + 1) % vocabulary
    positions = torch.arange(16, device=device).repeat(2)[None]
    was = model.training
    model.eval()
    with torch.no_grad():
        found = [
            model(input_ids=ids[None], position_ids=positions, use_cache=False).logits[:, 16:]
            for ids in (tokens, other)
        ]
    model.train(was)
    return bool(torch.equal(*found))
