"""A small tokenizer with a chat template, and files of rows, made for a test."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llmops.finetuning import Data
from serving.finetune.data import Prepared, Settings, prepare

TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML, as many models have it."""

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def tokenizer(folder: Path, *, template: str | None = TEMPLATE) -> Path:
    """A folder with a tokenizer of bytes: a token is a byte, or one of three signs."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {sign: at for at, sign in enumerate([*SPECIALS, *letters])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(SPECIALS)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = template
    fast.save_pretrained(str(folder))
    return folder


def lines(path: Path, rows: Iterable[object]) -> Path:
    """A JSON Lines file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
    return path


def talk(*said: str, system: str = "") -> dict[str, object]:
    """A conversation that user and assistant say in turns."""
    roles = ("user", "assistant")
    turns = [{"role": roles[at % 2], "content": text} for at, text in enumerate(said)]
    first = [{"role": "system", "content": system}] if system else []
    return {"messages": [*first, *turns]}


def settings(
    train: Path | Sequence[Path],
    *,
    held: Path | None = None,
    sequence: int = 4096,
    form: str = "chat",
    more: Mapping[str, object] | None = None,
    **data: object,
) -> Settings:
    """Settings for files; `more` is of each entry, the rest of the data section."""
    paths = [train] if isinstance(train, Path) else list(train)
    entry = {"format": form} | dict(more or {})
    document: dict[str, object] = {
        "train": [{"source": f"file://{path}"} | entry for path in paths],
        **({"eval": [{"source": f"file://{held}"} | entry]} if held else {}),
        "personal_data": "keep",  # loading its recognisers takes long
        **data,
    }
    return Settings(Data.model_validate(document), sequence, 17)


def prepared(given: Settings, base: Path, folder: Path, told: list[str] | None = None) -> Prepared:
    """Prepare, and note what is told."""
    return prepare(given, base, folder, (told if told is not None else []).append)


def table(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return found
