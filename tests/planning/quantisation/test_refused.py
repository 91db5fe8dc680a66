"""Contradictory and unknown quantisations are refused by name, with a hint."""

from __future__ import annotations

from typing import Any

import pytest

from llmops.planning.quantisation import read
from llmops.planning.refusal import Refusal
from tests.planning.quantisation import cases

REFUSED = cases.of("refused")
LLAMA = cases.architecture("llama-3.1-8b")


def attempt(case: dict[str, Any]) -> None:
    """Read it, and sum it up for a model: some contradictions are seen at a weight only."""
    config = LLAMA | case["config"]
    found = read(config, case.get("files", {}))
    assert found is not None
    cases.stored(LLAMA, found)


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_contradiction_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(Refusal) as caught:
        attempt(case)
    assert case["says"] in caught.value.message
    assert case.get("hint", "") in caught.value.hint
    assert caught.value.hint
    assert caught.value.path == "model.source"
    assert caught.value.message.isprintable()
