"""All rows of all inputs through all steps, in one fixed order, with a batch of them in memory.

The order is not the user's to choose. Text is mended before anything reads it; language and
repetition are told from what was said, before personal data leaves holes in it; personal data goes
before rows are compared, so that nothing that is kept of a row, not even a digest, is of it; and
tokens are counted last, of what is left. What is held out goes first, and what is learnt from is
written to scratch and read again, since a row may have to leave it for one that came later. What
exams ask is known before any row is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from llmops.errors import InputError, RefusedError
from llmops.finetuning import Data
from serving.finetune.data import judging, personal
from serving.finetune.data.duplicates import Index
from serving.finetune.data.exams import Asked, Exam
from serving.finetune.data.inputs import Input
from serving.finetune.data.judging import Gone, Judge, Mended
from serving.finetune.data.ledger import LONGEST, Ledger, Step
from serving.finetune.data.reading import read
from serving.finetune.data.rows import TEXT, Bad, Row, Side
from serving.finetune.data.sameness import SIDES, Sameness
from serving.finetune.data.scratch import Kept
from serving.finetune.data.settings import Settings
from serving.finetune.data.shaping import shape
from serving.finetune.data.tokens import Encoded, Tokenizer
from serving.finetune.data.writing import Sample, Totals, Writer

LISTED = 20
"""Bad rows, and rows with personal data, that an error names."""

BATCH_ROWS = 256
BATCH_CHARACTERS = 2**18
"""A batch ends at either: long rows do not fill the memory."""


@dataclass(slots=True)
class Outcome:
    """What went through, and what came of it."""

    rows: Counter[str] = field(default_factory=Counter)
    """Rows read, by label."""
    bad: list[Bad] = field(default_factory=list)
    """The first `LISTED`."""
    bad_count: int = 0
    shown: list[Row] = field(default_factory=list)
    """Rows to show the template with, of what is learnt from: the first of each format."""
    lengths: dict[Side, Counter[int]] = field(
        default_factory=lambda: {"train": Counter(), "eval": Counter()}
    )
    """How many rows of how many tokens were written."""
    lost: Counter[int] = field(default_factory=Counter)
    """How many rows were too long, by the power of two below their tokens."""
    totals: dict[Side, Totals] = field(default_factory=dict)


class Pipeline:
    """One preparation."""

    def __init__(
        self,
        settings: Settings,
        tokenizer: Tokenizer,
        folder: Path,
        scratch: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._settings, self._tokenizer, self._tell = settings, tokenizer, tell
        data = settings.data
        redactor = _redactor(data)
        self.ledger = Ledger(redactor.hide if redactor else lambda text: text)
        self.outcome = Outcome()
        self._pairs = data.train[0].format == "preference"
        self._personal: list[tuple[str, Sequence[str]]] = []
        self._personal_count = 0
        self._read = self.ledger.open("read", "rows that are not of their format")
        self._judges = list(self._open_judges(redactor))
        self._index = Index(scratch)
        self._same = Sameness(self._index, self.ledger, settings)
        self._tokens = self.ledger.open(
            "tokens", "fewer or more than asked for, or nothing to learn"
        )
        self._leakage = self.ledger.open("leakage", "rows to learn from that are also held out")
        near = data.duplicates.near
        tidy = self._tidying(redactor)
        self._asked = Asked(self._index, None if near == "off" else near, tidy)
        self._rows = {side: self._index.scratch(side) for side in SIDES}
        self._folder = folder

    def run(self, inputs: Iterable[Input], exams: Iterable[Exam]) -> Outcome:
        """Prepare all inputs into `train.parquet` and `eval.parquet` of the folder.

        Args:
            inputs: Files of rows, those that are held out first.
            exams: What must not be learnt either.

        Raises:
            InputError: Rows are bad and `on_bad` is `fail`; nothing is left to learn from.
            RefusedError: There is personal data, or leakage, and the settings say `fail`.
        """
        try:
            for exam in exams:
                self._asked.add(exam)
            for given in inputs:
                self._tell(f"preparing {given.label}")
                for rows in self._batches(given):
                    self._through(rows, given.side)
            self._refuse_what_fails()
            self._finish()
        finally:
            self._index.close()
        return self.outcome

    def _open_judges(
        self, redactor: personal.Redactor | None
    ) -> Iterator[tuple[Step, Judge, bool]]:
        """Steps that look at one row at a time; the last says whether what was there before a
        change is shown."""
        data, opened = self._settings.data, self.ledger.open
        filters = data.filters
        if filters.broken_text:
            step = opened("broken text", "mended, or left out where it cannot be")
            yield step, judging.mend, True
        step = opened("control signs", "rows that say what steers the model")
        yield step, judging.says_none_of(self._tokenizer.specials), True
        if filters.languages:
            step = opened("language", f"other than {', '.join(filters.languages)}")
            yield step, judging.speaks(filters.languages), True
        if filters.repetition < 1:
            step = opened(
                "repetition", f"texts of which more than {filters.repetition:.0%} repeats"
            )
            yield step, judging.repeats_at_most(filters.repetition), True
        if redactor is not None and data.personal_data == "redact":
            yield opened("personal data", "replaced by words"), personal.redacts(redactor), False
        elif redactor is not None:
            judge = personal.tells(redactor, self._note_personal)
            yield opened("personal data", "refused"), judge, False

    def _tidying(self, redactor: personal.Redactor | None) -> Callable[[Row], Row]:
        """What changes an exam's text as that of rows is changed, so that both can be equal."""
        data = self._settings.data
        judges: list[Judge] = [judging.mend] if data.filters.broken_text else []
        if redactor is not None and data.personal_data == "redact":
            judges.append(personal.redacts(redactor))

        def tidied(row: Row) -> Row:
            for judge in judges:
                found = judge(row)
                row = found.row if isinstance(found, Mended) else row
            return row

        return tidied

    def _note_personal(self, source: str, kinds: Iterable[str]) -> None:
        self._personal_count += 1
        if len(self._personal) < LISTED:
            self._personal.append((source, tuple(kinds)))

    def _batches(self, given: Input) -> Iterator[list[Row]]:
        """Rows of a file, as many at a time as are held."""
        batch: list[Row] = []
        size = 0
        for record in read(given):
            self._read.before += 1
            self.outcome.rows[given.label] += 1
            row = record if isinstance(record, Bad) else shape(record, given.rows)
            if isinstance(row, Bad):
                self._bad(row)
                continue
            batch.append(row)
            size += sum(len(part.text) for part in row.parts)
            if len(batch) >= BATCH_ROWS or size >= BATCH_CHARACTERS:
                yield batch
                batch, size = [], 0
                self._tell(f"preparing {given.label}: {self.outcome.rows[given.label]} rows read")
        if batch:
            yield batch

    def _bad(self, bad: Bad) -> None:
        self._read.removed += 1
        self._read.reasons[bad.reason.partition(":")[0]] += 1
        self._note_bad(bad)

    def _note_bad(self, bad: Bad) -> None:
        self.outcome.bad_count += 1
        if len(self.outcome.bad) < LISTED:
            self.outcome.bad.append(bad)

    def _through(self, rows: Sequence[Row], side: Side) -> None:
        for step, judge, shown in self._judges:
            rows = [kept for row in rows if (kept := self._judged(row, step, judge, shown))]
        signed = self._same.without(rows, side)
        encoded = self._tokenizer.encode([row for row, _ in signed])
        for (row, signature), readings in zip(signed, encoded, strict=True):
            if isinstance(readings, Bad):
                self._tokens.before += 1
                self._note_bad(readings)
                self.ledger.removed(self._tokens, row.source, readings.reason, row.text)
                continue
            fitting = list(self._fitting(row, readings))
            if fitting:
                self._keep(row, signature, fitting, side)

    def _judged(self, row: Row, step: Step, judge: Judge, shown: bool) -> Row | None:
        step.before += 1
        found = judge(row)
        if isinstance(found, Gone):
            self.ledger.removed(step, row.source, found.why, row.text)
            return None
        if isinstance(found, Mended):
            before = row.text if shown else ""
            self.ledger.changed(step, row.source, found.why, before, found.row.text)
            return found.row
        return found

    def _fitting(self, row: Row, readings: tuple[Encoded, ...]) -> Iterator[tuple[Encoded, ...]]:
        """What of a row's readings is of the right length: none, itself, or pieces of a text."""
        step, filters, most = self._tokens, self._settings.data.filters, self._settings.longest
        step.before += 1
        length = max(len(one.ids) for one in readings)
        if length < filters.min_tokens:
            self.ledger.removed(step, row.source, f"too short ({length} tokens)", row.text)
            return
        if length > most:
            if filters.too_long == "drop":
                self.outcome.lost[length.bit_length() - 1] += 1
                self.ledger.removed(step, row.source, f"too long ({length} tokens)", row.text)
                return
            if row.parts[0].role == TEXT:
                pieces = readings[0].pieces(most)
                step.made += len(pieces) - 1
                step.changed += 1
                yield from ((piece,) for piece in pieces)
                return
            readings = tuple(one.cut(most) for one in readings)
            step.changed += 1
        if not all(one.learnt for one in readings):
            self.ledger.removed(step, row.source, "nothing in it is learnt", row.text)
            return
        yield readings

    def _keep(
        self, row: Row, signature: bytes, fitting: Sequence[tuple[Encoded, ...]], side: Side
    ) -> None:
        if side == "train" and self._is_held_out(row.key):
            side = "eval"
        exam = self._asked.told_by(row, signature) if side == "train" else ""
        if side == "eval":
            self._same.hold_out(row, signature)
        elif row.format not in {one.format for one in self.outcome.shown}:
            self.outcome.shown.append(row)
        for readings in fitting:
            sample = Sample(row.source, readings)
            self._rows[side].add(Kept(sample, row.key, signature, row.text[: 2 * LONGEST], exam))

    def _is_held_out(self, key: bytes) -> bool:
        """By the row's own text, so that equal rows fall on one side, and no row moves another."""
        import hashlib

        split = self._settings.data.split
        if split is None:
            return False
        seed = self._settings.seed.to_bytes(16, "little", signed=True)
        drawn = hashlib.blake2b(key, digest_size=8, salt=seed).digest()
        return int.from_bytes(drawn, "little") < split * 2**64

    def _refuse_what_fails(self) -> None:
        outcome = self.outcome
        if outcome.bad_count and self._settings.data.on_bad == "fail":
            raise InputError(
                _listed(f"{outcome.bad_count} of {self._read.before} rows are bad",
                        [str(bad) for bad in outcome.bad], outcome.bad_count),
                hint="mend them, or leave them out with --on-bad skip",
                path="data.on_bad",
            )  # fmt: skip
        if self._personal_count and self._settings.data.personal_data == "fail":
            lines = [f"{source}: {', '.join(kinds)}" for source, kinds in self._personal]
            raise RefusedError(
                _listed(f"{self._personal_count} rows have personal data", lines,
                        self._personal_count),
                hint="take it out, or set data.personal_data: redact",
                path="data.personal_data",
            )  # fmt: skip

    def _finish(self) -> None:
        """Write both sides; what is learnt from loses what is held out."""
        for side in SIDES:
            self._tell(f"writing {side}.parquet")
            rows = self._rows[side] if side == "eval" else self._without_leaks()
            with Writer(self._folder / f"{side}.parquet", pairs=self._pairs) as writer:
                for kept in rows:
                    writer.add(kept.sample)
                    self.outcome.lengths[side][kept.sample.length] += 1
            self.outcome.totals[side] = writer.totals
        if not self.outcome.totals["train"].rows:
            raise InputError(
                f"no row is left to learn from, of {self._read.before} that were read:"
                f" {self._where_they_went()}",
                hint="loosen the step that took most of them",
                path="data.filters",
            )

    def _without_leaks(self) -> Iterator[Kept]:
        wanted = self._settings.data.leakage
        found: list[str] = []
        last, why = "", ""
        for kept in self._rows["train"]:
            # A text that was cut is several rows of one source, which stay or go together.
            if kept.sample.source != last:
                last = kept.sample.source
                self._leakage.before += 1
                why = "" if wanted == "keep" else self._same.leaks(kept)
                if why:
                    found = [*found, f"{last}: {why}"][:LISTED]
                    self.ledger.removed(self._leakage, last, why, kept.text)
            if not why:
                yield kept
        if found and wanted == "fail":
            raise RefusedError(
                _listed(
                    f"{self._leakage.removed} rows to learn from are also held out",
                    found,
                    self._leakage.removed,
                ),
                hint="take them out, or set data.leakage: remove",
                path="data.leakage",
            )

    def _where_they_went(self) -> str:
        return ", ".join(
            f"{step.removed} by '{step.name}'" for step in self.ledger.steps if step.removed
        )


def _redactor(data: Data) -> personal.Redactor | None:
    """What finds personal data; None where it is kept."""
    if data.personal_data == "keep":
        return None
    if data.entities is None:
        return personal.Redactor()
    from serving.finetune.data.entities import Names

    return personal.Redactor(Names(data.entities))


def _listed(text: str, lines: Sequence[str], count: int) -> str:
    more = [f"… and {count - LISTED} more"] if count > LISTED else []
    return "\n".join([f"{text}:", *(f"  {line}" for line in lines[:LISTED]), *more])
