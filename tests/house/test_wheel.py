"""The wheel carries what it must and no more, and runs on the light dependencies alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.house import tree

HEAVY = {"ray", "vllm", "torch", "transformers", "huggingface_hub", "starlette", "uvicorn"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend that the lock pins."""
    into = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)]
    done = subprocess.run(command, cwd=tree.ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return next(into.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of its own: the wheel, and what its base dependencies need, nothing else.

    The distributions are linked from this environment, since no index may be asked here.
    """
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in _needed("llmops", set()):
        _link(name, site)
    return site


def _needed(name: str, seen: set[str]) -> set[str]:
    """Distributions that `name` needs without extras, by name; without itself."""
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if (marker and not marker.evaluate({"extra": ""})) or requirement.name in seen:
            continue
        try:
            distribution(requirement.name)
        except PackageNotFoundError:
            continue
        seen.add(requirement.name)
        _needed(requirement.name, seen)
    return seen


def _link(name: str, site: Path) -> None:
    found = distribution(name)
    tops = {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}
    for top in tops - {"__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(found.locate_file(top))))


def _run(site: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-P", "-c", code, *arguments],
        cwd=site,
        env={"PYTHONPATH": str(site), "HOME": str(site), "LLMOPS_HOME": str(site / "state")},
        capture_output=True,
        text=True,
        timeout=60,
    )


MAIN = "import sys; sys.argv[0] = 'llmops'; from cli.main import main; main()"


def test_the_wheel_carries_the_program_and_its_schema_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(tree.SHIPPED)
    assert "llmops/spec/llmops.schema.json" in names
    assert not [name for name in names if "/test_" in name or "/tests/" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_base_install_stays_light() -> None:
    needed = {name.lower().replace("-", "_") for name in _needed("llmops", set())}
    assert needed & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["validate", "spec.yaml"]])
def test_the_base_install_runs_without_an_engine(clean: Path, arguments: list[str]) -> None:
    demo = (tree.ROOT / "examples" / "demo" / "llmops.yaml").read_text()
    (clean / "spec.yaml").write_text(demo)
    done = _run(clean, MAIN, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("arguments", [["doctor"], ["plan", "-f", "spec.yaml"]])
def test_a_verb_that_needs_the_engine_says_so(clean: Path, arguments: list[str]) -> None:
    demo = (tree.ROOT / "examples" / "demo" / "llmops.yaml").read_text()
    (clean / "spec.yaml").write_text(demo)
    done = _run(clean, MAIN, *arguments)
    assert done.returncode in (1, 2)
    assert "no engine is installed" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["status"], ["history", "absent"]])
def test_a_verb_that_only_looks_needs_no_engine(clean: Path, arguments: list[str]) -> None:
    done = _run(clean, MAIN, *arguments)
    assert "unexpected" not in done.stderr
    assert "deployed here" in done.stdout or "no service 'absent'" in done.stderr


def test_the_clean_site_really_has_no_engine(clean: Path) -> None:
    done = _run(clean, "import ray")
    assert "ModuleNotFoundError" in done.stderr
