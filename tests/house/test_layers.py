"""The import contract holds, and it bites: an import against the stream is found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import tree


def _lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(
        command, cwd=root, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=90
    )


def _copy(into: Path) -> Path:
    for package in tree.SHIPPED:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(tree.ROOT / package, into / package, ignore=ignore)
    shutil.copy(tree.ROOT / "pyproject.toml", into)
    return into


def test_imports_flow_one_way() -> None:
    found = _lint(tree.ROOT)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("llmops/units.py", "import httpx"),
        ("llmops/planning/planner.py", "import llmops.workflow"),
        ("serving/gateway/app.py", "import ray"),
        ("serving/local/target.py", "import vllm"),
        ("cli/__init__.py", "import serving.gateway"),
    ],
)
def test_an_import_against_the_stream_is_found(tmp_path: Path, module: str, forbidden: str) -> None:
    root = _copy(tmp_path)
    with (root / module).open("a") as file:
        file.write(f"\n{forbidden}\n")
    found = _lint(root)
    assert found.returncode != 0, f"{forbidden} in {module} was not found:\n{found.stdout}"
    assert "BROKEN" in found.stdout
