"""Every wrong file is refused at once, with all its mistakes, each at its place and with a way out.

The cases are in tests/cases/spec: what is wrong is written there, and no Python is needed for more.
"""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from llmops.errors import Problem, SpecError
from llmops.spec import load
from tests.effort import effort
from tests.spec.cases import Case, all_of

CASES = all_of("spec")
SECONDS = 2.0
JARGON = re.compile(
    r"pydantic|validation error|Input should be|Traceback|_type\b|_error\b|extra_forbidden|dict\b"
    r"|NoneType|Literal\[|function-|object at 0x|any token|MappingStart|<[a-z ]+>"
)


def _refused(case: Case, folder: Path) -> tuple[tuple[Problem, ...], float]:
    paths = case.write(folder)
    with effort() as spent, pytest.raises(SpecError) as caught:
        load(paths)
    assert caught.value.exit_code == 2
    return caught.value.problems, spent.seconds


def _place(problem: Problem) -> tuple[str, int, int, str]:
    return Path(problem.file).name, problem.line, problem.column, problem.path


def _expected_place(case: Case, wanted: dict[str, Any]) -> tuple[str, int, int, str]:
    name = wanted.get("file", next(iter(case.files)))
    return name, wanted["line"], wanted["column"], wanted["path"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_file_is_refused_with_everything_that_is_wrong(case: Case, tmp_path: Path) -> None:
    problems, seconds = _refused(case, tmp_path)
    assert seconds < SECONDS, f"took {seconds:.1f} s of the processor"
    wanted = case.document["problems"]
    assert [_place(p) for p in problems] == [_expected_place(case, w) for w in wanted]
    for problem, expected in zip(problems, wanted, strict=True):
        assert expected["message"] in problem.message
        assert expected["hint"] in problem.hint
        _is_for_people(problem)
        for secret in case.document.get("hidden", ()):
            assert secret not in str(problem), f"{secret} is repeated in a message"


def _is_for_people(problem: Problem) -> None:
    text = f"{problem.message} {problem.hint}"
    assert not JARGON.search(text), f"a word of the machinery in: {text}"
    assert text.isprintable(), "a message must not carry what cannot be shown"
    assert len(problem.message) < 300
    assert not problem.message.endswith(".")


def test_there_are_enough_cases_and_each_says_why_it_is_there() -> None:
    assert len(CASES) >= 80
    for case in CASES:
        path = Path(__file__).parents[1] / "cases" / "spec" / f"{case.name}.yaml"
        assert path.read_text(encoding="utf-8").startswith("# "), f"{path} does not say why"
        for problem in case.document["problems"]:
            assert problem["message"], f"{path}: a problem without a message proves nothing"
            assert problem["hint"], f"{path}: a problem without a hint leaves the user alone"


@pytest.mark.parametrize(
    "name", ["text-too-large", "yaml-alias-bomb", "yaml-merge-bomb", "yaml-deep-flow"]
)
def test_a_hostile_file_takes_little_memory(name: str, tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == name)
    paths = case.write(tmp_path)
    tracemalloc.start()
    try:
        with pytest.raises(SpecError):
            load(paths)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * 2**20, f"{peak / 2**20:.0f} MiB"


def test_a_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(SpecError, match="expected at most 1MiB"):
        load([Path("/dev/zero")])


def test_the_error_shows_each_problem_as_file_line_column_path_and_hint(tmp_path: Path) -> None:
    path = tmp_path / "llmops.yaml"
    path.write_text("name: Chat\nmodel: {source: hf://owner/name, contxt: 1}\n")
    with pytest.raises(SpecError) as caught:
        load([path])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{path}:1:7: name: expected a name of at most 40")
    assert lines[1] == "hint: did you mean 'chat'?"
    assert lines[2] == f"{path}:2:34: model.contxt: unknown key 'contxt'"
    assert lines[3] == "hint: did you mean 'context'?"
    assert len(lines) == 4
