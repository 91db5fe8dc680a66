"""What looks at one row at a time: broken text, language, repetition, signs that steer the model.

A judge answers with the row, the same or mended, or with why it goes. None looks at another row, so
their outcome does not depend on the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from serving.finetune.data.rows import TEXT, Row, normal
from serving.finetune.data.runs import hashes_of_runs

Judge = Callable[[Row], "Row | Gone | Mended"]


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that is left out. What is in parentheses is of this row; the rest is counted."""

    why: str


@dataclass(frozen=True, slots=True)
class Mended:
    """A row that was changed, and how often for what."""

    row: Row
    why: Mapping[str, int]


ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
"""Control characters other than tabs and line ends, and marks that are no text."""

LOST = "\ufffd"
"""The sign for bytes that could not be decoded: what stood there is lost."""


def mend(row: Row) -> Row | Gone | Mended:
    """Repair text that was decoded in the wrong way (ftfy); rows that stay broken go.

    Only what is broken is touched: curly quotes, ligatures, wide characters and HTML's escapes are
    what somebody may have meant.
    """
    mended = row.changed(_mended)
    text = "".join(part.text for part in mended.parts)
    if LOST in text:
        return Gone("characters are lost")
    if ODD.search(text):
        return Gone("control characters")
    if not all(part.text.strip() for part in mended.parts):
        return Gone("nothing is left of a text")
    return mended if mended is row else Mended(mended, {"mended": 1})


def _mended(text: str) -> str:
    if text.isascii() and not ODD.search(text):
        return text
    import ftfy

    return str(ftfy.fix_text(text, _ftfy()))


@cache
def _ftfy() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False, uncurl_quotes=False, fix_latin_ligatures=False,
        fix_character_width=False, normalization="NFC", explain=False,
    )  # fmt: skip


SURE = 0.9
"""Probability from which on a guessed language counts."""

TELLING = 20
"""Letters below which a text is too short to tell its language. Classifiers of this kind (langid:
naive Bayes over byte n-grams) are tested on short messages, of which these are the shortest."""


NO_LANGUAGE = ("zxx", "und")
"""Codes of ISO 639 for what is no language, such as figures and code, and for what is unknown."""


def speaks(languages: Sequence[str]) -> Judge:
    """Keep what is in one of these languages, or too short or unclear to tell."""

    def judge(row: Row) -> Row | Gone | Mended:
        text = row.text
        if sum(sign.isalpha() for sign in text[: 10 * TELLING]) < TELLING:
            return row
        found, sure = _languages().classify(text[:LANGUAGE_READ])
        if found in languages or sure < SURE or found in NO_LANGUAGE:
            return row
        return Gone(f"language {found}")

    return judge


LANGUAGE_READ = 4000
"""Characters that a language is guessed from."""


@cache
def _languages() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


RUN = 20
"""Characters of a run that is looked for again: about four words."""

LEAST = 3 * RUN
"""Characters below which a text is too short to repeat itself."""


def repeats_at_most(share: float) -> Judge:
    """Keep rows of which no text repeats itself more than that.

    The measure is the share of a text's runs of 20 characters that occurred earlier in it. Gopher's
    rules (Rae et al., "Scaling Language Models", 2021, table A1) cut web pages at 0.10 to 0.15 of
    their characters in repeated runs of 5 to 10 words; rows of conversations have lists, tables and
    code, so the default of the spec is higher. Characters rather than words: not all languages have
    spaces, and "!!!!!!!!" has no words.
    """

    def judge(row: Row) -> Row | Gone | Mended:
        worst = max(repetition(part.text) for part in row.parts)
        return row if worst <= share else Gone(f"repeats itself ({worst:.0%} of it)")

    return judge


def repetition(text: str) -> float:
    """Share of a text's runs of characters that occurred earlier in it, from 0 to 1."""
    import numpy as np

    plain = normal(text)
    if len(plain) < LEAST:
        return 0.0
    runs = hashes_of_runs(plain, RUN)
    return 1.0 - len(np.unique(runs)) / len(runs)


def says_none_of(specials: Sequence[str]) -> Judge:
    """Keep rows that do not say a sign which steers the model, such as the end of a turn.

    In a row of the format `text` such signs are what whoever wrote the file put there.
    """
    if not specials:
        return lambda row: row
    pattern = re.compile("|".join(re.escape(sign) for sign in specials))

    def judge(row: Row) -> Row | Gone | Mended:
        for part in row.parts:
            if part.role != TEXT and (found := pattern.search(part.text)):
                return Gone(f"says {found[0]}")
        return row

    return judge
