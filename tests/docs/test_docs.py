"""What the documents promise exists: places, commands, messages, fields."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli.app import app
from clusters import names
from llmops.spec import loads
from tests.docs import pages
from tests.docs.pages import ROOT, Block

PAGES = pages.pages()
BLOCKS = [block for page in PAGES for block in pages.blocks(page)]
SPECS = [block for block in BLOCKS if block.mark == "spec"]
TROUBLES = [
    heading.strip("`")
    for heading in pages.headings(ROOT / "docs" / "troubleshooting.md")
    if heading.startswith("`")
]
PATH = re.compile(
    r"(?:llmops|serving|clusters|cli|tests|docs|benchmarks|examples|requirements)/[\w./-]+"
)
NO_PATHS = {"llmops/v1", names.SERVICE, names.RUNTIME, names.ROLE, names.RELEASES}
"""What looks like a path and is a version or a label."""


def _names(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_names)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    for link in pages.links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{_names(page)} links to {link}, which is not there"
        if anchor:
            assert anchor in pages.anchors(target), f"{_names(page)}: {link} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=_names)
def test_every_path_that_is_named_is_there(page: Path) -> None:
    for span in pages.spans(page):
        if PATH.fullmatch(span) and span not in NO_PATHS:
            assert (ROOT / span).exists(), f"{_names(page)} names {span}, which is not there"


def _said(page: Path) -> list[str]:
    """Every `llmops …` of a page, in prose and in console blocks."""
    shown = [c for b in pages.blocks(page) if b.language == "console" for c in pages.commands(b)]
    found = [text for text in [*pages.spans(page), *shown] if re.search(r"\bllmops \S", text)]
    return [text[text.index("llmops ") :] for text in found]


def _verb(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and what is left of them."""
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def _unknown(text: str) -> str:
    """What the program does not know of a command line; empty when it knows all of it."""
    words = re.split(r" (?:&&|\||>|\d>)", text)[0].rstrip(")").split(" ")[1:]
    words = shlex.split(" ".join(words)) if '"' in text else words
    command, rest = _verb(words)
    if command.name == "llmops" and not words[0].startswith("-"):
        return words[0]
    known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
    options = (word.split("=")[0] for word in rest if word.startswith("-") and word != "-")
    return next((option for option in options if option not in known), "")


@pytest.mark.parametrize("page", PAGES, ids=_names)
def test_every_command_and_option_that_is_named_exists(page: Path) -> None:
    for text in _said(page):
        assert not _unknown(text), f"{_names(page)}: `{text}`: there is no {_unknown(text)}"


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("llmops serve x", "serve"),
        ("llmops deploy --nonsense", "--nonsense"),
        ("llmops keys create x --yes > file", "--yes"),
        ("llmops keys create x --key-name y > file --yes", ""),
        ("llmops --version", ""),
    ],
)
def test_the_search_finds_unknown_commands_and_options(text: str, unknown: str) -> None:
    assert _unknown(text) == unknown


@cache
def _literals() -> tuple[str, ...]:
    """Every text in the shipped sources but docstrings; what is filled in shows as a newline."""
    found: list[str] = []
    for folder in ("llmops", "serving", "clusters", "bare_metal", "infra", "cli"):
        for source in sorted((ROOT / folder).rglob("*.py")):
            found += _texts(ast.parse(source.read_text(encoding="utf-8")))
    return tuple(found)


def _texts(tree: ast.Module) -> Iterator[str]:
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else "\n" for p in node.values)
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and id(node) not in docstrings:
            yield str(node.value)


def can_occur(heading: str) -> bool:
    """Whether a text of the sources has all of it; `…` stands for what is filled in."""
    fixed = [part.strip() for part in heading.split("…") if part.strip()]
    assert max(len(part) for part in fixed) >= 8, f"{heading!r} would be found anywhere"
    pattern = re.compile(".*".join(re.escape(part) for part in fixed), re.DOTALL)
    return any(pattern.search(text) for text in _literals())


@pytest.mark.parametrize("heading", TROUBLES)
def test_every_message_that_is_explained_can_occur(heading: str) -> None:
    assert can_occur(heading), f"nothing says {heading!r} any more"


def test_a_message_that_nothing_says_is_found_out() -> None:
    assert not can_occur("the moon is in the way of …")


def test_many_messages_are_explained_and_each_once() -> None:
    assert len(TROUBLES) >= 25
    assert len(TROUBLES) == len(set(TROUBLES))


@pytest.mark.parametrize("block", SPECS, ids=str)
def test_every_spec_that_is_shown_loads(block: Block) -> None:
    loads(block.text, str(block))


def test_specs_are_shown() -> None:
    assert any(block.page.name == "README.md" for block in SPECS)
