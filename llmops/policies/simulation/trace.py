"""A trace: when requests came, how much each read and generated; and its own strict CSV format.

    arrival,input_tokens,output_tokens
    0.000,512,128
    0.250,64,300

Arrivals are seconds from the trace's own beginning, in order. Nothing is guessed: a missing column,
an empty cell, a sign, an exponent or a number out of its bounds is a problem with its line and
column. No text of requests is in a trace, so there is nothing in it to leak.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llmops.errors import Problem, SpecError

HEADER = "arrival,input_tokens,output_tokens"
"""First line of a trace."""

MOST_BYTES, MOST_REQUESTS = 64 * 2**20, 2_000_000
"""Bounds of a trace: a day at more than 20 requests a second."""

MOST_SECONDS, MOST_TOKENS = 31 * 86_400, 16_777_216
"""A month; and the longest context that a spec may ask for."""

MOST_PROBLEMS = 100
"""Problems that are listed."""

_SECONDS = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,8}", re.ASCII)
_HINT = f"such as: {HEADER}, and below it 0.250,512,128"


@dataclass(frozen=True, slots=True)
class Request:
    """One request: seconds from the beginning, and tokens that it reads and generates."""

    arrival: float
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Requests in the order of their arrival."""

    name: str
    requests: tuple[Request, ...]

    @property
    def seconds(self) -> float:
        """Length: to the end of the second in which the last request arrives."""
        return float(int(self.requests[-1].arrival) + 1) if self.requests else 0.0


def parse_trace(raw: bytes, name: str) -> Trace:
    """Read a trace's file.

    Args:
        raw: Its bytes, at most `MOST_BYTES + 1` of them.
        name: What messages call it.

    Raises:
        SpecError: With the problems, in the order of the file.
    """
    if len(raw) > MOST_BYTES:
        _refuse(name, 1, 1, f"expected at most {MOST_BYTES // 2**20}MiB, found a larger file",
                "simulate a part of it: the busiest day, for one")  # fmt: skip
    lines = _decoded(raw, name).splitlines()
    if not lines or not lines[0].strip():
        _refuse(name, 1, 1, f"expected the line '{HEADER}', found none", _HINT)
    if lines[0] != HEADER:
        _refuse(name, 1, 1, f"expected the line '{HEADER}', found {_shown(lines[0])}", _HINT)
    if len(lines) - 1 > MOST_REQUESTS:
        _refuse(name, MOST_REQUESTS + 2, 1,
                f"expected at most {MOST_REQUESTS:,} requests, found {len(lines) - 1:,}",
                "simulate a part of it: the busiest day, for one")  # fmt: skip
    problems: list[Problem] = []
    requests = tuple(_requests(lines, name, problems))
    if problems:
        raise SpecError(tuple(problems[:MOST_PROBLEMS]))
    if not requests:
        _refuse(name, 2, 1, "expected a request in each line, found none", _HINT)
    return Trace(name, requests)


def written(trace: Trace) -> Iterator[str]:
    """The lines of a trace's file, each with its end; milliseconds are kept."""
    yield f"{HEADER}\n"
    for one in trace.requests:
        yield f"{one.arrival:.3f},{one.input_tokens},{one.output_tokens}\n"


def made(name: str, requests: Iterable[Request]) -> Trace:
    """A trace as its file would be read again: in order, arrivals in milliseconds."""
    kept = [Request(round(r.arrival, 3), r.input_tokens, r.output_tokens) for r in requests]
    return Trace(name, tuple(sorted(kept, key=lambda request: request.arrival)))


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        line, column = before.count("\n") + 1, error.start - raw.rfind(b"\n", 0, error.start)
        found = f"byte 0x{raw[error.start]:02x}"
        problem = Problem(
            name, line, column, "", f"expected text in UTF-8, found {found}",
            "save the file as CSV in UTF-8",
        )  # fmt: skip
        raise SpecError((problem,)) from error


def _requests(lines: list[str], name: str, problems: list[Problem]) -> Iterator[Request]:
    last = 0.0
    for number, line in enumerate(lines[1:], 2):
        if len(problems) >= MOST_PROBLEMS:
            return
        request = _request(line, name, number, problems)
        if request is None:
            continue
        if request.arrival < last:
            problems.append(Problem(
                name, number, 1, "arrival",
                f"expected {last:g} or later, as in the line above, found {request.arrival:g}",
                "sort the trace by its arrivals",
            ))  # fmt: skip
        last = max(last, request.arrival)
        yield request


def _request(line: str, name: str, number: int, problems: list[Problem]) -> Request | None:
    cells = line.split(",")
    if len(cells) != 3:
        found = f"{len(cells)}" if line.strip() else "an empty line"
        message = f"expected 3 values between commas, found {found}"
        problems.append(Problem(name, number, 1, "", message, _HINT))
        return None
    before = len(problems)
    starts = (1, len(cells[0]) + 2, len(cells[0]) + len(cells[1]) + 3)
    for path, cell, column in zip(HEADER.split(","), cells, starts, strict=True):
        if message := _wrong(path, cell):
            problems.append(Problem(name, number, column, path, message, _HINT))
    if len(problems) > before:
        return None
    return Request(float(cells[0]), int(cells[1]), int(cells[2]))


def _wrong(path: str, cell: str) -> str:
    """What is wrong with a cell; empty when nothing is."""
    if path == "arrival":
        if not _SECONDS.fullmatch(cell):
            return f"expected seconds from the beginning, such as 0.250, found {_shown(cell)}"
        if float(cell) > MOST_SECONDS:
            return f"expected at most {MOST_SECONDS:,} (a month), found {cell}"
        return ""
    if not _COUNT.fullmatch(cell) or not 1 <= int(cell) <= MOST_TOKENS:
        return f"expected a whole number from 1 to {MOST_TOKENS:,}, found {_shown(cell)}"
    return ""


def _shown(text: str) -> str:
    if not text.strip():
        return "nothing"
    cut = text if len(text) <= 40 else f"{text[:39]}…"
    return "'" + "".join(letter if letter.isprintable() else "?" for letter in cut) + "'"


def _refuse(name: str, line: int, column: int, message: str, hint: str) -> None:
    raise SpecError((Problem(name, line, column, "", message, hint),))
