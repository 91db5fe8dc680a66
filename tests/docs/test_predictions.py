"""The page of predictions covers every case, and admits of no difference where none may be."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "predictions.md"
HINT = "python -m benchmarks.predictions writes it anew"


@pytest.mark.parametrize("kind", ["predictions", "architectures", "gpu_memory"])
def test_the_page_has_a_row_for_each_case(kind: str) -> None:
    rows = {line.split("|")[1].strip(" `") for line in PAGE.read_text().splitlines() if "|" in line}
    missing = [path.stem for path in (ROOT / "tests" / "cases" / kind).glob("*.yaml")
               if path.stem not in rows]  # fmt: skip
    assert not missing, HINT


def test_nothing_on_the_page_differs_from_an_engine() -> None:
    different = [line for line in PAGE.read_text().splitlines() if "**differs**" in line]
    assert not different, HINT
