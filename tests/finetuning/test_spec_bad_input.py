"""Every wrong fine-tune file is refused at once, with all its mistakes, each at its place.

The cases are in tests/cases/finetune_spec, and the messages in them are whole.
"""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from llmops.errors import Problem, SpecError
from llmops.finetuning import FineTune, generate, parse_finetune, read_finetune
from llmops.spec import schema_of
from tests.spec.cases import CASES as FOLDER
from tests.spec.cases import Case, all_of

CASES = all_of("finetune_spec")
INVALID = [case for case in CASES if case.document.get("schema") == "invalid"]
VALIDATOR = jsonschema.Draft202012Validator(schema_of(FineTune, "finetune.yaml"))


def _told(problem: Problem) -> dict[str, object]:
    return {
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_wrong_file_is_refused_with_everything_that_is_wrong(case: Case) -> None:
    with pytest.raises(SpecError) as caught:
        parse_finetune(case.document["text"])
    assert caught.value.exit_code == 2
    assert [_told(problem) for problem in caught.value.problems] == case.document["problems"]
    for problem in caught.value.problems:
        assert problem.file == "finetune.yaml"
        assert problem.hint, "a problem without a hint leaves the user alone"
        assert len(problem.message) < 300
        for secret in case.document.get("hidden", ()):
            assert secret not in str(problem), f"{secret} is repeated in a message"


def test_there_are_enough_cases_and_each_says_why_it_is_there() -> None:
    assert len(CASES) >= 80
    for case in CASES:
        path = FOLDER / "finetune_spec" / f"{case.name}.yaml"
        assert path.read_text(encoding="utf-8").startswith("# "), f"{path} does not say why"


@pytest.mark.parametrize("case", INVALID, ids=lambda case: case.name)
def test_the_schema_refuses_what_a_schema_can_refuse(case: Case) -> None:
    document = yaml.safe_load(case.document["text"])
    assert not VALIDATOR.is_valid(document), "an editor would call this file right"


def test_the_schema_is_a_schema_and_is_asked_often_enough() -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(FineTune, "finetune.yaml"))
    assert len(INVALID) >= 40


def test_the_generated_files_are_up_to_date() -> None:
    assert generate.stale() == [], f"run {generate.COMMAND}"


def test_an_overlay_is_blamed_in_its_own_file(tmp_path: Path) -> None:
    base, over = tmp_path / "base.yaml", tmp_path / "over.yaml"
    base.write_text(
        "kind: FineTune\nname: style\nmodel: {source: hf://o/n}\n"
        "data: {train: [{source: a.jsonl}]}\nmethod: {kind: full}\n"
    )
    over.write_text("training:\n  strategy: fsdp\n")
    with pytest.raises(SpecError) as caught:
        read_finetune([base, over])
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == (str(over), 2, 13)
