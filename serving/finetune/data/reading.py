"""Files become records, one at a time, each with the place it came from.

A record that cannot be read is handed on as `Bad` and reading goes on, unless nothing after it can
be told apart any more (a broken JSON array, a broken Parquet file): that is an error. No message
quotes what a row says, since it may be personal.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import TextIOWrapper
from typing import IO, Any, cast

from llmops.errors import InputError
from llmops.units import Bytes
from serving.finetune.data.endings import PACKED
from serving.finetune.data.inputs import Input
from serving.finetune.data.rows import Bad

LONGEST = 64 * 2**20
"""Bytes of the longest row. A longer one is hardly a row, and would have to be held in memory."""

CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Record:
    """A row as its file has it."""

    source: str
    value: Mapping[str, object]


def read(given: Input) -> Iterator[Record | Bad]:
    """All rows of a file, in its order.

    Raises:
        InputError: When the file cannot be read at all, or not to its end.
    """
    try:
        yield from READERS[given.kind](given)
        given.check_unchanged()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(given, f"is not whole: {error}") from error
    except OSError as error:
        raise _broken(given, f"cannot be read: {error.strerror or error}") from error


def _broken(given: Input, why: str) -> InputError:
    return InputError(
        f"{given.label} {why}", hint="write the file anew", path=f"{given.field}.source"
    )


def _opened(given: Input) -> IO[bytes]:
    if given.path.name.endswith(PACKED):
        return cast("IO[bytes]", gzip.open(given.path, "rb"))
    return given.path.open("rb")


def _text(given: Input) -> TextIOWrapper:
    """The file as text; bytes that are no UTF-8 become lone surrogates, which no row may have."""
    return TextIOWrapper(_opened(given), "utf-8-sig", errors="surrogateescape", newline="")


def _lines(given: Input) -> Iterator[tuple[str, str | Bad]]:
    """Lines that are not empty, each with its place."""
    with _opened(given) as file:
        number = 0
        while line := file.readline(LONGEST + 1):
            number += 1
            source = f"{given.label}:{number}"
            if len(line) > LONGEST:
                while line and not line.endswith(b"\n"):
                    line = file.readline(LONGEST)
                yield source, Bad(source, f"longer than {Bytes(LONGEST).human()}")
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip("\r\n")
            except UnicodeDecodeError as error:
                yield source, Bad(source, f"byte {error.start + 1} of the line is not UTF-8")
                continue
            if text.strip():
                yield source, text


def _json_lines(given: Input) -> Iterator[Record | Bad]:
    for source, line in _lines(given):
        yield line if isinstance(line, Bad) else _json_row(source, line)


def _json_row(source: str, line: str) -> Record | Bad:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return Bad(f"{source}:{error.colno}", f"not JSON: {error.msg}")
    except (RecursionError, ValueError):
        return Bad(source, "not JSON that can be read: nested too deep, or a number too long")
    if not isinstance(value, dict):
        return Bad(source, f"expected an object, found {_noun(value)}")
    return Record(source, value)


def _json(given: Input) -> Iterator[Record | Bad]:
    """An array of objects, or, as hubs have it, an object in each line."""
    with _text(given) as file:
        begin = file.read(CHUNK).lstrip()
    if begin.startswith("["):
        yield from _array(given)
    else:
        yield from _json_lines(given)


class _Array:
    """An array of which only the element at hand is in memory."""

    def __init__(self, given: Input, file: TextIOWrapper) -> None:
        self._given, self._file = given, file
        self._buffer, self._at, self._line, self._column = "", 0, 1, 1

    def elements(self) -> Iterator[tuple[str, object]]:
        self._expect("[")
        if self._peek() == "]":
            return
        while True:
            self._peek()
            source = f"{self._given.label}:{self._line}"
            yield source, self._element()
            if self._peek() == "]":
                return
            self._expect(",")

    def _element(self) -> object:
        decoder = json.JSONDecoder()
        while True:
            try:
                value, end = decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                ahead = max(error.pos - self._at, 0)
                if not self._more():  # which moves the buffer
                    self._advance(self._at + ahead)
                    raise self._wrong(error.msg) from error
            except (RecursionError, ValueError) as error:
                raise self._wrong("nested too deep, or a number too long") from error
            else:
                # A number at the buffer's end may go on behind it.
                if end < len(self._buffer) or not self._more():
                    self._advance(end)
                    return cast("object", value)

    def _more(self) -> bool:
        """Read on, by as much as there is, so that a long element is not decoded too often."""
        held = len(self._buffer) - self._at
        if held > LONGEST:
            return False
        self._buffer, self._at = self._buffer[self._at :], 0
        new = self._file.read(max(CHUNK, held))
        self._buffer += new
        return bool(new)

    def _peek(self) -> str:
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in " \t\r\n":
                self._advance(self._at + 1)
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._more():
                raise self._wrong("it ends within the array")

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._wrong(f"expected '{sign}'")
        self._advance(self._at + 1)

    def _advance(self, to: int) -> None:
        passed = self._buffer[self._at : to]
        breaks = passed.count("\n")
        self._line += breaks
        self._column = len(passed) - passed.rfind("\n") if breaks else self._column + len(passed)
        self._at = to

    def _wrong(self, why: str) -> InputError:
        return InputError(
            f"{self._given.label}:{self._line}:{self._column}: not JSON: {why}",
            hint="what follows in an array cannot be told apart: mend it, or write JSON Lines",
            path=f"{self._given.field}.source",
        )


def _array(given: Input) -> Iterator[Record | Bad]:
    with _text(given) as file:
        for source, value in _Array(given, file).elements():
            if isinstance(value, dict):
                yield Record(source, value)
            else:
                yield Bad(source, f"expected an object, found {_noun(value)}")


def _separated(given: Input) -> Iterator[Record | Bad]:
    csv.field_size_limit(LONGEST)
    with _text(given) as file:
        rows = csv.reader(file, delimiter="\t" if given.kind == ".tsv" else ",", strict=True)
        try:
            heads = next(rows, None)
        except csv.Error as error:
            raise _broken(given, f"has no heads of columns that can be read: {error}") from error
        if heads is None:
            return
        while True:
            source = f"{given.label}:{rows.line_num + 1}"
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield Bad(source, f"not a row of the table: {error}")
                continue
            if len(row) == len(heads):
                yield Record(source, dict(zip(heads, row, strict=True)))
            elif row:
                yield Bad(source, f"expected {len(heads)} columns, found {len(row)}")


def _parquet(given: Input) -> Iterator[Record | Bad]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(given.path) as file:
            for batch in file.iter_batches(batch_size=256):
                for value in batch.to_pylist():
                    number += 1
                    yield Record(f"{given.label}:{number}", value)
    except pa.ArrowException as error:
        raise _broken(given, f"is not Parquet, or damaged after row {number}") from error
    except (OverflowError, ValueError) as error:  # bytes that are no text, days that no year has
        raise _broken(given, f"has a value that cannot be read after row {number}") from error


def _plain(given: Input) -> Iterator[Record | Bad]:
    for source, line in _lines(given):
        yield line if isinstance(line, Bad) else Record(source, {given.rows.columns.text: line})


def _noun(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a text", bool: "a truth value",
             int: "a number", float: "a number", type(None): "null"}  # fmt: skip
    return names.get(type(value), type(value).__name__)


READERS: Mapping[str, Callable[[Input], Iterator[Record | Bad]]] = {
    ".jsonl": _json_lines, ".json": _json, ".csv": _separated, ".tsv": _separated,
    ".parquet": _parquet, ".txt": _plain,
}  # fmt: skip
