"""The report of a preparation: the same in Markdown and as a page, and the examples as data.

The page needs nothing beside itself: its plots are drawn in it, and it loads nothing. Whatever text
of a row it shows has been through the hiding of personal data, unless the data section keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.finetune.data import plots
from serving.finetune.data.ledger import Ledger
from serving.finetune.data.pipeline import Outcome
from serving.finetune.data.rows import Row, Side
from serving.finetune.data.sameness import SIDES
from serving.finetune.data.tokens import Tokenizer

SIDE_NAMES: Mapping[Side, str] = {"train": "learnt from", "eval": "held out"}

LONGEST = 3000
"""Characters of a row that is shown as the template renders it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a rendered row."""

    text: str
    learnt: bool


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row as the model reads it."""

    source: str
    format: str
    stretches: tuple[Stretch, ...]


def write(
    folder: Path, manifest: Mapping[str, Any], ledger: Ledger, outcome: Outcome,
    tokenizer: Tokenizer,
) -> None:  # fmt: skip
    """Write `report.md`, `report.html` and `examples/` into a folder."""
    rendered = [_rendered(tokenizer, row) for row in outcome.shown]
    given = {
        "manifest": manifest,
        "steps": ledger.steps,
        "bad": outcome.bad,
        "bad_count": outcome.bad_count,
        "rendered": rendered,
        "has_template": bool(tokenizer.template),
        "sides": [
            (SIDE_NAMES[side], manifest[side], plots.summary(outcome.lengths[side]))
            for side in SIDES
        ],
        "lost": [
            (f"{2**power:,} to {2 ** (power + 1) - 1:,}", count)
            for power, count in sorted(outcome.lost.items())
        ],
        "lengths": plots.lengths(outcome.lengths["train"], outcome.lengths["eval"]),
        "funnel": plots.funnel(ledger.steps),
    }
    for name in ("report.md", "report.html"):
        (folder / name).write_text(_filled(name, given), encoding="utf-8")
    _write_examples(folder / "examples", ledger, rendered)


def _filled(name: str, given: Mapping[str, object]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("serving.finetune.data", "pages"),
        autoescape=name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["quoted"] = _quoted
    return environment.get_template(f"{name}.j2").render(given)


def _quoted(text: str) -> str:
    """A text as a block of Markdown that nothing in it can end."""
    return "\n".join(f"    {line}" for line in text.splitlines() or [""])


def _rendered(tokenizer: Tokenizer, row: Row) -> Rendered:
    text, spans = tokenizer.show(row)
    stretches: list[Stretch] = []
    at = 0
    for begin, end in [*spans, (len(text), len(text))]:
        stretches += [Stretch(text[at:begin], False), Stretch(text[begin:end], True)]
        at = end
    said = [stretch for stretch in stretches if stretch.text]
    return Rendered(row.source, row.format, tuple(_shortened(said)))


def _shortened(stretches: Sequence[Stretch]) -> list[Stretch]:
    """The first `LONGEST` characters."""
    kept: list[Stretch] = []
    room = LONGEST
    for stretch in stretches:
        if room <= 0:
            kept.append(Stretch(" …", False))
            break
        kept.append(Stretch(stretch.text[:room], stretch.learnt))
        room -= len(stretch.text)
    return kept


def _write_examples(folder: Path, ledger: Ledger, rendered: Sequence[Rendered]) -> None:
    folder.mkdir()
    for step in ledger.steps:
        if step.examples:
            rows = [
                {"source": one.source, "why": one.why, "text": one.text}
                | ({"after": one.after} if one.after else {})
                for one in step.examples
            ]
            _write_lines(folder / f"{step.name.replace(' ', '-')}.jsonl", rows)
    _write_lines(
        folder / "rendered.jsonl",
        [
            {
                "source": one.source,
                "format": one.format,
                "stretches": [{"text": s.text, "learnt": s.learnt} for s in one.stretches],
            }
            for one in rendered
        ],
    )


def _write_lines(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")
