"""Several policies as one: the strictest value of each field, and who decided it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops.policies import APART, WAYS, Layer, Policy, combined, effective, matches
from llmops.policies.layers import applies
from llmops.policies.model import AppliesTo
from llmops.spec import BareMetalTarget, fields, loads
from llmops.units import Duration, Replicas
from tests.policies import strategies
from tests.policies.strategies import policy

ORG, PROJECT, SERVICE = Layer
LOCAL = "name: chat\nmodel: {source: 'hf://a/b'}\n"
CLUSTER = LOCAL + (
    "image: 'r.example/i@sha256:" + "0" * 64 + "'\ntarget: {kind: kubernetes, namespace: team-a}\n"
)
HOSTS = LOCAL + "target: {kind: bare_metal, cluster: cluster.yaml, store: 's3://b/p'}\n"

# Path; what the organisation, the project and the service say; what holds; who decides.
TABLE: list[tuple[str, list[Any], Any, str]] = [
    ("security.limits.max_tokens", [4096, 1024, 2048], 1024, "project"),
    ("security.limits.max_tokens", [1024, 1024, 2048], 1024, "organisation project"),
    ("security.pinned", [False, True, False], True, "project"),
    ("security.pinned", [False, False, None], False, "organisation project"),
    ("security.remote_code", [True, None, False], False, "service"),
    ("security.exposure", ["internet", "network", "internet"], "network", "project"),
    ("security.exposure", ["machine", None, "internet"], "machine", "organisation"),
    ("security.known_holes", ["warn", "refuse", None], "refuse", "project"),
    ("security.tenants", ["together", None, "apart"], "apart", "service"),
    ("security.sources", [("a", "b"), None, ("b",)], (("a", "b"), ("b",)), "organisation service"),
    ("scaling.replicas", [Replicas(1, 8), Replicas(2, 9), None], Replicas(2, 8),
     "organisation project"),
    ("scaling.replicas", [Replicas(1, 8), Replicas(2, 4), Replicas(1, 9)], Replicas(2, 4),
     "project"),
    ("scaling.replicas", [Replicas(4, 8), Replicas(1, 2), None], Replicas(4, 2),
     "organisation project"),
    ("scaling.scale_to_zero", [True, False, True], False, "project"),
    ("scaling.warm", [1, None, 2], 2, "service"),
    ("maintenance.drain", [Duration.parse("5min"), Duration.parse("10min"), None],
     Duration.parse("10min"), "project"),
    ("maintenance.strategies", [("rolling", "canary"), ("canary", "recreate"), None], ("canary",),
     "organisation project"),
    ("maintenance.strategies", [("rolling",), ("canary",), None], (), "organisation project"),
    ("maintenance.keep_releases", [5, 3, None], 5, "organisation"),
    ("budget.usd_per_hour", [10.0, 12.0, 9.5], 9.5, "service"),
]  # fmt: skip


def _three(path: str, values: list[Any]) -> list[Policy]:
    return [
        policy(str(layer), layer, {} if value is None else {path: value})
        for layer, value in zip(Layer, values, strict=True)
    ]


@pytest.mark.parametrize(("path", "values", "holds", "deciders"), TABLE)
def test_the_strictest_value_holds_and_those_who_said_it_are_named(
    path: str, values: list[Any], holds: Any, deciders: str
) -> None:
    for policies in (_three(path, values), _three(path, values)[::-1]):
        decided = combined(policies).decided[path]
        assert decided.value == holds
        assert [one.policy for one in decided.deciders] == deciders.split()
        assert [one.value for one in decided.said] == [v for v in values if v is not None]


def test_every_field_of_a_policy_is_combined_or_holds_by_itself() -> None:
    leaves = {doc.path for doc in fields(Policy) if not doc.section and "[]" not in doc.path}
    about = {"apiVersion", "kind", "name", "layer"}
    bounds = {path for path in leaves - about if not path.startswith("applies_to.")}
    assert bounds == {*WAYS, *APART}


def test_a_field_that_no_policy_names_is_not_bounded() -> None:
    held = combined([policy("acme")])
    assert held.decided == {}
    assert held.value("security.pinned") is None
    assert held.said("security.pinned") == ()


def test_calendars_rules_and_waivers_are_said_and_not_combined() -> None:
    text = {"maintenance": {"windows": ["Sun 02:00-04:00"]}}
    one = Policy.model_validate({"kind": "Policy", "name": "a", **text})
    other = Policy.model_validate({"kind": "Policy", "name": "b", "layer": "service", **text})
    held = combined([other, one])
    assert "maintenance.windows" not in held.decided
    assert [said.policy for said in held.said("maintenance.windows")] == ["a", "b"]
    assert held.policies == (one, other)


@pytest.mark.parametrize(
    ("to", "spec", "is_about"),
    [
        ({}, LOCAL, True),
        ({"services": ("chat",)}, LOCAL, True),
        ({"services": ("ch*",)}, LOCAL, True),
        ({"services": ("chatty", "sup*")}, LOCAL, False),
        ({"targets": ("local",)}, LOCAL, True),
        ({"targets": ("kubernetes",)}, LOCAL, False),
        ({"targets": ("kubernetes",)}, CLUSTER, True),
        ({"namespaces": ("team-*",)}, CLUSTER, True),
        ({"namespaces": ("default",)}, CLUSTER, False),
        ({"namespaces": ("*",)}, LOCAL, False),
        ({"services": ("*",), "namespaces": ("team-a",)}, CLUSTER, True),
        ({"services": ("x",), "namespaces": ("team-a",)}, CLUSTER, False),
        ({"targets": ("bare_metal",)}, HOSTS, True),
        ({"targets": ("local",)}, HOSTS, False),
    ],
)  # fmt: skip
def test_a_policy_is_about_what_all_of_its_lists_name(
    to: dict[str, Any], spec: str, is_about: bool
) -> None:
    assert applies(AppliesTo(**to), loads(spec)) is is_about


def test_policies_about_others_are_left_out() -> None:
    own, other = policy("own", ORG, {"security.pinned": True}), policy("other", ORG)
    other = other.model_copy(update={"applies_to": AppliesTo(services=("support",))})
    held = effective([other, own], loads(LOCAL))
    assert held.policies == (own,)


@given(
    st.lists(strategies.policies("some"), max_size=3),
    strategies.policies("another"),
    st.sampled_from(sorted(WAYS)),
    st.data(),
)
def test_a_layer_more_never_allows_more(
    some: list[Policy], another: Policy, path: str, data: st.DataObject
) -> None:
    asked = data.draw(strategies.asked(path))
    before, after = combined(some), combined([*some, another])
    if path in after.decided and after.decided[path].admits(asked):
        assert path not in before.decided or before.decided[path].admits(asked)
        alone = combined([another])
        assert path not in alone.decided or alone.decided[path].admits(asked)


@given(st.lists(strategies.policies("some"), min_size=1, max_size=3), st.data())
def test_what_each_policy_admits_all_of_them_admit_together(
    some: list[Policy], data: st.DataObject
) -> None:
    held = combined(some)
    for path, decided in held.decided.items():
        asked = data.draw(strategies.asked(path))
        alone = [combined([one]).decided.get(path) for one in some]
        assert decided.admits(asked) == all(one is None or one.admits(asked) for one in alone)


@given(st.lists(strategies.policies("some"), max_size=3), st.randoms())
def test_the_order_of_policies_makes_no_difference(some: list[Policy], random: Any) -> None:
    named = [one.model_copy(update={"name": f"p{at}"}) for at, one in enumerate(some)]
    shuffled = list(named)
    random.shuffle(shuffled)
    assert combined(named) == combined(shuffled)


@given(st.lists(strategies.policies("some"), min_size=1, max_size=3))
def test_somebody_has_decided_whatever_holds(some: list[Policy]) -> None:
    for decided in combined(some).decided.values():
        assert decided.deciders
        assert set(decided.deciders) <= set(decided.said)


@pytest.mark.parametrize(
    ("name", "pattern", "is_match"),
    [
        ("hf://a/b", "hf://a/*", True),
        ("hf://a/b/c", "hf://a/*", True),
        ("hf://ab", "hf://a*b", True),
        ("xhf://a", "hf://*", False),
        ("hf://a.b", "hf://a?b", False),
        ("hf://a[b]", "hf://a[b]", True),
        ("two\nlines", "two*", True),
        ("", "*", True),
        ("aba", "ab*ba", False),
        ("abba", "ab*ba", True),
        ("a1b2c", "a*b*c", True),
        ("a1c2b", "a*b*c", False),
        ("A", "a", False),
    ],
)
def test_only_a_star_is_special_in_a_pattern(name: str, pattern: str, is_match: bool) -> None:
    assert matches(name, [pattern]) is is_match


def test_a_pattern_of_many_stars_is_no_trap() -> None:
    assert not matches("a" * 2000, ["*" * 500 + "b"])
    assert not matches("a" * 512, ["a*" * 8 + "b"])


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_a_pattern_means_what_a_regular_expression_of_it_would(pattern: str, name: str) -> None:
    expected = re.fullmatch(pattern.replace("*", ".*"), name) is not None
    assert matches(name, [pattern]) is expected


def test_a_policy_about_hosts_holds_for_what_their_agent_does() -> None:
    asked = loads(HOSTS)
    assert isinstance(asked.target, BareMetalTarget)
    handed = asked.model_copy(update={"target": asked.target.behind_agent()})
    assert applies(AppliesTo(targets=("bare_metal",)), handed)
    assert not applies(AppliesTo(targets=("local",)), handed)
