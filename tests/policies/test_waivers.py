"""Waivers: each for its own rule, services and layers, until its day, and for nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from llmops.policies import Finding, Layer, Policy, Severity, Waiver
from llmops.policies.waivers import SOON_DAYS, apply_waivers

TODAY = date(2026, 11, 28)
ORDER = list(Layer)
RULES = ("security.pinned", "scaling.replicas", "rules.own")
SERVICES = ("chat", "search")

RAISED = st.builds(
    Finding,
    st.sampled_from(RULES),
    st.sampled_from(Severity),
    st.just("model.revision"),
    st.sampled_from(["one", "two"]),
    layer=st.sampled_from([*ORDER, None]),
)
WAIVERS = st.builds(
    lambda rule, services, days: {
        "rule": rule, "services": services, "reason": "why", "owner": "me",
        "expires": TODAY + timedelta(days=days),
    },
    st.sampled_from(RULES),
    st.lists(st.sampled_from(SERVICES), min_size=1, unique=True),
    st.integers(-30, 30),
)  # fmt: skip
HOLDERS = st.lists(
    st.builds(
        lambda layer, waivers: policy(layer, waivers),
        st.sampled_from(ORDER),
        st.lists(WAIVERS, max_size=3),
    ),
    max_size=3,
)


def policy(layer: Layer, waivers: list[dict[str, Any]]) -> Policy:
    return Policy.model_validate(
        {"kind": "Policy", "name": "acme", "layer": layer, "waivers": waivers}
    )


def applied(policies: list[Policy], findings: list[Finding], day: date = TODAY) -> list[Finding]:
    now = datetime.combine(day, datetime.min.time(), UTC).timestamp() + 43_200
    return list(apply_waivers(policies, findings, service="chat", now=now))


def may(finding: Finding, holder: Policy, waiver: Waiver) -> bool:
    """What a waiver is for, in words of its own: rule, service, layer, day."""
    return (
        waiver.rule == finding.id
        and "chat" in waiver.services
        and finding.layer is not None
        and ORDER.index(finding.layer) >= ORDER.index(holder.layer)
        and waiver.expires >= TODAY
    )


@given(HOLDERS, st.lists(RAISED, max_size=5))
def test_a_finding_is_set_aside_by_a_waiver_that_is_for_it_and_by_no_other(
    policies: list[Policy], findings: list[Finding]
) -> None:
    settled = applied(policies, findings)[: len(findings)]
    for before, after in zip(findings, settled, strict=True):
        fit = [w for p in policies for w in p.waivers if may(before, p, w)]
        assert (after.waiver in fit) if fit else (after.waiver is None)


@given(HOLDERS, st.lists(RAISED, max_size=5))
def test_nothing_but_the_waiver_of_a_finding_is_changed_and_none_is_taken_away(
    policies: list[Policy], findings: list[Finding]
) -> None:
    settled = applied(policies, findings)
    kept = settled[: len(findings)]
    assert [(f.id, f.severity, f.path, f.message, f.layer) for f in kept] == [
        (f.id, f.severity, f.path, f.message, f.layer) for f in findings
    ]
    assert all(f.id.startswith("waivers.") and not f.blocks for f in settled[len(findings) :])


@given(HOLDERS, st.lists(RAISED, max_size=5), st.integers(0, 3))
def test_one_waiver_fewer_never_sets_aside_more(
    policies: list[Policy], findings: list[Finding], index: int
) -> None:
    fewer = policies[:index] + policies[index + 1 :]
    before = [f.blocks for f in applied(policies, findings)[: len(findings)]]
    after = [f.blocks for f in applied(fewer, findings)[: len(findings)]]
    assert all(now or not then for then, now in zip(before, after, strict=True))


def told(expires: date, findings: list[Finding]) -> list[str]:
    waiver = {
        "rule": "rules.own", "services": ["chat"], "reason": "why", "owner": "me",
        "expires": expires,
    }  # fmt: skip
    return [f.id for f in applied([policy(Layer.ORGANISATION, [waiver])], findings)]


def test_what_is_said_about_a_waiver_over_its_life() -> None:
    raised = [Finding("rules.own", Severity.BLOCK, "", "m", layer=Layer.SERVICE)]
    days = timedelta(days=1)
    assert told(TODAY + (SOON_DAYS + 1) * days, raised) == ["rules.own"]
    assert told(TODAY + SOON_DAYS * days, raised) == ["rules.own", "waivers.expiring"]
    assert told(TODAY, raised) == ["rules.own", "waivers.expiring"]
    assert told(TODAY - days, raised) == ["rules.own", "waivers.expired"]
    assert told(TODAY + 100 * days, []) == ["waivers.unused"]
    assert told(TODAY - days, []) == ["waivers.expired"]


def test_what_is_said_names_the_waiver_its_reason_and_its_owner() -> None:
    waiver = {
        "rule": "rules.own", "services": ["chat"], "reason": "mirror is late",
        "owner": "team-a", "expires": TODAY - timedelta(days=1),
    }  # fmt: skip
    [finding] = applied([policy(Layer.PROJECT, [waiver])], [])
    assert finding.severity is Severity.WARN
    assert finding.policy == "acme"
    assert finding.proof == "waivers[0] of acme: mirror is late (owner: team-a)"
