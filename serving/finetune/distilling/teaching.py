"""A teacher's answers, written as chats that `kind: FineTune` reads.

Each answer is kept as it comes, beside the file that is to be: a killed command goes on and asks
nothing again but what was on its way. The file itself appears when all is done, with its lines in
the order of the prompts. An answer that was cut at its most tokens would teach to stop in the
middle of a sentence, and an empty one to say nothing: both are left out and counted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from serving.evaluate import Live, Question, Record, Settings, keep, opened
from serving.finetune.distilling.prompts import Prompts

SET = "prompts"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Taught:
    """What a teacher wrote."""

    rows: int
    """Chats in the file."""
    cut: tuple[int, ...]
    """Lines of prompts whose answers were as long as allowed, and were left out."""
    empty: tuple[int, ...]
    """Lines of prompts whose answers were empty, and were left out."""
    failed: dict[str, str]
    """Lines of prompts that the teacher did not answer, and why."""
    tokens: dict[str, int]
    """`prompt` and `output`, in all."""
    releases: tuple[int, ...]
    """Releases of the service that answered."""

    def document(self) -> dict[str, Any]:
        """As plain data, for the manifest and for `-o json`."""
        return {
            "rows": self.rows,
            "cut": list(self.cut),
            "empty": list(self.empty),
            "failed": self.failed,
            "tokens": self.tokens,
            "releases": list(self.releases),
        }


def distil(
    teacher: Live,
    prompts: Prompts,
    out: Path,
    settings: Settings,
    tell: Callable[[str], None],
    *,
    max_tokens: int,
) -> Taught:
    """Have `teacher` answer each prompt, and write the chats to `out`.

    Beside it stands `OUT.manifest.json`: who taught, what was asked, how, and what came of it.

    Raises:
        InputError: When `out` is of something else, or the key, model or request is refused.
        BusyError: When another command writes the same file.
        RefusedError: When the token budget is used up; what was answered is kept.
        TargetError: When the teacher fails; what was answered is kept.
    """
    what = {
        "format": FORMAT,
        "teacher": teacher.document(),
        "prompts": prompts.digest,
        "settings": {
            "temperature": settings.temperature,
            "seed": settings.seed,
            "max_tokens": max_tokens,
        },
    }
    manifest, work = _beside(out, ".manifest.json"), _beside(out, ".work")
    if (known := _finished(out, manifest, what)) is not None:
        shutil.rmtree(work, ignore_errors=True)
        return known
    questions = [Question(SET, item, max_tokens=max_tokens) for item in prompts.items]
    with opened(work, what) as journal:
        teacher.ask(questions, journal, settings, tell)
        found = [journal.records[question.key] for question in questions]
        taught = _sum_up(prompts, found)
        keep(out, _lines(prompts, found))
        document = {**what, "result": taught.document()}
        keep(manifest, json.dumps(document, indent=1) + "\n")
    shutil.rmtree(work, ignore_errors=True)
    return taught


def _beside(out: Path, ending: str) -> Path:
    return out.with_name(out.name + ending)


def _finished(out: Path, manifest: Path, what: dict[str, Any]) -> Taught | None:
    """What came of the same command before; None when it has not ended yet."""
    if not out.exists():
        return None
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
        found = document.pop("result")
    except FileNotFoundError as error:
        if _beside(out, ".work").exists():
            return None
        raise InputError(
            f"{out} is there already, and no teacher wrote it", hint="name another file"
        ) from error
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{manifest} is damaged: {error}", hint="name another file") from error
    if document != what:
        raise InputError(
            f"{out} was written by another teacher, from other prompts, or otherwise",
            hint="name another file",
        )
    return Taught(
        found["rows"], tuple(found["cut"]), tuple(found["empty"]), found["failed"],
        found["tokens"], tuple(found["releases"]),
    )  # fmt: skip


def _good(record: Record) -> bool:
    return not record.error and record.finish != "length" and bool(record.text.strip())


def _sum_up(prompts: Prompts, found: list[Record]) -> Taught:
    pairs = list(zip(prompts.items, found, strict=True))
    known = [(item, record) for item, record in pairs if not record.error]
    return Taught(
        rows=sum(_good(record) for record in found),
        cut=tuple(item.line for item, record in known if record.finish == "length"),
        empty=tuple(
            item.line
            for item, record in known
            if record.finish != "length" and not record.text.strip()
        ),
        failed={str(item.line): record.error for item, record in pairs if record.error},
        tokens={
            "prompt": sum(record.prompt_tokens for record in found),
            "output": sum(record.output_tokens for record in found),
        },
        releases=tuple(sorted({r.release for r in found if r.release is not None})),
    )


def _lines(prompts: Prompts, found: list[Record]) -> str:
    lines = []
    for item, record in zip(prompts.items, found, strict=True):
        if _good(record):
            turns = [turn.document() for turn in item.messages]
            answer = {"role": "assistant", "content": record.text}
            lines.append(json.dumps({"messages": [*turns, answer]}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines)
