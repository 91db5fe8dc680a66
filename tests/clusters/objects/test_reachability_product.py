"""Who reaches what by the policies that are made: the table in tests/cases/objects/reach.yaml.

It holds of what the policies say. Enforcing them is the network plugin's, which is not shown.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import yaml

from clusters import names
from clusters.model import ServiceState
from clusters.objects import surroundings
from tests.clusters.objects import states
from tests.clusters.reachability import Place, Policy, Port, allowed, policies_of

DOCUMENT = yaml.safe_load((states.CASES / "reach.yaml").read_text())
REASONS = (
    "-dns", "-door", "-api-server", "-operator", "-monitoring", "-ray",
    "-weights", "-redis", "-autoscaler",
)  # fmt: skip
OF_BEFORE, SECOND, OTHER = " of before", " 2", "other "


@cache
def _state(name: str) -> ServiceState:
    return states.state(name)


@cache
def _policies(name: str) -> tuple[Policy, ...]:
    return tuple(policies_of(surroundings(_state(name))))


def _place(name: str, state: ServiceState) -> Place:
    role = name.removeprefix(OTHER).removesuffix(OF_BEFORE).removesuffix(SECOND)
    if role in names.ROLES:
        return _pod(name, role, state)
    described = dict(DOCUMENT["places"][name])
    if described.get("namespace") == "NAMESPACE":
        described["namespace"] = state.namespace
    return Place(**described)


def _pod(name: str, role: str, state: ServiceState) -> Place:
    """A pod with the labels of its runtime; every pod with an address of its own."""
    runtime = state.runtimes[0 if name.endswith(OF_BEFORE) else -1]
    service = "other" if name.startswith(OTHER) else state.service
    last = 1 + sum(name.encode()) % 250
    return Place(
        ip=f"10.8.0.{last}",
        namespace=state.namespace,
        labels={names.SERVICE: service, names.RUNTIME: runtime.id, names.ROLE: role},
    )


def _rows(answer: str) -> list[tuple[str, list[Any]]]:
    return [(case["case"], row) for case in DOCUMENT["cases"] for row in case[answer]]


def _reaches(name: str, row: list[Any]) -> bool:
    state = _state(name)
    source, target, *port = row
    return allowed(_place(source, state), _place(target, state), Port(*port), _policies(name))


@pytest.mark.parametrize(("name", "row"), _rows("open"), ids=str)
def test_what_is_needed_is_reached(name: str, row: list[Any]) -> None:
    assert _reaches(name, row)


@pytest.mark.parametrize(("name", "row"), _rows("shut"), ids=str)
def test_nothing_else_is_reached(name: str, row: list[Any]) -> None:
    assert not _reaches(name, row)


@pytest.mark.parametrize("name", states.names())
def test_every_case_of_a_tree_is_in_the_table(name: str) -> None:
    assert name in [case["case"] for case in DOCUMENT["cases"]]


def test_the_default_alone_shuts_every_way_of_the_table() -> None:
    for name, (source, target, *port) in _rows("open"):
        state = _state(name)
        deny = [p for p in _policies(name) if p["metadata"]["name"] == f"{state.service}-deny"]
        assert len(deny) == 1
        assert not allowed(_place(source, state), _place(target, state), Port(*port), deny)


@pytest.mark.parametrize("reason", REASONS)
def test_without_a_policy_something_of_the_table_is_shut(reason: str) -> None:
    """So each is needed, and the table shows it."""
    assert any(
        not allowed(_place(source, state), _place(target, state), Port(*port), rest)
        for name, (source, target, *port) in _rows("open")
        for state in [_state(name)]
        for rest in [[p for p in _policies(name) if not p["metadata"]["name"].endswith(reason)]]
    )


def test_every_policy_is_one_of_the_reasons() -> None:
    found = {p["metadata"]["name"] for name in states.names() for p in _policies(name)}
    assert {name for name in found if not name.endswith((*REASONS, "-deny"))} == set()
