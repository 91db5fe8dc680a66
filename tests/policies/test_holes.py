"""The table of known holes: dated, sourced, and read as PEP 440 says."""

from __future__ import annotations

import importlib.metadata
from datetime import date

import pytest
from pydantic import ValidationError

from llmops.policies import Hole, known_holes

OURS = {"vllm": "0.32.0", "ray": "2.60.0", "torch": "2.13.0"}
"""What this version is made for (pyproject.toml)."""


def ids(component: str, version: str) -> set[str]:
    return {hole.id for hole in known_holes().of(component, version)}


@pytest.mark.parametrize(
    ("component", "version", "has", "lacks"),
    [
        ("vllm", "0.31.0", "CVE-2026-115911", "CVE-2026-114053"),
        ("vllm", "0.32.0rc1", "CVE-2026-115911", "CVE-2026-114053"),
        ("vllm", "0.32.0", "", "CVE-2026-115911"),
        ("vllm", "0.18.9", "CVE-2026-105757", "CVE-2026-115911"),
        ("vllm", "0.10.2+cu130", "CVE-2025-62164", "CVE-2025-29770"),
        ("ray", "2.55.1", "CVE-2026-57516", "CVE-2026-41486"),
        ("ray", "2.48.0", "CVE-2025-62593", "CVE-2026-41486"),
        ("starlette", "1.0.0", "CVE-2026-48710", ""),
        ("torch", "2.10.0", "CVE-2026-4538", "CVE-2025-32434"),
        ("torch", "2.10.0+cpu", "CVE-2026-4538", "CVE-2025-32434"),
        ("transformers", "5.2.1", "", "CVE-2026-5241"),
    ],
)
def test_a_version_has_the_holes_of_its_range(
    component: str, version: str, has: str, lacks: str
) -> None:
    found = ids(component, version)
    assert not has or has in found
    assert lacks not in found


@pytest.mark.parametrize("version", ["", "main", "0.32.x", "c0ffee"])
def test_what_is_no_version_has_no_known_holes(version: str) -> None:
    assert ids("vllm", version) == set()


@pytest.mark.parametrize(("component", "version"), OURS.items())
def test_what_we_are_made_for_has_none(component: str, version: str) -> None:
    assert ids(component, version) == set()


def test_what_is_installed_here_has_none() -> None:
    for name in ("ray", "starlette", "torch", "transformers"):
        assert ids(name, importlib.metadata.version(name)) == set()


def test_every_entry_is_there_once_and_its_fix_is_outside_of_its_range() -> None:
    table = known_holes()
    assert table.date >= date(2026, 11, 28)
    assert len({(hole.component, hole.id) for hole in table.holes}) == len(table.holes)
    for hole in table.holes:
        assert not hole.fixed or hole.id not in ids(hole.component, hole.fixed), hole.id


@pytest.mark.parametrize(
    "change", [{"affected": "older"}, {"id": "CVE-1"}, {"source": "somewhere"}, {"what": ""}]
)
def test_an_entry_of_another_form_is_refused(change: dict[str, str]) -> None:
    good = known_holes().holes[0].model_dump()
    with pytest.raises(ValidationError):
        Hole.model_validate(good | change)
