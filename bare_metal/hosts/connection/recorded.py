"""Hosts that were recorded: a folder for each, with the files it had and what commands printed.

A folder holds `root/`, a tree of files as they lay on the host, and `commands.json`, what each
command came to. What was not recorded is a command that was not found, and a file that is not
there. So every reader that works on a host works on its recording, and nothing can be changed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bare_metal.hosts.connection.answers import Files, HostGoneError, Ran, Reader
from bare_metal.hosts.connection.files import MOST_BYTES
from bare_metal.inventory import Placed
from llmops.errors import InputError

ROOT, COMMANDS = "root", "commands.json"
NOT_FOUND = 127


@dataclass(frozen=True, slots=True)
class RecordedConnector:
    """Hosts below a folder, each in one of its own name."""

    folder: Path

    @asynccontextmanager
    async def reading(self, host: Placed) -> AsyncIterator[Reader]:
        """A recorded host to look at."""
        folder = self.folder / host.name
        if not folder.is_dir():
            raise HostGoneError(
                f"nothing was recorded of it in {self.folder}", "record it again with --record"
            )
        yield RecordedHost(folder / ROOT, _commands(folder / COMMANDS))


@dataclass(frozen=True, slots=True)
class RecordedHost:
    """A recorded host. Its root path stands in place of the host's own."""

    root: Path
    commands: Mapping[str, Ran]

    async def run(self, argv: Sequence[str], *, seconds: float) -> Ran:
        """What the command came to when it was recorded."""
        del seconds
        missing = Ran(NOT_FOUND, err=f"{argv[0]}: not found")
        return self.commands.get(shlex.join(argv), missing)

    async def read(self, patterns: Sequence[str], *, seconds: float) -> Files:
        """What the files held."""
        del seconds
        texts: dict[str, str] = {}
        for pattern in patterns:
            for path in sorted(self.root.glob(pattern.lstrip("/"))):
                if path.is_file():
                    name = f"/{path.relative_to(self.root)}"
                    texts[name] = path.read_bytes()[:MOST_BYTES].decode("utf-8", "replace")
        return Files(texts)


def _commands(path: Path) -> dict[str, Ran]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {
            line: Ran(row["code"], row["out"], row["err"], row["began"], row["ended"])
            for line, row in rows.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: expected recorded commands, found something else",
            hint="record the host again: llmops cluster hosts facts --record DIR",
        ) from error


def record(folder: Path, texts: Mapping[str, str], commands: Mapping[tuple[str, ...], Ran]) -> None:
    """Keep what a host answered, below a folder of its own.

    Raises:
        InputError: When it cannot be written there.
    """
    rows = {
        shlex.join(argv): {
            "code": ran.code, "out": ran.out, "err": ran.err,
            "began": ran.began, "ended": ran.ended,
        }
        for argv, ran in commands.items()
    }  # fmt: skip
    try:
        for name, text in texts.items():
            path = folder / ROOT / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COMMANDS).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror}") from error
