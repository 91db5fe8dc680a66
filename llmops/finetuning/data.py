"""What may stand in the `data` section: which rows are learnt from, and what is done to them first.

Every field is documented by the docstring right below it. Nothing here opens a file: what only the
rows can tell is told by `llmops finetune data`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec import Form, Section

Column = Annotated[str, Field(min_length=1, max_length=200), Form("the name of a column")]

Place = Annotated[
    str,
    Field(min_length=1, max_length=4096),
    Form("a path beside this file, file:///path or hf://owner/name"),
]

Format = Literal["chat", "instruction", "text", "preference"]


class Columns(Section):
    """What the columns of the rows are called."""

    messages: Column = "messages"
    """For `chat`: a list of `{role, content}`."""

    prompt: Column = "prompt"
    """For `instruction` and `preference`: what is asked, as text. Not read where `template` makes
    it of other columns."""

    completion: Column = "completion"
    """For `instruction`: the answer that is learnt, as text."""

    system: Column | None = None
    """For `instruction` and `preference`: the system message, as text. Left out there is none."""

    text: Column = "text"
    """For `text`: all of it is learnt. Not read where `template` makes it of other columns."""

    chosen: Column = "chosen"
    """For `preference`: the better answer, as text or as a list of messages."""

    rejected: Column = "rejected"
    """For `preference`: the worse answer, in the same form."""


class Rows(Section):
    """A file, or a data set of a hub."""

    source: Place
    """Where the rows are: a path, relative to the folder of this file; `file:///path`; or
    `hf://owner/name`, a data set. Files are JSON Lines, JSON, CSV, TSV, Parquet or, for `text`,
    plain text with a row in each line: their ending says which (`.jsonl`, `.json`, `.csv`, `.tsv`,
    `.parquet`, `.txt`; the text forms also with `.gz`)."""

    revision: (
        Annotated[
            str, Field(min_length=1, max_length=200), Form("a commit hash, a branch or a tag")
        ]
        | None
    ) = None
    """For `hf://`: a full commit hash, so that each run reads the same rows. Without it `main` is
    read, and a plan warns."""

    part: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$"), Form("the name of a split")] = (
        "train"
    )
    """For `hf://`: which split of the data set."""

    format: Format = "chat"
    """What a row is: `chat` has a list of messages, `instruction` a prompt and its answer, `text`
    a text all of which is learnt, `preference` a prompt with a better and a worse answer. All of
    `data.train` and `data.eval` are preference pairs, or none is."""

    columns: Columns = Columns()
    """What the columns are called, where they are not called so already."""

    template: (
        Annotated[str, Field(min_length=1, max_length=20_000), Form("a text with {columns} in it")]
        | None
    ) = None
    """How the prompt (of `instruction` and `preference`) or the text (of `text`) is put together,
    with the names of columns in braces: `"{question}\\n\\n{context}"`. A brace itself is written
    twice. Left out, the one column that `columns` names is taken as it is."""


class Filters(Section):
    """Which rows are left out. The report counts what each filter removed, and shows examples."""

    min_tokens: Annotated[int, Field(ge=1, le=1_048_576)] = 2
    """Fewest tokens of a row, chat template included."""

    max_tokens: Annotated[int, Field(ge=2, le=16_777_216)] | None = None
    """Most tokens of a row. Left out it is `training.sequence`: what is longer cannot be learnt
    whole."""

    too_long: Literal["drop", "cut"] = "drop"
    """What becomes of a row of more tokens: it is left out, or cut at its end. A cut answer teaches
    to stop in the middle, so rows are dropped unless this says otherwise. Rows of the format `text`
    are cut into pieces of that length instead, and none is lost."""

    languages: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z]{2}$"), Form("two letters such as en")], ...],
        Field(strict=False),
    ] = ()
    """Languages of rows that are kept, as two letters of ISO 639-1. Guessed from the text; what is
    too short to tell is kept. Empty: all languages."""

    repetition: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Largest share of a row's runs of words that may be repeats of others in it. 1 keeps all."""

    broken_text: bool = True
    """Whether broken text is mended (decoded in the wrong way, control characters), and a row that
    stays broken left out. Otherwise text is taken as it is."""


