"""A stack by Pulumi's own command: what its configuration must say, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from infra.configured import check_stack, configured
from infra.naming import PROJECT, stack_name
from infra.packages import written
from infra.tags import machines_digest
from llmops.errors import InputError, SpecError
from tests.infra.making import ROOT, SPEC, deployment, planned


def _spec(folder: Path, text: str = SPEC) -> str:
    (folder / "llmops.yaml").write_text(text)
    return "llmops.yaml"


def test_the_spec_is_found_from_the_projects_folder(tmp_path: Path) -> None:
    made = configured(_spec(tmp_path), tmp_path)
    assert made == deployment()


def test_several_files_lie_over_each_other(tmp_path: Path) -> None:
    (tmp_path / "prod.yaml").write_text("target: {spare: 2}\n")
    made = configured(f"{_spec(tmp_path)}, prod.yaml", tmp_path)
    assert made == deployment(spare=2)


@pytest.mark.parametrize("names", [None, ""])
def test_a_configuration_without_a_spec_is_refused(names: str | None, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no llmops:spec") as caught:
        configured(names, tmp_path)
    assert "pulumi config set llmops:spec" in caught.value.hint


def test_a_spec_of_this_machine_is_refused(tmp_path: Path) -> None:
    spec = _spec(tmp_path, "name: chat\nmodel: {source: hf://owner/name}\n")
    with pytest.raises(InputError, match="local has no machines"):
        configured(spec, tmp_path)


def test_a_mistake_is_told_at_its_line(tmp_path: Path) -> None:
    spec = _spec(tmp_path, SPEC.replace("us-east-1", "us-est-1"))
    with pytest.raises(SpecError) as caught:
        configured(spec, tmp_path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (6, "target.region")


def test_a_stack_of_another_name_is_refused() -> None:
    made = deployment()
    check_stack(made, stack_name(made))
    check_stack(made, f"team/{stack_name(made)}")
    with pytest.raises(InputError, match="expected the stack chat-us-east-1"):
        check_stack(made, "production")


def test_the_project_of_both_ways_is_one() -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert (project["name"], project["main"]) == (PROJECT, "infra/")


def test_no_module_hides_one_of_pythons_or_of_a_dependency() -> None:
    """Pulumi puts the folder first on the path: there, `import secrets` would find ours."""
    from importlib.metadata import packages_distributions

    taken = sys.stdlib_module_names | (set(packages_distributions()) - {"infra"})
    ours = {path.stem for path in (ROOT / "infra").iterdir() if path.suffix in ("", ".py")}
    assert not ours & taken


def test_machines_install_this_very_version(tmp_path: Path) -> None:
    files = written(tmp_path, "s3://company/wheels/")
    assert files.wheel.parent == files.lock.parent == tmp_path / files.packages.key
    assert "vllm==" in files.lock.read_text()
    assert files.packages.folder == "s3://company/wheels"
    assert written(tmp_path).packages.key == files.packages.key


def test_a_plan_of_other_machines_has_another_tag() -> None:
    assert machines_digest(planned(deployment())) != machines_digest(planned(deployment(spare=1)))


def test_no_sdk_is_imported_before_a_program_runs() -> None:
    """`llmops plan` must not need Pulumi, nor wait for it."""
    code = "import sys, infra; print({'boto3', 'pulumi', 'pulumi_aws'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
