"""From a spec's data section to a prepared folder: once for the same inputs, and not again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from llmops.finetuning import path_of
from llmops.planning import digest
from serving.finetune.data import folder as folders
from serving.finetune.data import report
from serving.finetune.data.entities import digest_of, folder_of
from serving.finetune.data.exams import Exam, read_exams
from serving.finetune.data.inputs import Input, find
from serving.finetune.data.ledger import Ledger
from serving.finetune.data.pipeline import Outcome, Pipeline
from serving.finetune.data.settings import FORMAT, Settings, library_versions
from serving.finetune.data.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that training can read."""

    folder: Path
    digest: str
    fresh: bool
    """Whether it was prepared now; otherwise it was there already, and whole."""
    manifest: Mapping[str, Any]
    """As `manifest.json` has it."""


@dataclass(frozen=True, slots=True)
class Given:
    """The files that a result follows from."""

    inputs: tuple[Input, ...]
    exams: tuple[Exam, ...]


def prepare(settings: Settings, base: Path, folder: Path, tell: Callable[[str], None]) -> Prepared:
    """Have the data of a spec prepared below `folder`, for the tokenizer of `base`.

    The result's folder is named by the digest of everything that it follows from. When it is there
    and its digests fit, nothing is done. Otherwise it is written aside and appears whole.

    Args:
        settings: What to prepare.
        base: Folder of the base model, of which the tokenizer and the chat template are read.
        folder: Where prepared data lies; made when missing.
        tell: Hears what is being done, in short sentences.

    Raises:
        InputError: An input, an exam, a row or the chat template is wrong; nothing is left to
            learn from.
        ModelError: The base has no tokenizer that can be used.
        RefusedError: There is personal data or leakage, and the settings say `fail`.
        BusyError: Another one prepares in this folder.
        TargetError: The disk is full.
    """
    libraries = library_versions()
    given = Given(find(settings.data, tell), read_exams(settings.exams, tell))
    tokenizer = _tokenizer(settings, base)
    identity = _identity(settings, given, tokenizer) | {"libraries": libraries}
    if (names := settings.data.entities) is not None:
        identity["names"] = {"sha256": digest_of(folder_of(names)), "torch": version("torch")}
    named = digest(identity)
    ready = folder / named
    with folders.held(folder):
        had = folders.manifest_of(ready)
        if had is not None:
            return Prepared(ready, named, False, had)
        if ready.exists():
            tell("what was prepared before is damaged: it is prepared anew")
        with folders.appearing(folder, named) as part:
            manifest = _prepared(settings, given, tokenizer, identity, part, tell)
        return Prepared(ready, named, True, manifest)


def _tokenizer(settings: Settings, base: Path) -> Tokenizer:
    data = settings.data
    template = None
    if data.chat_template is not None and (file := path_of(data.chat_template)) is not None:
        try:
            template = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the chat template {file} cannot be read: {type(error).__name__}",
                path="data.chat_template",
            ) from error
    tokenizer = Tokenizer(base, template, learn=data.learn)
    for format_ in sorted({rows.format for rows in (*data.train, *data.eval)}):
        tokenizer.check(format_)
    return tokenizer


def _identity(settings: Settings, given: Given, tokenizer: Tokenizer) -> dict[str, object]:
    """Everything that the result follows from."""
    data = settings.data.model_dump(
        mode="json",
        exclude={"train": True, "eval": True, "chat_template": True, "entities": {"model"}},
    )
    return {
        "format": FORMAT,
        "data": data,
        "sequence": settings.sequence,
        "seed": settings.seed,
        "inputs": [
            {"path": one.label, "sha256": one.sha256, "side": one.side}
            | one.rows.model_dump(mode="json", exclude={"source", "revision", "part"})
            for one in given.inputs
        ]
        + [{"path": one.label, "sha256": one.sha256, "side": "exam"} for one in given.exams],
        "tokenizer": tokenizer.digest,
        "template": tokenizer.template_digest,
    }


def _prepared(
    settings: Settings, given: Given, tokenizer: Tokenizer,
    identity: Mapping[str, object], part: Path, tell: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    scratch = part / "scratch"
    scratch.mkdir()
    pipeline = Pipeline(settings, tokenizer, part, scratch, tell)
    outcome = pipeline.run(given.inputs, given.exams)
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()
    manifest = _manifest(settings, given, identity, pipeline.ledger, outcome)
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    report.write(part, manifest, pipeline.ledger, outcome, tokenizer)
    (part / folders.MANIFEST).write_text(text, encoding="utf-8")
    return manifest


def _manifest(
    settings: Settings, given: Given, identity: Mapping[str, object],
    ledger: Ledger, outcome: Outcome,
) -> dict[str, Any]:  # fmt: skip
    formats = sorted({rows.format for rows in settings.data.train})
    totals: dict[str, object] = {
        side: {
            "rows": held.rows,
            "tokens": held.tokens,
            "learnt_tokens": held.learnt_tokens,
            "longest": held.longest,
            "sha256": held.sha256,
        }
        for side, held in sorted(outcome.totals.items(), reverse=True)
    }
    return {
        "format": FORMAT,
        "kind": formats[0] if len(formats) == 1 else "mixed",
        "tokenizer": identity["tokenizer"],
        "template": identity["template"],
        "inputs": _files(given, outcome),
        "steps": [step.document() for step in ledger.steps],
        "bad": [{"source": bad.source, "reason": bad.reason} for bad in outcome.bad],
        **totals,
        "sequence": settings.sequence,
        "seed": settings.seed,
        "libraries": identity["libraries"],
        "names": identity.get("names"),
        "digest": digest(identity),
    }


def _files(given: Given, outcome: Outcome) -> list[dict[str, object]]:
    """The files as the manifest has them."""
    rows = [
        {
            "path": one.label,
            "sha256": one.sha256,
            "bytes": one.size,
            "rows": outcome.rows[one.label],
            "side": one.side,
            "format": one.rows.format,
            "revision": one.revision,
        }
        for one in given.inputs
    ]
    asked = [
        {
            "path": one.label,
            "sha256": one.sha256,
            "bytes": one.size,
            "rows": len(one.items),
            "side": "exam",
            "format": "set",
            "revision": "",
        }
        for one in given.exams
    ]
    return [*rows, *asked]