class Duplicates(Section):
    """Which rows are taken for the same."""

    exact: bool = True
    """Whether of rows with the same text, case and spaces aside, only the first is kept."""

    near: Annotated[float, Field(ge=0.5, le=1.0)] | Literal["off"] = 0.8
    """From which share of common runs of five characters on, case and spaces aside, only the first
    of two rows is kept (Jaccard similarity, estimated by MinHash). `off` compares nothing."""


Label = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,59}$"), Form("a label such as PER")]


class Entities(Section):
    """A model that finds names in text, which patterns cannot."""

    model: Place
    """Folder of a token classifier in transformers' form (`config.json`, `model.safetensors`, a
    fast tokenizer), relative to the folder of this file; or `file:///path`. It finds what it was
    trained to find, in the languages that it was trained in. Nothing is fetched, and no code of a
    model is run."""

    labels: Annotated[tuple[Label, ...], Field(strict=False, min_length=1)] = ("PER",)
    """Which of the model's labels are personal data, without what tells the beginning of a name
    from its rest (`B-`, `I-`). People alone, unless this says otherwise: without the names of
    places and companies little can be learnt of them."""

    score: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Probability from which on the model is believed."""


class Data(Section):
    """What is learnt from."""

    train: Annotated[tuple[Rows, ...], Field(strict=False)]
    """Files or data sets that are learnt from, in this order before they are shuffled by
    `training.seed`."""

    eval: Annotated[tuple[Rows, ...], Field(strict=False)] = ()
    """Files or data sets that are never learnt from: their loss is measured during training."""

    split: Annotated[float, Field(gt=0.0, ge=0.0001, le=0.5)] | None = None
    """Instead of `data.eval`: which share of the rows of `data.train` is held out, such as 0.05.
    Which rows these are follows from their text and `training.seed`, so a row that is added
    elsewhere moves none."""

    leakage: Literal["remove", "fail", "keep"] = "remove"
    """What is done with a row to learn from that is also held out, by the measure of `duplicates`:
    it is left out of what is learnt, the preparation fails, or it stays. A model is not better for
    having seen the exam, so it is removed unless this says otherwise. Files of `eval[].set` are
    held out too: a row leaks that asks what one of them asks, whatever it answers, or that has such
    a prompt of at least 50 characters in it. With `keep` they are not looked at."""

    filters: Filters = Filters()
    """Which rows are left out."""

    duplicates: Duplicates = Duplicates()
    """Which rows are taken for the same."""

    personal_data: Literal["redact", "fail", "keep"] = "redact"
    """What is done with addresses of e-mail and of machines, numbers of accounts, cards and
    telephones, and keys of well-known services: they are replaced by a word in brackets, the
    preparation fails, or they stay. A model repeats what it learnt, so they are replaced unless
    this says otherwise. Names of people are found by the model of `entities`, where there is one,
    and postal addresses are not found."""

    entities: Entities | None = None
    """A model that finds names of people, which count as personal data too. Left out there is
    none: a model reads much slower than patterns do."""

    chat_template: Place | None = None
    """File with a chat template in Jinja, for a base that has none or another. Left out it is the
    base's own, and rows of messages are refused where that has none."""

    learn: Literal["answers", "all"] = "answers"
    """Which tokens of a conversation are learnt: those of the assistant, or all. Of the format
    `text` all are."""

    on_bad: Literal["fail", "skip"] = "fail"
    """What is done with a row that cannot be read as its format: the preparation fails and names
    file and line, or it is left out and counted."""


__all__ = ["Columns", "Data", "Duplicates", "Entities", "Filters", "Format", "Rows"]
