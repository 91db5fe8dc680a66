"""Small rooms: a file or a function that outgrows these holds two ideas."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house import tree

MOST_LINES = 600
MOST_FUNCTION_LINES = 60


@pytest.mark.parametrize("path", tree.sources(), ids=str)
def test_no_file_and_no_function_outgrows_its_room(path: Path) -> None:
    lines = len((tree.ROOT / path).read_text().splitlines())
    assert lines <= MOST_LINES, f"{path} has {lines} lines, at most {MOST_LINES} are meant to be"
    for node in ast.walk(tree.parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            assert length <= MOST_FUNCTION_LINES, (
                f"{path}:{node.lineno}: {node.name} has {length} lines,"
                f" at most {MOST_FUNCTION_LINES} are meant to be"
            )


@pytest.mark.parametrize("path", tree.sources(shipped=True), ids=str)
def test_every_module_opens_with_why_it_exists(path: Path) -> None:
    assert ast.get_docstring(tree.parsed(path)), f"{path} does not say why it exists"
