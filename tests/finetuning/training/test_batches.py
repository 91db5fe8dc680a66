"""Documents that share a row are learnt as if each stood alone: same loss, same gradients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from serving.finetune.training.batches import (
    IGNORED,
    Shape,
    batch,
    keeps_columns,
    learnt,
    separates,
    summed_loss,
)
from serving.finetune.training.failure import TrainingError
from serving.finetune.training.packing import Row, rows_of
from serving.finetune.training.rows import Documents, sources, unchanged, unpack
from tests.finetuning.training import tiny

SHAPE = Shape(sequence=64, pad=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    tiny.prepared(folder / "data", 24)
    unpack(folder / "data" / "train.parquet", "digest", folder / "documents")
    return folder


@pytest.fixture(scope="module")
def documents(place: Path) -> Documents:
    return Documents(place / "documents")


def model(attention: str) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(5)
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=2, num_key_value_heads=2, num_hidden_layers=2,
        intermediate_size=128, vocab_size=tiny.VOCABULARY, attn_implementation=attention,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def learn(attention: str, documents: Documents, rows: Sequence[Sequence[Row]], slim: bool) -> Any:
    """Loss and gradients of micro batches of rows."""
    made = model(attention)
    total = torch.zeros(())
    for micro in rows:
        loss = summed_loss(made, batch(documents, micro, SHAPE), slim)
        loss.backward()
        total += loss.detach()
    return total, [one.grad for one in made.parameters()]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_rows_give_the_loss_and_gradients_of_single_documents(
    documents: Documents, attention: str
) -> None:
    lengths = documents.lengths(SHAPE.sequence)
    packed = rows_of(lengths, SHAPE.sequence, packing=True, seed=1, epoch=0)
    assert len(packed) < len(documents) / 2
    pairs = [packed[at : at + 2] for at in range(0, len(packed), 2)]
    single = [[(number,)] for number in range(len(documents))]
    loss, gradients = learn(attention, documents, pairs, slim=True)
    expected, ones = learn(attention, documents, single, slim=False)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
    for found, one in zip(gradients, ones, strict=True):
        torch.testing.assert_close(found, one, rtol=1e-3, atol=1e-4)


def test_only_what_is_marked_is_learnt(documents: Documents) -> None:
    made = batch(documents, [(0, 1)], SHAPE)
    targets: list[int] = []
    for number in (0, 1):
        ids, mask = documents.document(number, SHAPE.sequence)
        targets += [int(i) if m else IGNORED for i, m in zip(ids[1:], mask[1:], strict=True)]
        targets.append(IGNORED)
    assert made["targets"][0].tolist() == targets
    assert int(learnt(made["targets"])) == sum(target != IGNORED for target in targets)


def test_an_empty_row_counts_nothing_and_keeps_every_gradient(documents: Documents) -> None:
    made = model("sdpa")
    loss = summed_loss(made, batch(documents, [()], SHAPE), keeps_columns(made))
    loss.backward()
    assert float(loss) == 0
    assert all(one.grad is not None for one in made.parameters())


def test_a_model_whose_rows_mix_is_found_out() -> None:
    class Mixing(torch.nn.Module):  # type: ignore[misc]
        """Carries a sum along the row, as state-space layers carry their state."""

        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(tiny.VOCABULARY, 8)

        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            return type("Told", (), {"logits": self.table(input_ids).cumsum(1)})

    assert separates(model("sdpa"), tiny.VOCABULARY)
    assert not separates(Mixing(), tiny.VOCABULARY)


def test_a_long_text_is_cut_into_several_and_its_source_is_known(place: Path) -> None:
    folder = tiny.prepared(place / "text", 12, kind="text")
    unpack(folder / "train.parquet", "digest", place / "cut", split=16)
    cut = Documents(place / "cut")
    assert int(cut.lengths(16).max()) <= 16
    assert len(cut) > 12
    assert sources(folder / "train.parquet", [0, len(cut) - 1], split=16) == (
        "data/train.jsonl:1", "data/train.jsonl:12",
    )  # fmt: skip


def test_prepared_data_that_were_changed_are_refused(place: Path) -> None:
    parquet = tiny.prepared(place / "changed", 12) / "train.parquet"
    told = json.loads((parquet.parent / "manifest.json").read_text())["train"]
    assert unchanged(parquet, told) == told["sha256"]
    parquet.write_bytes(parquet.read_bytes() + b" ")
    with pytest.raises(TrainingError, match="digest"):
        unchanged(parquet, told)


def test_documents_are_unpacked_again_when_the_data_are_others(place: Path) -> None:
    first = (place / "documents" / "ids").stat().st_ino
    unpack(place / "data" / "train.parquet", "digest", place / "documents")
    assert (place / "documents" / "ids").stat().st_ino == first
    other = tiny.prepared(place / "other", 12, seed=9)
    unpack(other / "train.parquet", "another", place / "documents")
    assert len(Documents(place / "documents")) == 12
