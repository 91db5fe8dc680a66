"""What policies set where a spec leaves a default, and what they leave for the review."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.policies import FIELDS, Policy, combined, govern, settings, written
from llmops.policies.plain import at
from llmops.spec import Deployment, loads
from llmops.units import Duration, Replicas
from tests.policies import strategies
from tests.policies.strategies import policy

RANGE = "scaling: {replicas: 1..4}"
AIMS = "scaling: {replicas: 1..4, objective: {ttft: 1s}}"
SPEC = "name: chat\nmodel: {source: 'hf://a/b'}\n"

# Of a policy: path and value; what the spec adds; of the spec: path and what it becomes.
TABLE: list[tuple[str, Any, str, str, Any]] = [
    ("security.limits.requests_per_minute", 60, "", "security.requests_per_minute", 60),
    ("security.limits.requests_per_minute", 6000, "", "security.requests_per_minute", 600),
    ("security.limits.tokens_per_minute", 1000, "", "security.tokens_per_minute", 1000),
    ("security.limits.concurrent_requests", 4, "", "security.concurrent_requests", 4),
    ("security.limits.max_tokens", 100, "", "security.max_tokens", 100),
    ("security.limits.tokens_per_day", 100, "", "security.tokens_per_day", 100),
    ("security.limits.usd_per_month", 5.0, "", "security.usd_per_month", None),
    ("scaling.replicas", Replicas(2, 4), "", "scaling.replicas", Replicas(2, 2)),
    ("scaling.replicas", Replicas(1, 4), "", "scaling.replicas", Replicas(1, 1)),
    ("scaling.replicas", Replicas(2, 4), "scaling: {replicas: 8}", "scaling.replicas",
     Replicas(8, 8)),
    ("scaling.warm", 1, "", "scaling.warm", 0),
    ("scaling.warm", 1, RANGE, "scaling.warm", 1),
    ("scaling.warm", 4, RANGE, "scaling.warm", 0),
    ("scaling.objective.ttft", Duration.parse("2s"), RANGE, "scaling.objective.ttft",
     Duration.parse("2s")),
    ("scaling.objective.tpot", Duration.parse("50ms"), AIMS,
     "scaling.objective.tpot", Duration.parse("50ms")),
    ("scaling.objective.ttft", Duration.parse("50ms"), AIMS,
     "scaling.objective.ttft", Duration.parse("1s")),
    ("maintenance.drain", Duration.parse("10min"), "", "maintenance.drain",
     Duration.parse("10min")),
    ("maintenance.drain", Duration.parse("1min"), "", "maintenance.drain", Duration.parse("5min")),
    ("maintenance.drain", Duration.parse("10min"), "maintenance: {drain: 5min}",
     "maintenance.drain", Duration.parse("5min")),
    ("maintenance.keep_releases", 10, "", "maintenance.keep_releases", "all"),
]  # fmt: skip


@pytest.mark.parametrize(("bound", "value", "added", "path", "becomes"), TABLE)
def test_a_default_becomes_what_the_policy_asks_for_and_what_is_written_stays(
    bound: str, value: Any, added: str, path: str, becomes: Any
) -> None:
    deployment = loads(SPEC + added + "\n")
    governed = govern(deployment, combined([policy("acme", values={bound: value})]))
    assert at(governed, path) == becomes
    if becomes == at(deployment, path):
        assert governed is deployment


def test_a_setting_says_what_was_there_and_whose_it_is() -> None:
    held = combined([
        policy("acme", values={"security.limits.max_tokens": 100}),
        policy("team", values={"security.limits.max_tokens": 100}),
        policy("wide", values={"security.limits.max_tokens": 900}),
    ])  # fmt: skip
    (setting,) = settings(loads(SPEC), held)
    assert (setting.path, setting.value, setting.instead) == ("security.max_tokens", 100, 4096)
    assert setting.policies == ("acme", "team")


def test_bounds_that_leave_nothing_set_nothing() -> None:
    held = combined([
        policy("a", values={"scaling.replicas": Replicas(4, 8)}),
        policy("b", values={"scaling.replicas": Replicas(1, 2)}),
    ])  # fmt: skip
    assert settings(loads(SPEC), held) == ()
    assert not held.decided["scaling.replicas"].admits(Replicas(1, 1))


def test_a_default_that_is_written_out_is_written() -> None:
    deployment = loads(SPEC + "security: {max_tokens: 4096}\n")
    assert written(deployment, "security.max_tokens")
    assert not written(deployment, "security.requests_per_minute")
    assert not written(deployment, "scaling.objective.ttft")
    assert written(deployment, "name")


@given(st.lists(strategies.policies("some"), max_size=3))
def test_what_is_set_is_admitted_and_nothing_else_changes(some: list[Policy]) -> None:
    deployment, held = loads(SPEC), combined(some)
    made = {setting.path: setting for setting in settings(deployment, held)}
    governed = govern(deployment, held)
    for bound, path in FIELDS.items():
        if path in made:
            assert held.decided[bound].admits(at(governed, path))
            assert not held.decided[bound].admits(made[path].instead)
        else:
            assert at(governed, path) == at(deployment, path)
    assert Deployment.model_validate(governed.model_dump(exclude_unset=True)) == governed


@given(st.lists(strategies.policies("some"), max_size=3))
def test_governing_twice_is_governing_once(some: list[Policy]) -> None:
    held = combined(some)
    once = govern(loads(SPEC), held)
    assert govern(once, held) is once
