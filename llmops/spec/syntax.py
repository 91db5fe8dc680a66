"""The YAML parser's complaints, in words of somebody who writes a file and not a parser."""

from __future__ import annotations

import re
from typing import Any

import yaml

from llmops.errors import Problem
from llmops.spec.document import Document
from llmops.spec.text import position

_BEYOND = "an escape beyond the last character"

_SAYS: tuple[tuple[str, str, str], ...] = (
    (
        r"mapping values are not allowed",
        "expected one 'key: value' on a line, found another ':'",
        "quote a value that holds ': ', or mend the indentation",
    ),
    (
        r"could not find expected ':'",
        "expected 'key: value', found a line without ':'",
        "put a ':' and a space behind the key, or mend the indentation",
    ),
    (
        r"expected <block end>, but found '(?:<block mapping start>|<block sequence start>)'",
        "expected the indentation of the lines before, found another",
        "keys of one section stand in one column",
    ),
    (
        r"expected <block end>",
        "expected a key in the column of those before, found something else",
        "keys of one section stand in one column; quote text that holds ':', '[' or '{'",
    ),
    (
        r"found unexpected end of stream",
        "expected a closing quote, found the end of the file",
        "close the quote that is opened here",
    ),
    (
        r"expected ',' or '[\]}]', but got '<stream end>'",
        "expected a closing bracket, found the end of the file",
        "close the bracket that is opened here",
    ),
    (
        r"expected ',' or '[\]}]', but got",
        "expected ',' or the closing bracket, found something else",
        "close the bracket that is opened before this, or put a ','",
    ),
    (
        r"found character '(?P<c>[^']+)' that cannot start any token",
        "expected a value, found '{c}', which cannot begin one",
        "quote the value",
    ),
    (
        r"found unknown escape character '?(?P<c>.[^']?)",
        "expected an escape such as \\n, found '\\{c}'",
        "write \\\\ for a backslash, or use single quotes",
    ),
    (
        r"expected alphabetic or numeric character, but found",
        "expected a name behind '&' or '*', found something else",
        "quote text that begins with '&' or '*'",
    ),
    (
        r"found undefined tag handle|while (?:scanning|parsing) a tag|expected URI",
        "expected a plain value, found a tag",
        "remove the tag, or quote text that begins with '!'",
    ),
    (
        r"sequence entries are not allowed here",
        "expected a value, found '-'",
        "put a list on lines of its own, each with '- ', or write it as [a, b]",
    ),
    (
        r"incompatible YAML document|directive",
        "expected a document, found a directive that cannot be read",
        "remove the line that begins with '%'",
    ),
    (
        r"expected '<document start>', but found '<stream end>'",
        "expected {describes}, found a line that begins with '%' and nothing behind it",
        "quote text that begins with '%'",
    ),
    (
        r"expected '<document start>'",
        "expected the end of the file, found more",
        "mend the indentation, or remove what stands behind the document",
    ),
    (
        _BEYOND,
        "expected an escape for a character, found one beyond the last that there is",
        "write the character itself",
    ),
    (
        r"found duplicate anchor",
        "expected each anchor once, found one again",
        "give each '&' a name of its own",
    ),
)


def problem_of(error: Exception, text: str, file: str, document: Document[Any], at: int) -> Problem:
    """The problem that a parser's error is.

    Args:
        error: What the parser raised; not always its own kind of error.
        text: The whole text.
        file: Its name.
        document: What kind of file it is.
        at: Index of the character that the parser had come to.
    """
    says = ""
    if isinstance(error, yaml.MarkedYAMLError):
        says = f"{error.context or ''} {error.problem or ''}"
        unclosed = re.search("unexpected end of stream|but got '<stream end>'", says)
        places = [error.problem_mark, error.context_mark]
        marked = next((mark for mark in (places[::-1] if unclosed else places) if mark), None)
        at = marked.index if marked is not None else at
    elif re.search(r"\\[xuU]$", text[max(0, at - 2) : at]):
        says, at = _BEYOND, at - 2
    line, column = position(text[:at])
    if tab := _tab(text, at):
        line, column = position(text[: tab[0]])
        return Problem(file, line, column, "", *tab[1])
    for pattern, message, hint in _SAYS:
        if found := re.search(pattern, says):
            names = {key: _visible(value) for key, value in found.groupdict().items()}
            names["describes"] = document.describes
            return Problem(file, line, column, "", message.format(**names), hint)
    return Problem(
        file, line, column, "",
        "expected YAML, found something that cannot be read",
        f"compare this line and the one before with an example: {document.begin}",
    )  # fmt: skip


def _visible(text: str) -> str:
    return text.replace("\\\\", "\\")


def _tab(text: str, at: int) -> tuple[int, tuple[str, str]] | None:
    """Index of a tab that is to blame, in the line of `at` or right there; and what to say."""
    start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    indentation = re.compile(r"[ \t]*").match(text, start)
    if indentation and "\t" in indentation[0]:
        tab = start + indentation[0].index("\t")
        return tab, ("expected spaces, found a tab in the indentation", "indent with spaces")
    if text[at : at + 1] == "\t":
        return at, ("expected a space, found a tab", "use spaces between a key and its value")
    return None
