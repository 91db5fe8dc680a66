"""A wrong file of a user's is refused at once, each mistake at its place and with a way out.

The cases are in tests/cases/catalog/bad: a new one needs no Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.catalog import Catalogue, load_catalogue
from llmops.errors import InputError, Problem, SpecError
from llmops.spec import read_text
from tests.effort import effort
from tests.spec.test_bad_input import JARGON

CASES = sorted((Path(__file__).parents[1] / "cases" / "catalog" / "bad").glob("*.yaml"))
SECONDS = 2.0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_wrong_file_is_refused_with_everything_that_is_wrong(case: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(case.read_text(encoding="utf-8"))
    file = tmp_path / "catalog.yaml"
    file.write_text(document["text"])
    with effort() as spent, pytest.raises(SpecError) as caught:
        load_catalogue([file])
    assert spent.seconds < SECONDS
    told = [
        {"line": p.line, "column": p.column, "path": p.path, "message": p.message, "hint": p.hint}
        for p in caught.value.problems
    ]
    assert told == document["problems"]
    assert {p.file for p in caught.value.problems} == {str(file)}
    for problem in caught.value.problems:
        assert problem.hint, f"no way out of: {problem}"
        assert not JARGON.search(f"{problem.message} {problem.hint}"), problem


def test_there_are_enough_cases_and_each_says_why_it_is_there() -> None:
    assert len(CASES) >= 30
    for case in CASES:
        assert case.read_text(encoding="utf-8").startswith("# "), f"{case} does not say why"


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file, found") as caught:
        load_catalogue([tmp_path / name])
    assert caught.value.hint


def test_the_second_of_two_files_is_read_beside_what_the_first_adds(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    source = "source: s\nsources: {s: {title: t, url: 'https://example.com', date: '2026-01-01'}}\n"
    first.write_text(source + "accelerators: {Mine: {vendor: intel, memory: 64GiB}}\n")
    second.write_text("offers: {own/box: {accelerator: mine, count: 2}}\n")
    known = load_catalogue([first, second])
    assert known.offers[-1].accelerator == "Mine"
    with pytest.raises(SpecError, match="expected an accelerator of the catalogue, found 'mine'"):
        load_catalogue([second, first])


words = st.sampled_from(
    ["accelerators", "offers", "sources", "source", "cited", "own/rack", "x/y", "H100-SXM", "Mine",
     "memory", "count", "prices", "us", "on_demand", "80GiB", "8", "-1", "nvidia", "~", "[]", "{}",
     "title", "url", "date", "'2026-01-01'", "vendor", "accelerator", "flops", "bf16", "1TFLOPS"]
)  # fmt: skip
trees = st.recursive(
    words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4)
)


def _flow(tree: Any) -> str:
    if isinstance(tree, list):
        return f"[{', '.join(_flow(item) for item in tree)}]"
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in tree.items()) + "}"
    return str(tree)


@settings(max_examples=200, deadline=None)
@given(trees)
def test_no_file_breaks_the_loader(tree: Any) -> None:
    from llmops.catalog.loader import document

    problems: tuple[Problem, ...] = ()
    try:
        read_text(document({"h100-sxm": "H100-SXM"}), _flow(tree), "catalog.yaml")
    except SpecError as error:
        problems = error.problems
    assert all(problem.hint for problem in problems)


def test_what_is_refused_leaves_the_shipped_catalogue_whole(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("offers: {own/rack: {accelerator: nothing, count: 1}}\n")
    with pytest.raises(SpecError):
        load_catalogue([file])
    known = load_catalogue()
    assert isinstance(known, Catalogue)
    assert known.accelerator("nothing") is None
