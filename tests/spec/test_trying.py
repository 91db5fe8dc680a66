"""A deploy that is tried on some of its traffic first, whatever its file says."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from llmops.spec import loads, on_some_traffic

SPEC = "name: chat\nmodel: {source: hf://owner/name, context: 2048}\n"


@pytest.mark.parametrize(
    "maintenance",
    ["", "maintenance: {strategy: rolling, drain: 20s}\n", "maintenance: {strategy: recreate}\n"],
)
def test_nothing_but_the_way_of_its_traffic_changes(maintenance: str) -> None:
    asked = loads(SPEC + maintenance)
    made = on_some_traffic(asked, 10)
    assert (made.maintenance.strategy, made.maintenance.canary.steps) == ("canary", (10,))
    assert made.maintenance.drain == asked.maintenance.drain
    assert made.model_copy(update={"maintenance": asked.maintenance}) == asked


def test_what_a_canary_of_the_file_says_else_stays() -> None:
    asked = loads(SPEC + "maintenance: {strategy: canary, canary: {steps: [5, 50], watch: 3min}}\n")
    made = on_some_traffic(asked, 20)
    assert made.maintenance.canary.steps == (20,)
    assert made.maintenance.canary.watch == asked.maintenance.canary.watch


def test_a_share_that_none_may_have_is_refused() -> None:
    with pytest.raises(ValidationError):
        on_some_traffic(loads(SPEC), 0)
