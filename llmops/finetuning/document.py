"""Files of `kind: FineTune`, read strictly: every mistake at once, each at its place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from llmops.finetuning.contradictions import find_contradictions
from llmops.finetuning.model import FineTune
from llmops.spec import Document, Placed, read_document, read_text

FINETUNE = Document(
    model=FineTune,
    noun="a fine-tune file",
    describes="a fine-tuning",
    line="kind: FineTune",
    begin="llmops init NAME --kind finetune writes a file to start from",
    absent="llmops init NAME --kind finetune writes one; -f names another",
    usual="finetune.yaml",
    levels="four",
    more="llmops explain --kind finetune {path}",
    contradictions=find_contradictions,
    stand_ins=(
        (("kind",), "FineTune"),
        (("name",), "stand-in"),
        (("model", "source"), "file:///stand-in"),
    ),
    examples={
        "kind": "kind: FineTune",
        "name": "name: support-style",
        "model": "model: {source: hf://owner/name}",
        "model.source": "source: hf://owner/name",
        "data": "data: {train: [{source: data/train.jsonl}], split: 0.05}",
        "data.train": "train: [{source: data/train.jsonl}]",
        "data.train.source": "source: data/train.jsonl",
        "data.eval": "eval: [{source: data/eval.jsonl}]",
        "data.filters.languages": "languages: [en, de]",
        "method.targets": "targets: [q_proj, v_proj]",
        "eval": "eval: [{set: data/exam.jsonl, metric: accuracy, min: 0.8}]",
        "eval.set": "set: data/exam.jsonl",
        "eval.metric": "metric: exact_match",
    },
    later={
        "kind": "this reads kind: FineTune; kind: Service is for llmops deploy",
        "target.kind": "this version trains on this machine only: local",
    },
)
"""A fine-tune file."""


def read_finetune(paths: Sequence[Path]) -> Placed[FineTune]:
    """Read a fine-tuning; a later file overlays the earlier ones, and `-` is standard input.

    Raises:
        InputError: When a file cannot be read.
        SpecError: With all problems of all files.
    """
    return read_document(FINETUNE, paths)


def parse_finetune(text: str, name: str = "finetune.yaml") -> Placed[FineTune]:
    """Read a text in place of a file.

    Raises:
        SpecError: With all its problems.
    """
    return read_text(FINETUNE, text, name)
