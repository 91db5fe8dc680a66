"""The licence of a model is recorded with its plan, and an older record has none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from llmops.planning import make_plan
from llmops.releases import History, Release, State, dumps, loads
from llmops.spec.models import Deployment
from tests.planning.worlds import make_facts


@pytest.mark.parametrize("licence", ["apache-2.0", ""])
def test_a_record_keeps_the_licence_that_was_looked_up(licence: str) -> None:
    facts = make_facts()
    facts = replace(facts, model=replace(facts.model, licence=licence))
    spec = {"name": "chat", "model": {"source": "hf://owner/model"}}
    plan = make_plan(Deployment.model_validate(spec), facts)
    history = History("chat", (Release("chat", 1, plan, State.LIVE, 0.0),))
    [kept] = loads(dumps(history)).releases
    assert kept.plan.model.licence == licence


def test_a_record_of_an_older_version_has_none() -> None:
    plan = make_plan(
        Deployment.model_validate({"name": "chat", "model": {"source": "hf://owner/model"}}),
        make_facts(),
    )
    document = json.loads(dumps(History("chat", (Release("chat", 1, plan, State.LIVE, 0.0),))))
    del document["releases"][0]["plan"]["model"]["licence"]
    [kept] = loads(json.dumps(document)).releases
    assert kept.plan.model.licence is None
