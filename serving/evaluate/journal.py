"""What has been measured so far, one line each, appended as it comes: a killed run goes on.

The first line says what is measured: of which model, on which sets, how. A journal of another
evaluation is refused and never mixed in. A last line that was cut by a kill is dropped, and its
item is measured again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from filelock import BaseFileLock, FileLock, Timeout

from llmops.errors import BusyError, InputError, TargetError

FILE = "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Record:
    """What one item came to: an answer, or a likelihood, or neither."""

    set: str
    item: str
    kind: str
    """`answer` or `likelihood`."""
    text: str = ""
    finish: str = ""
    """Why the answer ended: `stop`, `length`."""
    nll: float = 0.0
    """Negative log-likelihood of the reference, in nats."""
    tokens: int = 0
    """Tokens of the reference that `nll` is of."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    ttft: float | None = None
    """Seconds to the first token; None where times mean nothing."""
    tpot: float | None = None
    latency: float | None = None
    release: int | None = None
    error: str = ""
    """Why it could not be measured."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is of."""
        return self.set, self.item, self.kind

    def document(self) -> dict[str, Any]:
        """Its fields that are not at their default."""
        whole = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in whole.items() if value not in ("", None)}


@dataclass
class Journal:
    """An open journal."""

    file: IO[str]
    records: dict[tuple[str, str, str], Record] = field(default_factory=dict)
    """What is known, by set, item and kind."""

    def add(self, record: Record) -> None:
        """Keep a record, before anything else happens.

        Raises:
            TargetError: When the disk is full.
        """
        self.put(record.document())
        self.records[record.key] = record

    def put(self, document: dict[str, Any]) -> None:
        """Append a line.

        Raises:
            TargetError: When the disk is full.
        """
        try:
            self.file.write(json.dumps(document) + "\n")
            self.file.flush()
        except OSError as error:
            raise _unwritten(Path(self.file.name), error) from error

    def lost(self) -> dict[str, str]:
        """Items that could not be measured, and why."""
        return {f"{r.set}/{r.item}": r.error for r in self.records.values() if r.error}


def _unwritten(file: Path, error: OSError) -> TargetError:
    return TargetError(
        f"{file} cannot be written: {error}",
        hint="make room and give the same command again: it goes on from here",
        serving=True,
    )


def keep(file: Path, text: str) -> None:
    """Write a file so that it is whole or not there, also after a loss of power.

    Raises:
        TargetError: When the disk is full.
    """
    new = file.with_name(file.name + ".new")
    try:
        # Half of a surrogate pair, which an endpoint may send, becomes JSON's own escape.
        with new.open("w", encoding="utf-8", errors="backslashreplace") as output:
            new.chmod(0o600)
            output.write(text)
            output.flush()
            os.fsync(output.fileno())
        new.replace(file)
    except OSError as error:
        raise _unwritten(file, error) from error


@contextmanager
def opened(folder: Path, what: dict[str, Any]) -> Iterator[Journal]:
    """The journal in `folder`, begun when there is none; errors in it are asked again.

    Args:
        folder: Made when missing, private to the user: answers may repeat what is secret.
        what: What is measured, as plain data.

    Raises:
        BusyError: When another process writes it.
        InputError: When it is of another evaluation or damaged, or the folder cannot be used.
        TargetError: When the disk is full.
    """
    lock = _locked(folder)
    path = folder / FILE
    try:
        known = _read(path, what)
        file = path.open("a" if known is not None else "w", encoding="utf-8")
        try:
            path.chmod(0o600)
            journal = Journal(file, {record.key: record for record in known or ()})
            if known is None:
                journal.put({"evaluation": what})
            yield journal
        finally:
            with suppress(OSError):  # a full disk was told of when the line was written
                file.close()
    finally:
        lock.release()


def _locked(folder: Path) -> BaseFileLock:
    lock = FileLock(folder / "lock", mode=0o600, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout as error:
        raise BusyError(
            f"another command evaluates in {folder}", hint="wait for it, or use another folder"
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used: {error.strerror}", hint="name a folder that you may write to"
        ) from error
    return lock


def _read(path: Path, what: dict[str, Any]) -> list[Record] | None:
    """What a journal holds; None when there is none, or its first line was cut.

    A cut last line is taken out of the file, so that the next one begins on a line of its own.
    """
    if not path.exists():
        return None
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if not whole:
        return None
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:
        first, *lines = whole.decode().splitlines()
        header = json.loads(first)["evaluation"]
        records = [Record(**json.loads(line)) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is damaged: {error}", hint="move it away, and evaluate anew"
        ) from error
    if header != what:
        changed = sorted(k for k in {*header, *what} if header.get(k) != what.get(k))
        raise InputError(
            f"{path.parent} holds another evaluation: it differs in {', '.join(changed)}",
            hint="use another folder",
        )
    return [record for record in records if not record.error]
