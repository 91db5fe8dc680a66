"""Policy files: a wrong one is refused with all its mistakes, each at its place, with a way out.

The cases are in tests/cases/policy_files (wrong) and tests/cases/policy_files_good.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from llmops.errors import InputError, SpecError
from llmops.policies import POLICY, Policy, generate, parse_policy, read_policies, read_policy
from llmops.spec import fields, schema_of
from llmops.spec.nodes import find, trail_of
from tests.docs.pages import ROOT, blocks
from tests.spec.cases import Case, all_of

BAD = all_of("policy_files")
GOOD = all_of("policy_files_good")
SMALLEST = "kind: Policy\nname: {name}\n"


def _text(case: Case) -> str:
    return str(case.document["text"])


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_wrong_policy_is_refused_with_everything_that_is_wrong(case: Case) -> None:
    with pytest.raises(SpecError) as caught:
        parse_policy(_text(case), "policy.yaml")
    problems = caught.value.problems
    wanted: list[dict[str, Any]] = case.document["problems"]
    assert [(p.file, p.line, p.column, p.path) for p in problems] == [
        ("policy.yaml", w["line"], w["column"], w["path"]) for w in wanted
    ]
    for problem, expected in zip(problems, wanted, strict=True):
        assert expected["message"] == problem.message
        assert expected["hint"] == problem.hint
        assert problem.hint, "a problem without a hint leaves the user alone"


def test_there_are_enough_cases_and_each_says_why_it_is_there() -> None:
    assert len(BAD) >= 35
    for case in (*BAD, *GOOD):
        folder = "policy_files" if case in BAD else "policy_files_good"
        path = Path(__file__).parents[1] / "cases" / folder / f"{case.name}.yaml"
        assert path.read_text(encoding="utf-8").startswith("# "), f"{path} does not say why"


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.name)
def test_a_good_policy_is_read_and_taken_by_the_schema(case: Case) -> None:
    policy = parse_policy(_text(case), "policy.yaml").value
    validator = jsonschema.Draft202012Validator(schema_of(Policy, "policy.yaml"))
    validator.validate(yaml.safe_load(_text(case)))
    dumped = policy.model_dump(mode="json", exclude_unset=True)
    validator.validate(dumped)
    assert parse_policy(yaml.safe_dump(dumped), "again").value == policy


def test_one_good_case_has_every_field() -> None:
    everything = next(case for case in GOOD if case.name == "everything")
    placed = parse_policy(_text(everything), "policy.yaml")
    for doc in fields(Policy):
        trail = trail_of(doc.path.replace("[]", "[0]"))
        assert find(placed.root, trail) is not None, doc.path


def test_every_field_is_explained_with_its_own_sentence() -> None:
    for doc in fields(Policy):
        assert doc.doc.endswith("."), doc.path
        assert doc.type, doc.path


def test_each_file_is_one_policy_and_a_directory_stands_for_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "b.yaml").write_text(SMALLEST.format(name="team"))
    (folder / "a.yml").write_text(SMALLEST.format(name="acme"))
    (folder / "README.md").write_text("no policy\n")
    alone = tmp_path / "own.yaml"
    alone.write_text(SMALLEST.format(name="own"))
    read = read_policies([folder, alone])
    assert [placed.value.name for placed in read] == ["acme", "team", "own"]
    assert read[0].where("name") == (str(folder / "a.yml"), 2, 7)
    assert read_policy(alone).value.name == "own"


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"kind: Policy\nname: {name}\nsecurty: {{}}\n")
    with pytest.raises(SpecError) as caught:
        read_policies([tmp_path])
    assert [Path(problem.file).name for problem in caught.value.problems] == ["a.yaml", "b.yaml"]


def test_two_files_may_not_give_one_name(tmp_path: Path) -> None:
    for file in ("a.yaml", "b.yaml"):
        (tmp_path / file).write_text(SMALLEST.format(name="acme"))
    with pytest.raises(SpecError) as caught:
        read_policies([tmp_path])
    (problem,) = caught.value.problems
    assert Path(problem.file).name == "b.yaml"
    assert "found 'acme' again (first in" in problem.message


def test_a_directory_without_policies_and_a_missing_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a directory with policy files"):
        read_policies([tmp_path])
    with pytest.raises(InputError) as caught:
        read_policies([tmp_path / "none.yaml"])
    assert caught.value.hint == POLICY.absent


def test_the_generated_files_are_up_to_date() -> None:
    assert generate.stale() == [], f"run {generate.COMMAND}"


def test_the_page_shows_a_policy_that_is_right() -> None:
    page = ROOT / "docs" / "reference" / "policy.md"
    shown = [block for block in blocks(page) if block.language == "yaml"]
    assert shown
    for block in shown:
        assert parse_policy(block.text, str(block)).value.name == "acme"


def test_a_stale_file_is_named_with_the_command_that_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate.main([], tmp_path) == 0
    capsys.readouterr()
    (tmp_path / "docs" / "reference" / "policy.md").write_text("by hand\n")
    assert generate.main(["--check"], tmp_path) == 1
    told = capsys.readouterr().err
    assert "docs/reference/policy.md" in told
    assert generate.COMMAND in told
    assert "schema.json" not in told
