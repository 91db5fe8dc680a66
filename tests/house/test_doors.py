"""Each package has one door: `__init__.py` hands names on, lists them, and does nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house import tree

LOADED_ONE_BY_ONE = {"serving.runtime", "serving.engines"}
"""Packages whose modules run in different processes: a door that imported them all would bring Ray
and vLLM into every one of these."""


def _door(package: str) -> ast.Module:
    return tree.parsed(Path(*package.split("."), "__init__.py"))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _assigned(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None


def _handed_on(door: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in door.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names |= {alias.asname or alias.name for alias in node.names}
        elif (name := _assigned(node)) and name != "__all__":
            names.add(name)
    return names


def _all(door: ast.Module) -> list[str]:
    for node in door.body:
        if isinstance(node, ast.Assign) and _assigned(node) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


@pytest.mark.parametrize("package", tree.packages())
def test_a_door_lists_exactly_what_it_hands_on(package: str) -> None:
    door = _door(package)
    listed = _all(door)
    assert len(listed) == len(set(listed)), f"{package}: __all__ names something twice"
    assert set(listed) == _handed_on(door), f"{package}: __all__ and the imports differ"


@pytest.mark.parametrize("package", tree.packages())
def test_a_door_says_why_its_package_exists_and_holds_no_code(package: str) -> None:
    door = _door(package)
    assert ast.get_docstring(door), f"{package}/__init__.py has no docstring"
    for node in door.body:
        dunder = (_assigned(node) or "").startswith("__")
        assert isinstance(node, (ast.Import, ast.ImportFrom)) or _is_docstring(node) or dunder, (
            f"{package}/__init__.py:{node.lineno}: a door only hands names on"
        )


def _around(path: Path) -> list[str]:
    """Imports in `path` that reach into another package past its door."""
    own = ".".join(path.parent.parts)
    found = []
    for node in ast.walk(tree.parsed(path)):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        if node.module in tree.packages():
            continue  # a package's own door, though it lies inside of another package
        package = max(
            (p for p in tree.packages() if node.module.startswith(f"{p}.")), key=len, default=None
        )
        inside = package is None or (own + ".").startswith(f"{package}.")
        top = package in tree.SHIPPED
        if not inside and not top and package not in LOADED_ONE_BY_ONE:
            found.append(f"{path}:{node.lineno}: from {node.module}")
    return found


def test_nobody_reaches_past_a_door() -> None:
    assert [line for path in tree.sources(shipped=True) for line in _around(path)] == []
