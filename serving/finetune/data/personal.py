"""Personal data and secrets in text: found by patterns and checksums, and replaced by a word.

Presidio's recognisers find them: e-mail addresses, telephone numbers, cards (Luhn), accounts
(IBAN's checksum), addresses of machines and of wallets, social security numbers; and patterns of
our own for keys of well-known services. Nothing is fetched. Names of people are found where a model
of the user's own is asked too (`entities`). What is found is never told, only its kind and its row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from serving.finetune.data.judging import Gone, Judge, Mended
from serving.finetune.data.rows import Row

LEAST_SCORE = 0.4
"""Presidio's score from which on a finding counts: a telephone number's, and above that of digits
which only look like a number of some kind."""

SECRETS = (
    ("private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|\Z)"),
    ("aws", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("github", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})"),
    ("hub", r"\bhf_[A-Za-z0-9]{30,}\b"),
    ("openai", r"\bsk-[A-Za-z0-9_-]{20,}"),
    ("slack", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
)
"""Forms of secrets that their issuers publish, so that leaks can be searched for."""

NUMBERS = re.compile(r"(?:[^\W\d_]|\n)")
"""What no telephone number goes across: a letter, or the end of a line."""

FEWEST_DIGITS = 7
"""Of a telephone number: the national standards that presidio's regions have begin there."""

AROUND = 12
"""Characters on each side of a number that presidio looks at to tell whether it is one."""


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of a text that is personal."""

    kind: str
    begin: int
    end: int
    score: float


class Recogniser(Protocol):
    """What finds personal data of some kinds."""

    def find(self, text: str) -> Iterable[Found]: ...


class Redactor:
    """Finds personal data, and writes a word such as `<EMAIL_ADDRESS>` in its place.

    Args:
        more: What finds names, beside patterns and checksums.
    """

    def __init__(self, *more: Recogniser) -> None:
        self._recognisers: list[Recogniser] = [*_recognisers(), *more]

    def find(self, text: str) -> list[Found]:
        """What is personal in it, in its order. Findings that overlap are one, of the surest's
        kind: were only that one taken, the rest of another would stay."""
        found = [one for recogniser in self._recognisers for one in recogniser.find(text)]
        merged: list[Found] = []
        for one in sorted(found, key=lambda f: (f.begin, -f.end, f.kind)):
            if merged and one.begin < merged[-1].end:
                last = merged.pop()
                surest = max(last, one, key=lambda f: (f.score, f.end - f.begin))
                end = max(last.end, one.end)
                merged.append(Found(surest.kind, last.begin, end, surest.score))
            else:
                merged.append(one)
        return merged

    def redacted(self, text: str) -> tuple[str, Counter[str]]:
        """The text with words in place of what is personal, and how often of which kind.

        What is next to something that was replaced may only now be recognised, so it is looked at
        until nothing more is found.
        """
        counted: Counter[str] = Counter()
        for _ in range(MOST_ROUNDS):
            found = self.find(text)
            if not found:
                break
            counted.update(one.kind for one in found)
            for one in reversed(found):
                text = f"{text[: one.begin]}<{one.kind}>{text[one.end :]}"
        return text, counted

    def hide(self, text: str) -> str:
        """The text as it may be shown."""
        return self.redacted(text)[0]


MOST_ROUNDS = 4


def redacts(redactor: Redactor) -> Judge:
    """Put words in place of personal data."""

    def judge(row: Row) -> Row | Gone | Mended:
        counted: Counter[str] = Counter()

        def change(text: str) -> str:
            changed, kinds = redactor.redacted(text)
            counted.update(kinds)
            return changed

        changed = row.changed(change)
        return Mended(changed, counted) if counted else row

    return judge


def tells(redactor: Redactor, tell: Callable[[str, Iterable[str]], None]) -> Judge:
    """Leave rows as they are, and tell of each that has personal data where it is and of which
    kinds."""

    def judge(row: Row) -> Row | Gone | Mended:
        kinds = {found.kind for part in row.parts for found in redactor.find(part.text)}
        if kinds:
            tell(row.source, sorted(kinds))
        return row

    return judge


@dataclass(frozen=True, slots=True)
class _Recogniser:
    """One of presidio's, asked only about text that has the least of what it looks for: its own
    patterns are slow, telephone numbers' above all."""

    presidio: Any
    hint: re.Pattern[str]
    narrow: bool = False
    """Whether it is asked about stretches of numbers only."""

    def find(self, text: str) -> Iterable[Found]:
        if not self.hint.search(text):
            return
        for begin, stretch in _numbers(text) if self.narrow else [(0, text)]:
            kinds = self.presidio.supported_entities
            for one in self.presidio.analyze(stretch, kinds, None) or ():
                said = stretch[one.start : one.end]
                code = one.entity_type == "IP_ADDRESS" and _is_code(said)
                if one.score >= LEAST_SCORE and not code:
                    yield Found(
                        one.entity_type, begin + one.start, begin + one.end, float(one.score)
                    )


def _is_code(text: str) -> bool:
    """Whether what could be an address of version 6 is rather a name in code, such as `a::b`."""
    groups = text.split(":")
    return len(groups) > 1 and not (
        any(sign.isdigit() for sign in text) and any(len(group) >= 3 for group in groups)
    )


def _numbers(text: str) -> Iterable[tuple[int, str]]:
    """Stretches without letters that have enough digits for a telephone number, with what is
    around them; each with where it begins."""
    at = 0
    for end in [*(found.start() for found in NUMBERS.finditer(text)), len(text)]:
        if end - at >= FEWEST_DIGITS:
            digits = sum(sign.isdigit() for sign in text[at:end])
            if digits >= FEWEST_DIGITS:
                begin = max(0, at - AROUND)
                yield begin, text[begin : end + AROUND]
        at = end + 1


def _recognisers() -> Iterable[_Recogniser]:
    from presidio_analyzer import Pattern, PatternRecognizer
    from presidio_analyzer import predefined_recognizers as known

    secrets = PatternRecognizer(
        supported_entity="SECRET",
        patterns=[Pattern(name, pattern, 1.0) for name, pattern in SECRETS],
        global_regex_flags=re.MULTILINE,
    )
    # Presidio asks a list of top-level domains, fetched from the network, whether a domain is real;
    # an address in a domain that is not yet on a list is personal all the same.
    email = known.EmailRecognizer()
    email.validate_result = lambda _text: None
    for presidio, hint in (
        (secrets, r"-----BEGIN|AKIA|ASIA|gh[pousr]_|github_|hf_|sk-|xox|eyJ"),
        (email, "@"),
        (known.CreditCardRecognizer(), r"(?:\d[ -]?){12}"),
        (known.IbanRecognizer(), r"[A-Za-z]{2}[ -]?\d{2}"),
        (known.IpRecognizer(), r"\d\.\d{1,3}\.\d|:[0-9A-Fa-f]*:"),
        (known.CryptoRecognizer(), r"bc1|[13][A-Za-z0-9]{25}"),
        (known.MacAddressRecognizer(), r"[0-9A-Fa-f]{2}[:-][0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}\."),
        (known.UsSsnRecognizer(), r"\d{3}.?\d{2}.?\d{4}"),
    ):
        yield _Recogniser(presidio, re.compile(hint))
    yield _Recogniser(known.PhoneRecognizer(), re.compile(r"(?:\d\D{0,4}){7}"), narrow=True)
