"""Where rows are: paths beside the file that names them, made absolute before anything is read.

A run goes on in another process and another folder, so what it keeps has absolute addresses only.
Nothing here opens what it names.
"""

from __future__ import annotations

from pathlib import Path

from llmops.errors import InputError
from llmops.finetuning.model import HELD_OUT, FineTune
from llmops.spec import STDIN, Placed, wrong_address

FILE = "file://"
HUB = "hf://"


def is_relative(source: str) -> bool:
    """Whether a place is a path beside the file that names it."""
    return "://" not in source


def path_of(source: str) -> Path | None:
    """The absolute path that `file:///path` names; None for a data set of a hub."""
    return Path(source.removeprefix(FILE)) if source.startswith(FILE) else None


def wrong_place(source: str, *, hub: bool) -> tuple[str, str] | None:
    """What is wrong with the form of a place, and what to do; None when nothing is.

    Args:
        source: As it was written.
        hub: Whether a data set of a hub may stand there.
    """
    forms = "a path beside this file or file:///path"
    if hub:
        forms = "a path beside this file, file:///path or hf://owner/name"
    shown = source if len(source) <= 60 else f"{source[:59]}…"
    if not is_relative(source):
        scheme = source.partition("://")[0]
        if scheme == "file" or (scheme == "hf" and hub):
            wrong = wrong_address(source)
            return (wrong.message, wrong.hint) if wrong else None
        hint = "download it first" if scheme in ("http", "https", "s3", "gs", "hf") else ""
        told = "" if "@" in source else f", found '{shown}'"
        return f"expected {forms}{told}", hint or "a path has no scheme: data/train.jsonl"
    if source.startswith("/"):
        return f"expected {forms}, found '{shown}'", f"write file://{shown}"
    if source.startswith("~"):
        return f"expected {forms}, found '{shown}'", "write the path in full: file:///home/…"
    if source.endswith("/") or source.rpartition("/")[2] in (".", ".."):
        return f"expected a file, found the folder '{shown}'", "name the file in it"
    if source != source.strip() or "\\" in source:
        return f"expected {forms}, found '{shown}'", "write it with '/', and no space around it"
    return None


def located(placed: Placed[FineTune]) -> FineTune:
    """The same with `file:///path` in place of each path that is relative to its file.

    Raises:
        InputError: When one is relative and the file is standard input, which has no folder.
    """
    spec = placed.value
    train = tuple(
        rows.model_copy(update={"source": _absolute(placed, f"data.train[{at}].source")})
        for at, rows in enumerate(spec.data.train)
    )
    held = tuple(
        rows.model_copy(update={"source": _absolute(placed, f"data.eval[{at}].source")})
        for at, rows in enumerate(spec.data.eval)
    )
    exams = tuple(
        exam.model_copy(update={"set": _absolute(placed, f"eval[{at}].set")})
        for at, exam in enumerate(spec.eval)
    )
    template = spec.data.chat_template and _absolute(placed, "data.chat_template")
    changed: dict[str, object] = {"train": train, "eval": held, "chat_template": template}
    if spec.data.entities is not None:
        model = _absolute(placed, "data.entities.model")
        changed["entities"] = spec.data.entities.model_copy(update={"model": model})
    data = spec.data.model_copy(update=changed)
    return spec.model_copy(update={"data": data, "eval": exams})


def _absolute(placed: Placed[FineTune], path: str) -> str:
    """What stands at a dotted path, with the folder of its file before it."""
    source = str(_at(placed.value, path))
    if source == HELD_OUT or not is_relative(source):
        return source
    where = placed.where(path)
    file = where[0] if where else STDIN
    if file == STDIN:
        raise InputError(
            f"{path}: expected an absolute place, found '{source}': standard input has no folder",
            hint="write file:///path, or name a file with -f",
        )
    return f"{FILE}{(Path(file).parent / source).absolute()}"


def _at(spec: FineTune, path: str) -> object:
    value: object = spec
    for step in path.replace("[", ".").replace("]", "").split("."):
        value = value[int(step)] if isinstance(value, tuple) else getattr(value, step)
    return value


__all__ = ["HUB", "is_relative", "located", "path_of", "wrong_place"]
