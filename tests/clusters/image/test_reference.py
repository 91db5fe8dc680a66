"""Names of images are read as builders and nodes read them; the cases are data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.image import parse_reference
from clusters.image.reference import on_loopback
from llmops.errors import InputError

CASES = Path(__file__).parents[2] / "cases" / "images"
KNOWN: dict[str, Any] = yaml.safe_load((CASES / "references.yaml").read_text())


@pytest.mark.parametrize("case", KNOWN["good"], ids=lambda case: case["text"][:60])
def test_a_name_is_read_and_printed_whole(case: dict[str, str]) -> None:
    found = parse_reference(case["text"])
    assert str(found) == case["whole"]
    assert found.host == case.get("host", found.registry)
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize("case", KNOWN["bad"], ids=lambda case: case["text"][:60])
def test_a_name_that_no_registry_knows_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(InputError) as refusal:
        parse_reference(case["text"])
    assert case["says"] in refusal.value.message


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.9:5000", True),
        ("[::1]:5000", True),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com:80", False),
        ("10.0.0.1:5000", False),
        ("registry.example.com", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, local: bool) -> None:
    assert on_loopback(host) is local
