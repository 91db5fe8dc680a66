"""What a plan keeps of its file is enough to plan it again: the same deployment comes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmops.planning import make_plan
from llmops.planning.planner import _asked
from llmops.releases import History, Release, State, dumps, loads
from llmops.spec import Deployment, load
from tests.planning.worlds import make_facts
from tests.spec.cases import Case, all_of


@pytest.mark.parametrize("case", all_of("spec_good"), ids=lambda case: case.name)
def test_a_file_is_the_same_deployment_again(case: Case, tmp_path: Path) -> None:
    deployment = load(case.write(tmp_path))
    stored = json.loads(json.dumps(_asked(deployment)))
    assert Deployment.model_validate(stored) == deployment
    assert _asked(Deployment.model_validate(stored)) == stored


def test_a_record_keeps_it_and_an_older_record_is_read_without_it() -> None:
    document = {"name": "chat", "model": {"source": "hf://owner/model", "context": 512}}
    facts = make_facts()
    plan = make_plan(Deployment.model_validate(document), facts)
    assert plan.asked == document
    assert make_plan(Deployment.model_validate(plan.asked), facts) == plan
    history = History("chat", (Release("chat", 1, plan, State.LIVE, 1.0),))
    text = dumps(history)
    assert loads(text) == history
    older = json.loads(text)
    del older["releases"][0]["plan"]["asked"]
    assert loads(json.dumps(older)).releases[0].plan.asked == {}
