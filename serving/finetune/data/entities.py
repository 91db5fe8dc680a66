"""Names in text, found by a model of the user's own: a token classifier in transformers' form.

Patterns find no names of people; a model that was trained to does, as well as it was trained. It is
read from a folder, computes on the CPU in float32 a text at a time, so that the same text gives the
same names, and fetches nothing. Weights are safetensors only, and no code of a model is run.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmops.errors import InputError, ModelError
from llmops.finetuning import Entities, path_of
from serving.finetune.data.personal import Found

WORDS = {"PER": "PERSON", "LOC": "LOCATION", "ORG": "ORGANIZATION"}
"""Presidio's words for what classifiers call otherwise."""

PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]*>")
"""What was put in place of something personal before: it is nobody's name."""

MOST_TOKENS = 512
"""A text is read in pieces of so many tokens where its model says no other number."""

PATH = "data.entities.model"


class Names:
    """Finds what a model calls by one of the labels that are asked for.

    Args:
        asked: Which model, which labels, and from which score on.

    Raises:
        ModelError: When it cannot be loaded.
        InputError: When it knows none of the labels.
    """

    def __init__(self, asked: Entities) -> None:
        self._asked = asked
        self._pipeline = _pipeline(folder_of(asked))
        known = {_bare(label) for label in self._pipeline.model.config.id2label.values()} - {"O"}
        if missing := sorted(set(asked.labels) - known):
            raise InputError(
                f"the model has no label {', '.join(missing)}",
                hint=f"data.entities.labels: it has {', '.join(sorted(known)) or 'none'}",
                path="data.entities.labels",
            )

    def find(self, text: str) -> Iterator[Found]:
        """Each stretch that is a name; never what was put in the place of one."""
        if not any(sign.isalpha() for sign in text):
            return
        taken = [(found.start(), found.end()) for found in PLACEHOLDER.finditer(text)]
        for one in self._pipeline(text):
            label, score = str(one["entity_group"]), float(one["score"])
            if label in self._asked.labels and score >= self._asked.score:
                for begin, end in _without(int(one["start"]), int(one["end"]), taken):
                    if any(sign.isalnum() for sign in text[begin:end]):
                        yield Found(WORDS.get(label, _word(label)), begin, end, score)


def folder_of(asked: Entities) -> Path:
    """The model's folder; places have been made absolute."""
    return path_of(asked.model) or Path(asked.model)


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and the bytes of a model's files.

    Raises:
        ModelError: When there is no such folder, or it cannot be read.
    """
    total = hashlib.sha256()
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
        for path in files:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.name} {found}\n".encode())
    except OSError as error:
        raise ModelError(
            f"the model of names {folder} cannot be read: {error.strerror}", path=PATH
        ) from error
    return total.hexdigest()


def _pipeline(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline
    from transformers.utils import logging

    logging.set_verbosity_error()
    own: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **own)
        model = AutoModelForTokenClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, **own
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"the model of names {folder} cannot be loaded: {str(error).splitlines()[0][:300]}",
            hint="a folder with config.json, model.safetensors and a fast tokenizer of a token"
            " classifier",
            path=PATH,
        ) from error
    # Some kinds count positions from beyond the padding's number: two are left free.
    most = getattr(model.config, "max_position_embeddings", None) or MOST_TOKENS
    tokenizer.model_max_length = max(8, min(tokenizer.model_max_length, most - 2))
    return pipeline(
        "token-classification", model=model.eval(), tokenizer=tokenizer, device="cpu",
        aggregation_strategy="first", stride=tokenizer.model_max_length // 4,
    )  # fmt: skip


def _bare(label: str) -> str:
    """A label without what tells the beginning of a name from its rest."""
    return label[2:] if label[:2] in ("B-", "I-") else label


def _word(label: str) -> str:
    """A label as a word in brackets has it."""
    return re.sub(r"[^A-Z]+", "_", label.upper()).strip("_") or "ENTITY"


def _without(begin: int, end: int, taken: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """What of a stretch lies in none of those that are taken."""
    for low, high in taken:
        if high <= begin or low >= end:
            continue
        if begin < low:
            yield begin, low
        begin = high
    if begin < end:
        yield begin, end
