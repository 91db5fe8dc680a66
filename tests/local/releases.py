"""Releases for tests of this target: recorded applications of real plans."""

from __future__ import annotations

from typing import Any

from llmops.planning import make_plan
from llmops.releases import Release, State
from llmops.spec.models import Deployment
from tests.planning.worlds import GPU, make_facts

GPUS = {"cores": 8, "memory": "64GiB", "gpus": [{"memory": "80GiB"}, {"memory": "80GiB"}]}


def release(service: str, number: int, *, gpu: bool = False, **sections: Any) -> Release:
    """A release of SmolLM2-135M as `service`; sections as in a file."""
    document = {"name": service, "model": {"source": "hf://owner/model"}} | sections
    facts = make_facts(machine=GPUS, engine=GPU) if gpu else make_facts()
    plan = make_plan(Deployment.model_validate(document), facts)
    return Release(service, number, plan, State.LIVE, 0.0)
