"""What the gates of a spec ask, held against the rows to learn from.

Files of `eval[].set` are held out too: who has learnt an exam passes it and proves nothing. What is
compared is what is asked, not whole rows: a row that gives an exam away may answer it in other
words, and an answer alone (`yes`, a class, a refusal) gives nothing away. So of a row are compared:

- what it asks, with each prompt: its user's turns, each with as many turns before it as the exam
  has. A row of `text` does not say what it asks: all of it is compared, with each prompt and with
  each prompt and a good answer together;
- all that it says: whether a prompt of at least `WITHIN` characters is in it, word for word.

System messages are compared on neither side. Prompts of all exams are in memory, as they are when
they are asked; signatures of them lie in the scratch database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmops.errors import InputError
from llmops.evaluating import Item
from serving.finetune.data.duplicates import Index, signature_of
from serving.finetune.data.inputs import labels_of
from serving.finetune.data.rows import Part, Row, normal
from serving.finetune.data.runs import hashes_of_runs
from serving.finetune.data.writing import sha256_of

WITHIN = 50
"""Characters from which on a prompt is looked for inside other text: shorter ones are said by
chance too. The length of "GPT-4 Technical Report" (OpenAI, 2023), appendix C."""


@dataclass(frozen=True, slots=True)
class Exam:
    """A file of things that are asked."""

    label: str
    """What it is called in results: its name, with as much of its folders as tells exams apart."""
    sha256: str
    size: int
    """In bytes."""
    items: tuple[Item, ...]


def read_exams(places: Mapping[str, Path], tell: Callable[[str], None]) -> tuple[Exam, ...]:
    """All exams, read as an evaluation reads them.

    Args:
        places: Each file, by where it stands in the spec, such as `eval[0].set`.
        tell: Hears what is being done.

    Raises:
        InputError: When one is missing, cannot be read, or changes meanwhile.
        SpecError: Naming each wrong line.
    """
    labels = labels_of(list(places.values()))
    return tuple(_read(place, path, labels[path], tell) for place, path in places.items())


def _read(place: str, path: Path, label: str, tell: Callable[[str], None]) -> Exam:
    from serving.evaluate import read_set

    tell(f"reading {label}, which is not to be learnt")
    try:
        digest, size = sha256_of(path), path.stat().st_size
        items = read_set(path).items
        if sha256_of(path) != digest:
            raise InputError(
                f"{path} has changed while it was read",
                hint="prepare again when nothing writes to it",
                path=place,
            )
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="rows to learn from are held against it; data.leakage: keep does without",
            path=place,
        ) from error
    return Exam(label, digest, size, items)


class Asked:
    """What exams ask, to know it again in rows."""

    def __init__(self, index: Index, near: float | None, tidy: Callable[[Row], Row]) -> None:
        """Nothing yet.

        Args:
            index: Where what rows are compared by is kept.
            near: The likeness from which on two texts are the same; None: only equal ones are.
            tidy: Does to what is asked what was done to the rows: mended, without personal data.
        """
        self._exact = index.exact("exam")
        self._near = None if near is None else index.near("exam", near)
        self._tidy = tidy
        self._turns: set[int] = set()
        self._long: dict[int, list[tuple[str, str]]] = {}
        """Prompts and where they are, by the number of their first `WITHIN` characters."""

    def add(self, exam: Exam) -> None:
        """Remember what a file asks."""
        for item in exam.items:
            self._add(item, f"{exam.label}:{item.line}")

    def _add(self, item: Item, source: str) -> None:
        said = [Part(turn.role, turn.content) for turn in item.messages]
        said = said or [Part("user", item.prompt)]
        answers = dict.fromkeys((*item.references, item.label))
        said += [Part("answer", text) for text in answers if text]
        parts = self._tidy(Row(source, "chat", tuple(said))).parts
        asked = [part.text for part in parts if part.role not in ("system", "answer")]
        prompt = "\n".join(asked)
        self._turns.add(len(asked))
        opening = normal(prompt)
        if len(opening) >= WITHIN:
            number = int(hashes_of_runs(opening[:WITHIN], WITHIN)[0])
            self._long.setdefault(number, []).append((opening, source))
        pairs = [f"{prompt}\n{part.text}" for part in parts if part.role == "answer"]
        for text in (prompt, *pairs):
            if self._exact.find(_key(text)) is None:
                self._exact.add(_key(text), source)
                if self._near is not None:
                    self._near.add(signature_of(text), source)

    def told_by(self, row: Row, signature: bytes) -> str:
        """Why a row is what an exam asks; empty when it is not.

        Args:
            row: A row to learn from.
            signature: Of its text; empty where near duplicates are not looked for.
        """
        if not self._turns:
            return ""
        said = [row.text] if row.format == "text" else list(self._asked(row))
        for text in said:
            if (source := self._exact.find(_key(text))) is not None:
                return f"asked by an exam ({source})"
        if source := self._within(normal(row.text)):
            return f"says what an exam asks ({source})"
        if self._near is not None:
            for sign in [signature] if row.format == "text" else map(signature_of, said):
                if (like := self._near.find(sign)) is not None:
                    return f"like what an exam asks ({like.likeness:.0%} like {like.source})"
        return ""

    def _asked(self, row: Row) -> Iterator[str]:
        """Each of the user's turns, with as many turns before it as an exam has."""
        said: Sequence[Part] = [part for part in row.parts if part.role != "system"]
        for at, part in enumerate(said, 1):
            if part.role == "user":
                for count in sorted(self._turns):
                    if count <= at:
                        yield "\n".join(one.text for one in said[at - count : at])

    def _within(self, text: str) -> str:
        """Where a prompt stands that is inside of a text; empty when none is."""
        import numpy as np

        if len(text) < WITHIN or not self._long:
            return ""
        numbers = hashes_of_runs(text, WITHIN)
        for at in np.flatnonzero(np.isin(numbers, np.array(list(self._long), dtype=np.uint64))):
            for prompt, source in self._long[int(numbers[at])]:
                if text.startswith(prompt, int(at)):
                    return source
        return ""


def _key(text: str) -> bytes:
    """16 bytes that equal texts share, case and runs of spaces aside, whoever says them."""
    return hashlib.blake2b(normal(text).encode(), digest_size=16).digest()
