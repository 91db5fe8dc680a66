"""What no data section can mean: places, forms of rows and what is held out, compared. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from llmops.finetuning.data import Data, Rows
from llmops.finetuning.model import HELD_OUT, FineTune
from llmops.finetuning.places import HUB, is_relative, wrong_place
from llmops.finetuning.templates import wrong_template
from llmops.spec import Finding, Trail, Written, find_in_revision

READ = {
    "chat": frozenset({"messages"}),
    "instruction": frozenset({"prompt", "completion", "system"}),
    "text": frozenset({"text"}),
    "preference": frozenset({"prompt", "system", "chosen", "rejected"}),
}
"""Which of `columns` each format reads."""

MADE = {"instruction": "prompt", "preference": "prompt", "text": "text"}
"""Which of them a template stands for."""

ENDINGS = re.compile(r".+\.((jsonl|json|csv|tsv|txt)(\.gz)?|parquet)", re.IGNORECASE)


def find_in_data(spec: FineTune, written: Written) -> Iterator[Finding]:
    """Everything of the data that contradicts itself, or the rest."""
    data = spec.data
    if not data.train:
        yield Finding(
            ("data", "train"), "expected at least one file or data set, found an empty list",
            "such as train: [{source: data/train.jsonl}]",
        )  # fmt: skip
    for trail, rows in _each(data):
        yield from _place(trail, rows, written)
        yield from _columns(trail, rows, written)
        yield from _template(trail, rows, written)
    yield from _together(data)
    yield from _held_out(spec, written)
    yield from _filters(spec)
    yield from _conversations(data, written)
    yield from _names(data)


def _each(data: Data) -> Iterator[tuple[Trail, Rows]]:
    train = ((("data", "train", at), rows) for at, rows in enumerate(data.train))
    held = ((("data", "eval", at), rows) for at, rows in enumerate(data.eval))
    yield from chain(train, held)


def _place(trail: Trail, rows: Rows, written: Written) -> Iterator[Finding]:
    source: Trail = (*trail, "source")
    if wrong := wrong_place(rows.source, hub=True):
        yield Finding(source, *wrong)
        return
    if rows.revision is not None:
        yield from find_in_revision(trail, rows.source, rows.revision)
    if rows.source.startswith(HUB):
        return
    if written((*trail, "part")):
        yield Finding(
            (*trail, "part"), "expected it for a hf:// source only, found it for a file",
            "remove it: a file has no parts", (source,), key=True,
        )  # fmt: skip
    name = rows.source.rpartition("/")[2]
    if not ENDINGS.fullmatch(name):
        yield Finding(
            source,
            "expected a file that ends in .jsonl, .json, .csv, .tsv, .parquet or .txt,"
            f" found '{name[:60]}'",
            "the ending says how it is read",
        )
    elif ".txt" in name.lower() and rows.format != "text":
        yield Finding(
            (*trail, "format"), f"expected 'text' for a .txt file, found '{rows.format}'",
            "write format: text, or give rows with columns (.jsonl)", (source,),
        )  # fmt: skip


def _columns(trail: Trail, rows: Rows, written: Written) -> Iterator[Finding]:
    named: dict[str, str] = {}
    for name in type(rows.columns).model_fields:
        column: Trail = (*trail, "columns", name)
        if name not in READ[rows.format]:
            if written(column):
                yield Finding(
                    column, f"expected no such column for the format '{rows.format}'",
                    f"it reads {', '.join(sorted(READ[rows.format]))}",
                    ((*trail, "format"),), key=True,
                )  # fmt: skip
            continue
        value = getattr(rows.columns, name)
        if value is not None and value in named:
            yield Finding(
                column, f"expected another column than '{value}', which is {named[value]} already",
                "each has a column of its own", ((*trail, "columns", named[value]),),
            )  # fmt: skip
        elif value is not None:
            named[value] = name


def _template(trail: Trail, rows: Rows, written: Written) -> Iterator[Finding]:
    if rows.template is None:
        return
    place: Trail = (*trail, "template")
    if rows.format == "chat":
        yield Finding(
            place, "expected none for the format 'chat', whose messages say who speaks",
            "remove it, or use format: instruction; data.chat_template is for how messages"
            " are written", ((*trail, "format"),), key=True,
        )  # fmt: skip
        return
    if wrong := wrong_template(rows.template):
        yield Finding(place, *wrong)
    made: Trail = (*trail, "columns", MADE[rows.format])
    if written(made):
        yield Finding(
            made, "expected it left out beside a template, which stands in its place",
            "remove one of the two", (place,), key=True,
        )  # fmt: skip


def _together(data: Data) -> Iterator[Finding]:
    pairs = {rows.format == "preference" for _, rows in _each(data)}
    if len(pairs) > 1:
        first = data.train[0].format if data.train else ""
        for trail, rows in _each(data):
            if (rows.format == "preference") != (first == "preference"):
                yield Finding(
                    (*trail, "format"),
                    f"expected preference pairs everywhere or nowhere, found '{rows.format}'"
                    f" after '{first}'",
                    "pairs are learnt in another way: make two runs, the second from the first's"
                    " result",
                )  # fmt: skip
                break
    seen: dict[tuple[str, str | None, str], Trail] = {}
    for trail, rows in _each(data):
        key = (rows.source, rows.revision, rows.part)
        if key in seen:
            other = ".".join(str(step) for step in seen[key][:2]) + f"[{seen[key][2]}]"
            yield Finding(
                (*trail, "source"), f"expected each source once, found it in {other} already",
                "remove one of them: rows that are learnt from cannot be held out"
                if trail[1] != seen[key][1] else "training.epochs says how often it is read",
                ((*seen[key], "source"),),
            )  # fmt: skip
        seen.setdefault(key, trail)


def _held_out(spec: FineTune, written: Written) -> Iterator[Finding]:
    data = spec.data
    if data.split is not None and data.eval:
        yield Finding(
            ("data", "split"), "expected it or data.eval, found both",
            "remove one of them: rows are held out once", (("data", "eval"),), key=True,
        )  # fmt: skip
    files = any(exam.set != HELD_OUT for exam in spec.eval)
    if written(("data", "leakage")) and data.split is None and not data.eval and not files:
        yield Finding(
            ("data", "leakage"), "expected it beside data.eval, data.split or a file in eval[].set,"
            " found none",
            "remove it: nothing is held out, so nothing can leak", key=True,
        )  # fmt: skip


def _filters(spec: FineTune) -> Iterator[Finding]:
    filters, sequence = spec.data.filters, spec.training.sequence
    trail: Trail = ("data", "filters")
    longest = filters.max_tokens
    if longest is not None and longest > sequence:
        yield Finding(
            (*trail, "max_tokens"),
            f"expected at most training.sequence ({sequence}), found {longest}",
            "a longer row cannot be learnt whole: lower this, or raise training.sequence",
            (("training", "sequence"),),
        )  # fmt: skip
    name = "filters.max_tokens" if longest is not None else "training.sequence"
    most = sequence if longest is None else longest
    if filters.min_tokens > most:
        yield Finding(
            (*trail, "min_tokens"),
            f"expected at most {name} ({most}), found {filters.min_tokens}",
            "no row would be left",
            ((*trail, "max_tokens"), ("training", "sequence")),
        )
    seen: dict[str, int] = {}
    for at, language in enumerate(filters.languages):
        if language in seen:
            yield Finding(
                (*trail, "languages", at),
                f"expected each language once, found '{language}' again", "remove one of them",
            )  # fmt: skip
        seen.setdefault(language, at)


def _conversations(data: Data, written: Written) -> Iterator[Finding]:
    """What is said of conversations where there are none, and how they are written."""
    only = {rows.format for _, rows in _each(data)} == {"text"}
    for name, what in (("chat_template", "are not written by one"), ("learn", "are learnt whole")):
        if only and written(("data", name)):
            yield Finding(
                ("data", name), f"expected none: all rows are texts, which {what}",
                "remove it, or give the rows another format", key=True,
            )  # fmt: skip
    if data.chat_template is None:
        return
    if wrong := wrong_place(data.chat_template, hub=False):
        yield Finding(("data", "chat_template"), *wrong)
    elif is_relative(data.chat_template) and "{" in data.chat_template:
        yield Finding(
            ("data", "chat_template"), "expected the path of a file, found a template",
            "write it into a file, such as data/chat.jinja",
        )  # fmt: skip


def _names(data: Data) -> Iterator[Finding]:
    """A model of names that is nowhere, or that nobody asks."""
    if data.entities is None:
        return
    if data.personal_data == "keep":
        yield Finding(
            ("data", "entities"), "expected none where data.personal_data is keep",
            "remove it, or write personal_data: redact", (("data", "personal_data"),), key=True,
        )  # fmt: skip
    if wrong := wrong_place(data.entities.model, hub=False):
        yield Finding(("data", "entities", "model"), *wrong)
