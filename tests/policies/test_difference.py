"""What differs between two policies, and whether it became stricter."""

from __future__ import annotations

import pytest
from hypothesis import given

from llmops.policies import Policy, combined, differences, explained, parse_policy
from llmops.policies.difference import LOOSER, STRICTER
from tests.policies import strategies

HEAD = "kind: Policy\nname: acme\n"


def _policy(text: str) -> Policy:
    return parse_policy(HEAD + text, "policy.yaml").value


@pytest.mark.parametrize(
    ("before", "after", "path", "values", "way"),
    [
        ("security: {key_age: 90d}", "security: {key_age: 30d}", "security.key_age",
         ("90d", "30d"), STRICTER),
        ("security: {pinned: true}", "security: {pinned: false}", "security.pinned",
         (True, False), LOOSER),
        ("security: {pinned: true}", "", "security.pinned", (True, None), LOOSER),
        ("", "scaling: {replicas: 1..4}", "scaling.replicas", (None, "1..4"), STRICTER),
        ("scaling: {replicas: 1..4}", "scaling: {replicas: 1..8}", "scaling.replicas",
         ("1..4", "1..8"), LOOSER),
        ("scaling: {replicas: 1..4}", "scaling: {replicas: 2..8}", "scaling.replicas",
         ("1..4", "2..8"), ""),
        ("security: {sources: ['hf://*']}", "security: {sources: ['s3://*']}", "security.sources",
         (["hf://*"], ["s3://*"]), ""),
        ("maintenance: {windows: ['Sun 02:00-04:00 UTC']}",
         "maintenance: {windows: ['Mon 02:00-04:00']}", "maintenance.windows",
         (["Sun 02:00-04:00 UTC"], ["Mon 02:00-04:00 UTC"]), ""),
        ("layer: project", "layer: service", "layer", ("project", "service"), ""),
    ],
)  # fmt: skip
def test_one_field_that_differs(
    before: str, after: str, path: str, values: tuple[object, object], way: str
) -> None:
    (one,) = differences(_policy(before), _policy(after))
    assert (one.path, (one.before, one.after), one.way) == (path, values, way)


def test_comments_and_defaults_that_are_written_out_differ_in_nothing() -> None:
    assert differences(_policy(""), _policy("layer: organisation\n# a comment\n")) == ()


def test_a_rule_and_a_waiver_are_told_apart_by_what_they_are_for() -> None:
    rule = "- {{id: {0}, that: 'true', message: {0}}}\n"
    waiver = (
        "waivers: [{rule: security.pinned, services: [chat], reason: r, owner: o,"
        " expires: '2026-12-31'}]\n"
    )
    before = _policy("rules:\n" + rule.format("a") + rule.format("b"))
    after = _policy("rules:\n" + rule.format("c") + rule.format("b") + waiver)
    found = {
        one.path: (one.before is None, one.after is None) for one in differences(before, after)
    }
    assert found == {
        "rules.a": (False, True),
        "rules.c": (True, False),
        "waivers.security.pinned of chat": (True, False),
    }


@given(strategies.policies("some"))
def test_a_policy_differs_from_nothing_in_what_it_says(policy: Policy) -> None:
    for one in differences(None, policy):
        assert one.before is None
        assert one.way in (STRICTER, "")
    assert differences(policy, policy) == ()


def test_the_field_of_a_spec_is_explained_by_what_bounds_it() -> None:
    wide = parse_policy(HEAD + "security: {limits: {max_tokens: 4096}}\n", "acme.yaml")
    team = parse_policy(
        "kind: Policy\nname: team\nlayer: project\nsecurity: {limits: {max_tokens: 64}}\n",
        "team.yaml",
    )
    held = combined([wide.value, team.value])
    (one,) = explained("security.max_tokens", held, [wide, team])
    assert (one.path, one.value) == ("security.limits.max_tokens", 64)
    assert [(v.policy, v.value, v.place, v.decides) for v in one.voices] == [
        ("acme", 4096, "acme.yaml:3:33", False),
        ("team", 64, "team.yaml:4:33", True),
    ]


@pytest.mark.parametrize(
    ("path", "first", "second"),
    [
        ("scaling.replicas", "scaling: {replicas: 4..8}", "scaling: {replicas: 1..2}"),
        ("maintenance.strategies", "maintenance: {strategies: [rolling]}",
         "maintenance: {strategies: [canary]}"),
    ],
)  # fmt: skip
def test_policies_that_leave_nothing_are_told(path: str, first: str, second: str) -> None:
    placed = [parse_policy(HEAD + first, "a"), parse_policy(HEAD + second, "b")]
    (one,) = explained(path, combined([each.value for each in placed]), placed)
    assert one.nothing
    (alone,) = explained(path, combined([placed[0].value]), placed)
    assert not alone.nothing


def test_a_section_is_explained_field_by_field_and_calendars_hold_by_themselves() -> None:
    text = "maintenance: {windows: ['Sun 02:00-04:00'], drain: 10min}\n"
    placed = parse_policy(HEAD + text, "acme.yaml")
    found = {one.path: one for one in explained("maintenance", combined([placed.value]), [placed])}
    assert found["maintenance.drain"].value == "10min"
    assert found["maintenance.strategies"].voices == ()
    windows = found["maintenance.windows"]
    assert windows.value is None
    assert windows.way == "each policy's own holds by itself"
    assert [voice.value for voice in windows.voices] == [["Sun 02:00-04:00 UTC"]]
