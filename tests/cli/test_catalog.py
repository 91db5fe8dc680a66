"""`llmops catalog` as a user runs it: what is listed is what was asked for."""

from __future__ import annotations

import json

import pytest

from cli.app import run


def _listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, list[str]]:
    with pytest.raises(SystemExit) as end:
        run(["catalog", "list", *arguments, "-o", "json"])
    assert not end.value.code
    found = json.loads(capsys.readouterr().out)
    return {kind: [entry["name"] for entry in entries] for kind, entries in found.items()}


def test_accelerators_of_a_provider_are_those_that_it_offers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = _listed(capsys, "--kind", "accelerators", "--provider", "aws")
    assert "H100-SXM" in found["accelerators"]
    assert not {"MI300X", "TPU-v5e", "GH200-96"} & set(found["accelerators"])
    assert found["offers"] == []
    none = _listed(capsys, "--kind", "accelerators", "--provider", "aws", "--gpu", "MI300X")
    assert none["accelerators"] == []
