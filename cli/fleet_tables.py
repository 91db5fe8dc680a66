"""Tables that fit a terminal: the last column is a sentence, and goes where there is room for it.

Without a terminal nothing is wrapped, so that a line stays a line for `grep`.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

import typer

WITHOUT = 10_000
"""Columns where there is no terminal."""

LEAST = 36
"""Columns that a sentence needs beside a table; with less it goes below each row."""

INDENT = 4


def columns() -> int:
    """Columns of the terminal on standard output."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else WITHOUT


def say(text: str, indent: int = 0, hang: int = 2) -> None:
    """A paragraph, wrapped, later lines indented by `hang` more."""
    begin = " " * indent
    lines = textwrap.wrap(
        text,
        max(40, columns()),
        initial_indent=begin,
        subsequent_indent=begin + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
    typer.echo("\n".join(lines) or "")


def print_fitted(
    heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[str] = frozenset()
) -> None:
    """A table whose last column is a sentence.

    Args:
        heads: Names of the columns.
        rows: As many texts each.
        right: Columns of numbers.
    """
    width = columns()
    widths = [max(len(line[at]) for line in (heads, *rows)) for at in range(len(heads) - 1)]
    taken = sum(widths) + 2 * len(widths)
    if taken <= width - LEAST or width == WITHOUT:
        _beside(heads, rows, widths, width - taken, right)
    elif taken <= width:
        _below(heads, rows, widths, right)
    else:
        _cards(heads, rows)


def _cells(
    line: Sequence[str], heads: Sequence[str], widths: Sequence[int], right: frozenset[str]
) -> str:
    return "  ".join(
        line[at].rjust(wide) if heads[at] in right else line[at].ljust(wide)
        for at, wide in enumerate(widths)
    )


def _beside(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    room: int,
    right: frozenset[str],
) -> None:
    for line in (heads, *rows):
        first, *more = textwrap.wrap(line[-1], room, break_long_words=False) or [""]
        typer.echo(f"{_cells(line, heads, widths, right)}  {first}".rstrip())
        for rest in more:
            typer.echo(" " * (sum(widths) + 2 * len(widths)) + rest)


def _below(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    right: frozenset[str],
) -> None:
    typer.echo(_cells(heads, heads, widths, right).rstrip())
    for line in rows:
        typer.echo(_cells(line, heads, widths, right).rstrip())
        say(line[-1], INDENT, 0)


def _cards(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Too narrow for a table: each row is a paragraph of its own."""
    for line in rows:
        say(line[0], 0, INDENT)
        cells = zip(heads[1:-1], line[1:-1], strict=True)
        if parts := [_named(head, cell.strip()) for head, cell in cells if cell.strip()]:
            say("; ".join(parts), INDENT, 0)
        say(line[-1], INDENT, 0)


def _named(head: str, cell: str) -> str:
    """A cell without its column above it: a number gets the column's name, a word needs none."""
    if sum(map(str.isalpha, cell)) > 1:
        return cell
    return f"{cell} {head.replace('/H', '/h')}" if "/" in head else f"{head.lower()} {cell}"
