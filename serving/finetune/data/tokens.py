"""Rows become tokens: the base's chat template applied, and a mask of what is learnt.

What is learnt are the assistant's turns. Where a template marks them itself (`{% generation %}`)
its marks are taken. Otherwise a conversation is rendered up to each answer and through it, and the
answer is what the second adds to the first. That holds only while each rendering begins with the
one before. A template of which that is not so (some drop what was thought in earlier turns, some
write the number of messages on top) is refused: which tokens are an answer would be a guess.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from llmops.errors import InputError, ModelError
from serving.finetune.data.rows import TEXT, Bad, Part, Row

MARKS = re.compile(r"\{%-?\s*generation\s*-?%\}")
"""How a template marks what the assistant says: the tag that transformers defines."""

Span = tuple[int, int]
"""Of characters in a rendered text."""

Rendered = tuple[str, list[Span], bool]
"""A text, its spans that are learnt, and whether the tokenizer adds tokens of its own."""

MOST_ROLES = 6

TRIED = (
    Part("user", "one"), Part("assistant", "two"), Part("user", "three"), Part("assistant", "four"),
)  # fmt: skip
"""A conversation that shows whether renderings begin with those before."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids, and which of them are learnt (1) or only read (0)."""

    ids: tuple[int, ...]
    mask: tuple[int, ...]

    @property
    def learnt(self) -> int:
        return sum(self.mask)

    def cut(self, most: int) -> Encoded:
        """The first `most` tokens."""
        return Encoded(self.ids[:most], self.mask[:most])

    def pieces(self, most: int) -> list[Encoded]:
        """All tokens in pieces of at most that many, as even as can be: a last piece of one token
        would have nothing to be learnt from."""
        count = -(-len(self.ids) // most)
        bounds = [len(self.ids) * at // count for at in range(count + 1)]
        return [
            Encoded(self.ids[begin:end], self.mask[begin:end]) for begin, end in pairwise(bounds)
        ]


class Tokenizer:
    """The base's tokenizer and chat template.

    Raises:
        ModelError: When the folder holds no tokenizer that can be used.
        InputError: When the template cannot tell what is an answer.
    """

    def __init__(self, base: Path, template: str | None = None, *, learn: str = "answers") -> None:
        self._tokenizer = _load(base)
        if template is not None:
            self._tokenizer.chat_template = template
        self._learn = learn
        own = self._tokenizer.chat_template
        self.template: str = own if isinstance(own, str) else ""
        self._marks = bool(MARKS.search(self.template))
        self._checked = False
        self._ends: int | None = self._tokenizer.eos_token_id
        self.specials = tuple(
            sorted(t for t in self._tokenizer.all_special_tokens if len(t) > 1 and t.strip())
        )
        """Signs that steer the model; a row that says one would steer it too."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that says how text becomes tokens."""
        whole = self._tokenizer.backend_tokenizer.to_str() + repr((self._ends, self.specials))
        return hashlib.sha256(whole.encode()).hexdigest()

    @property
    def template_digest(self) -> str:
        return hashlib.sha256(self.template.encode()).hexdigest()

    def check(self, format: str) -> None:  # noqa: A002 - the word that the spec has for it
        """Refuse a template that rows of this format cannot be learnt with.

        Raises:
            InputError: When it has none, or one that cannot tell what is an answer.
        """
        if format == "chat" and not self.template:
            raise InputError(
                "the base has no chat template, so rows of messages cannot be rendered",
                hint="name one by data.chat_template, or give rows of format instruction or text",
                path="data.chat_template",
            )
        if self.template and format != "text" and not self._checked:
            self._checked = True
            try:
                self._spoken(TRIED)
            except _RefusedError as refused:
                raise InputError(
                    f"the chat template refuses {_roles(TRIED)}: {refused}",
                    hint="name another by data.chat_template",
                    path="data.chat_template",
                ) from refused
            except _NotAPrefixError as wrong:
                raise self._unclear(wrong) from wrong

    def encode(self, rows: Sequence[Row]) -> list[tuple[Encoded, ...] | Bad]:
        """Tokens of rows: of each those of its reading, or of the chosen and of the rejected
        answer; or what is wrong with a row that the template cannot render.

        Raises:
            InputError: When the template cannot say what is learnt of a row.
        """
        rendered = [self._readings(row) for row in rows]
        encoded = iter(self._encoded([one for of_row in rendered if of_row for one in of_row]))
        return [
            tuple(next(encoded) for _ in of_row)
            if of_row
            else Bad(row.source, f"the chat template refuses {_roles(row.parts)}")
            for row, of_row in zip(rows, rendered, strict=True)
        ]

    def show(self, row: Row) -> tuple[str, tuple[Span, ...]]:
        """A row as the template renders it, and the spans of it that are learnt."""
        text, spans, _ = self._rendered(row, _readings(row)[0])
        return text, tuple(spans)

    def _readings(self, row: Row) -> list[Rendered]:
        """How a row is rendered; empty when the template refuses it."""
        try:
            return [self._rendered(row, parts) for parts in _readings(row)]
        except _RefusedError:
            return []

    def _rendered(self, row: Row, parts: Sequence[Part]) -> Rendered:
        """The text, its learnt spans, and whether the tokenizer adds its own first token."""
        if parts[0].role == TEXT:
            return parts[0].text, [(0, len(parts[0].text))], True
        if not self.template:
            asked = "\n\n".join(part.text for part in parts[:-1]) + "\n\n"
            text = asked + parts[-1].text
            return text, [(0 if self._learn == "all" else len(asked), len(text))], True
        try:
            text, spans = self._spoken(parts)
        except _NotAPrefixError as wrong:
            raise self._unclear(wrong, row.source) from wrong
        if row.format == "preference":
            spans = spans[-1:]
        return text, [(0, len(text))] if self._learn == "all" else spans, False

    def _spoken(self, parts: Sequence[Part]) -> tuple[str, list[Span]]:
        return self._marked(parts) if self._marks else self._answers(parts)

    def _answers(self, parts: Sequence[Part]) -> tuple[str, list[Span]]:
        """What each answer adds to the rendering before it, up to the end of its turn."""
        whole = self._render(parts)
        spans: list[Span] = []
        for at, part in enumerate(parts):
            if part.role != "assistant":
                continue
            before = self._render(parts[:at], prompt=True)
            through = self._render(parts[: at + 1])
            if not (through.startswith(before) and whole.startswith(through)):
                raise _NotAPrefixError(at)
            spans.append((len(before), len(before) + len(through[len(before) :].rstrip())))
        return whole, spans

    def _marked(self, parts: Sequence[Part]) -> tuple[str, list[Span]]:
        """What the template itself marks as said by the assistant."""
        from transformers.utils.chat_template_utils import render_jinja_template

        with _refusing():
            rendered, marked = render_jinja_template(
                conversations=[_messages(parts)],
                chat_template=self.template,
                return_assistant_tokens_mask=True,
                **self._tokenizer.special_tokens_map,
            )
        return rendered[0], [(int(begin), int(end)) for begin, end in marked[0]]

    def _render(self, parts: Sequence[Part], *, prompt: bool = False) -> str:
        with _refusing():
            return str(
                self._tokenizer.apply_chat_template(
                    _messages(parts), tokenize=False, add_generation_prompt=prompt
                )
            )

    def _encoded(self, rendered: Sequence[Rendered]) -> list[Encoded]:
        found: dict[int, Encoded] = {}
        for own in (True, False):
            chosen = [at for at, (_, _, adds) in enumerate(rendered) if adds is own]
            if not chosen:
                continue
            texts = [rendered[at][0] for at in chosen]
            batch = self._tokenizer(
                texts, add_special_tokens=own, return_offsets_mapping=True,
                return_attention_mask=False, return_token_type_ids=False, verbose=False,
            )  # fmt: skip
            offsets = batch["offset_mapping"]
            for at, ids, places in zip(chosen, batch["input_ids"], offsets, strict=True):
                mask = _mask(places, rendered[at][1])
                found[at] = self._ended(ids, mask) if own else Encoded(tuple(ids), tuple(mask))
        return [found[at] for at in range(len(rendered))]

    def _ended(self, ids: list[int], mask: list[int]) -> Encoded:
        """With the token that ends a text, which is learnt too: so the model learns to stop."""
        if self._ends is None or (ids and ids[-1] == self._ends):
            return Encoded(tuple(ids), tuple(mask))
        return Encoded((*ids, self._ends), (*mask, 1))

    def _unclear(self, wrong: _NotAPrefixError, source: str = "") -> InputError:
        where = f"{source}: " if source else ""
        return InputError(
            f"{where}the chat template changes what comes before the answer in message"
            f" {wrong.at + 1} when more follows, so which tokens are the answer cannot be told",
            hint="mark the answers in a template of your own ({% generation %}), named by"
            " data.chat_template; or set data.learn: all",
            path="data.chat_template",
        )


class _RefusedError(Exception):
    """The template does not render a conversation, for a reason of its own."""


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """Name what a template raises, whichever way it is rendered."""
    from jinja2 import TemplateError

    try:
        yield
    except (TemplateError, ValueError, TypeError) as error:
        raise _RefusedError(str(error)) from error


class _NotAPrefixError(Exception):
    """A rendering does not begin with the one before it."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def _load(base: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(base), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # the tokenizers library raises bare ones
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{base} has no tokenizer that can be loaded: {why[:200]}",
            hint="the base's folder needs its tokenizer.json and tokenizer_config.json",
        ) from error
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer in {base} does not say where its tokens come from in a text",
            hint="have the base with a tokenizer.json",
        )
    return tokenizer


def _readings(row: Row) -> list[tuple[Part, ...]]:
    """The conversations in a row: one, or those with the chosen and with the rejected answer."""
    if row.format != "preference":
        return [row.parts]
    return [
        tuple(part for part in row.parts if part.answer in ("", answer))
        for answer in ("chosen", "rejected")
    ]


def _roles(parts: Sequence[Part]) -> str:
    """A conversation by its roles, for a person."""
    more = ", …" if len(parts) > MOST_ROLES else ""
    return f"a conversation of {', '.join(part.role for part in parts[:MOST_ROLES])}{more}"


def _messages(parts: Sequence[Part]) -> list[dict[str, str]]:
    return [{"role": part.role, "content": part.text} for part in parts]


def _mask(places: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """1 for each token whose last character lies in a span. A token that reaches over a span's
    beginning carries the beginning of the answer, so it is learnt."""
    mask = [0] * len(places)
    at = 0
    for begin, end in spans:
        while at < len(places) and places[at][1] <= begin:
            at += 1
        while at < len(places) and places[at][1] <= end:
            mask[at] = int(places[at][1] > places[at][0])
            at += 1
    return mask
