"""The JSON Schema for editors says what the program says, as far as a schema can."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from llmops.spec import generate, load
from llmops.spec.schema import schema
from tests.house import tree
from tests.spec.cases import NAME, Case, all_of

BAD = [case for case in all_of("spec") if case.document.get("schema") == "invalid"]
GOOD = all_of("spec_good")
VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert len(BAD) >= 40, "too few cases say that a schema must refuse them"


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_the_schema_refuses_what_a_schema_can_refuse(case: Case) -> None:
    document = yaml.safe_load(case.files[NAME])
    assert not VALIDATOR.is_valid(document), "an editor would call this file right"


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_the_schema_takes_what_the_program_takes(case: Case, tmp_path: Path) -> None:
    deployment = load(case.write(tmp_path))
    VALIDATOR.validate(deployment.model_dump(mode="json", exclude_unset=True))


@pytest.mark.parametrize("path", sorted(tree.ROOT.glob("examples/*/llmops.yaml")), ids=str)
def test_the_schema_takes_the_examples(path: Path) -> None:
    VALIDATOR.validate(yaml.safe_load(path.read_text()))


def test_the_generated_files_are_up_to_date() -> None:
    assert generate.stale() == [], f"run {generate.COMMAND}"


def test_a_stale_file_is_named_with_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0
    capsys.readouterr()
    page = tmp_path / "docs" / "reference" / "spec.md"
    page.write_text(page.read_text() + "by hand\n")
    assert generate.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err
    assert "docs/reference/spec.md" in told
    assert "python -m llmops.spec.generate" in told
    assert "schema.json" not in told
    assert generate.main([], tmp_path) == 0
    assert capsys.readouterr().out == "wrote docs/reference/spec.md\n"
    assert generate.main([], tmp_path) == 0
    assert capsys.readouterr().out == "", "the second run must find nothing to write"


def test_a_missing_file_is_stale_and_an_unknown_option_is_refused(tmp_path: Path) -> None:
    assert generate.main(["--check"], tmp_path) == 1
    assert generate.main(["--chekc"], tmp_path) == 2
    assert not list(tmp_path.iterdir())
