"""Right files load, whatever of YAML they use; what they say is what the Deployment holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmops.spec import load, loads
from tests.spec.cases import Case, all_of


def _at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document[key]
    return document


@pytest.mark.parametrize("case", all_of("spec_good"), ids=lambda case: case.name)
def test_a_right_file_loads(case: Case, tmp_path: Path) -> None:
    document = load(case.write(tmp_path)).model_dump(mode="json")
    for path, value in case.document["expect"].items():
        assert _at(document, path) == value, path


def test_a_text_loads_as_its_file_does(tmp_path: Path) -> None:
    text = "name: chat\nmodel: {source: hf://owner/name}\n"
    path = tmp_path / "llmops.yaml"
    path.write_text(text)
    assert loads(text) == load([path])
