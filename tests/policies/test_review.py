"""The review as a whole: stricter layers, secrets, the plan, and the error of what blocks."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.errors import RefusedError
from llmops.planning import make_plan
from llmops.policies import (
    Finding,
    Known,
    Layer,
    Policy,
    PolicyError,
    Severity,
    Waiver,
    blocking,
    combined,
    findings_document,
    govern,
    review,
)
from llmops.spec import Deployment
from tests.planning import worlds
from tests.policies.strategies import policies, policy

NOW = 1_795_867_200.0  # 2026-11-28T12:00Z


def deployment(**sections: Any) -> Deployment:
    return Deployment.model_validate({"name": "chat", "model": {"source": "hf://a/b"}} | sections)


def found(asked: Deployment, *said: Policy, known: Known | None = None) -> tuple[Finding, ...]:
    return review(combined(said), asked, None, now=NOW, known=known)


def places(findings: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(finding.id, finding.path) for finding in blocking(findings)}


ASKED = st.builds(
    deployment,
    model=st.sampled_from([{"source": "hf://a/b"}, {"source": "hf://a/c", "revision": "0" * 40}]),
    scaling=st.sampled_from([{}, {"replicas": 3}, {"replicas": "1..9"}, {"warm": 1}]),
    security=st.sampled_from([{}, {"requests_per_minute": 5}, {"max_tokens": 7}]),
    maintenance=st.sampled_from([{}, {"strategy": "recreate"}, {"drain": "1h"}]),
    target=st.sampled_from([{}, {"host": "10.0.0.1", "allow_plaintext": True}]),
)
KNOWN = st.builds(
    Known,
    licence=st.sampled_from([None, "", "apache-2.0"]),
    versions=st.sampled_from([None, {}, {"vllm": "0.31.0"}]),
)


@settings(max_examples=300, deadline=None)
@given(policies("wide"), policies("narrow"), ASKED, KNOWN)
def test_one_more_policy_never_allows_more(
    one: Policy, more: Policy, asked: Deployment, known: Known
) -> None:
    alone = places(found(asked, one, known=known))
    both = places(found(asked, one, more, known=known))
    assert alone <= both


@settings(max_examples=200, deadline=None)
@given(policies("wide"), policies("narrow"), ASKED, KNOWN)
def test_what_both_policies_allow_is_allowed_unless_nothing_is_left(
    one: Policy, more: Policy, asked: Deployment, known: Known
) -> None:
    """So a finding is always some policy's own, and nobody is refused by the mere combination."""
    each = places(found(asked, one, known=known)) | places(found(asked, more, known=known))
    assert places(found(asked, one, more, known=known)) == each


@settings(max_examples=200, deadline=None)
@given(
    policies("one"), policies("two"), policies("three"), ASKED, st.randoms(use_true_random=False)
)
def test_the_order_of_policies_changes_nothing(
    one: Policy, two: Policy, three: Policy, asked: Deployment, chance: random.Random
) -> None:
    said = [one, two, three]
    shuffled = chance.sample(said, 3)
    assert found(asked, *said) == found(asked, *shuffled)


@settings(max_examples=200, deadline=None)
@given(policies("wide"), policies("narrow"), ASKED, KNOWN)
def test_a_finding_names_a_policy_that_is_broken_by_itself(
    one: Policy, more: Policy, asked: Deployment, known: Known
) -> None:
    by_name = {one.name: one, more.name: more}
    for finding in blocking(found(asked, one, more, known=known)):
        alone = found(asked, by_name[finding.policy], known=known)
        assert (finding.id, finding.path) in places(alone)


def test_a_governed_default_is_never_found_beyond() -> None:
    said = policy("acme", values={"security.limits.max_tokens": 10, "maintenance.drain": "1h"})
    asked = deployment()
    assert places(found(asked, said)) == {
        ("security.limits.max_tokens", "security.max_tokens"),
        ("maintenance.drain", "maintenance.drain"),
    }
    assert found(govern(asked, combined([said])), said) == ()


def test_a_fix_is_kept_by_who_follows_it() -> None:
    said = policy("acme", values={"security.limits.max_tokens": 10})
    (finding,) = found(deployment(security={"max_tokens": 99}), said)
    assert finding.fix == "set security.max_tokens: 10"
    assert found(deployment(security={"max_tokens": 10}), said) == ()


def test_the_fix_of_a_branch_is_the_commit_that_it_stands_for() -> None:
    facts = worlds.make_facts()
    asked = worlds.deployment()
    plan = make_plan(asked, facts)
    held = combined([policy("acme", values={"security.pinned": True})])
    (finding,) = review(held, asked, plan, now=NOW, known=Known.of(facts))
    assert finding.fix == f"set model.revision: {'0' * 40}"


def test_facts_tell_licence_engine_gpu_and_neighbours() -> None:
    facts = worlds.make_facts(
        machine={"gpus": [{"name": "NVIDIA L4", "memory": "24GiB"}] * 2},
        live=[{"service": "search"}],
        licence="mit",
    )
    known = Known.of(facts, {"ray": "2.60.0"})
    assert (known.licence, known.gpu) == ("mit", "NVIDIA L4")
    assert known.versions == {"ray": "2.60.0", "vllm": "0.32.0"}
    assert [one.service for one in known.live or ()] == ["search"]
    assert Known.of(None, {"ray": "2.60.0"}) == Known(versions={"ray": "2.60.0"})


def test_gpus_of_several_kinds_have_no_price() -> None:
    gpus = [{"name": "NVIDIA L4", "memory": "24GiB"}, {"name": "NVIDIA T4", "memory": "16GiB"}]
    assert Known.of(worlds.make_facts(machine={"gpus": gpus})).gpu == ""


SECRETS = [
    "hf" + "_" + "a1" * 17,
    "sk" + "-" + "proj-" + "b2" * 20,
    "llmops" + "-" + "0a" * 8 + "-" + "x" * 43,
    "gh" + "p_" + "c3" * 18,
    "AK" + "IA" + "D4" * 8,
    "gl" + "pat-" + "e5" * 10,
    "xo" + "xb-" + "1234567890-abcdef",
    "ey" + "JhbGciOiJIUzI1NiJ9." + "ey" + "JzdWIiOiIxIn0.sig",
    "-----BEGIN " + "RSA PRIVATE KEY-----",
    "https://me:" + "hunter2@host/path",
]


@pytest.mark.parametrize("secret", SECRETS, ids=[text[:6] for text in SECRETS])
@pytest.mark.parametrize(
    "place", [lambda s: s, lambda s: [s], lambda s: {"a": [{"b": f"x {s} y"}]}, lambda s: {s: "v"}]
)
def test_a_secret_is_found_wherever_it_is_and_never_repeated(secret: str, place: Any) -> None:
    findings = found(deployment(engine={"args": {"some_arg": place(secret)}}))
    assert [finding.id for finding in findings] == ["security.secret-in-clear"]
    assert findings[0].blocks
    assert findings[0].path.startswith("engine.args.some_arg")
    assert secret not in repr(findings)
    assert "hunter2" not in repr(findings)


@pytest.mark.parametrize(
    "args",
    [
        {"seed": 1, "enable_prefix_caching": True},
        {"tokenizer_mode": "slow", "max_num_batched_tokens": 4096},
        {"speculative_config": {"method": "ngram", "num_speculative_tokens": 3}},
        {"chat_template": "sk-short"},
        {"url": "https://example.com:8000/a@b"},
    ],
)
def test_what_is_no_secret_is_not_taken_for_one(args: dict[str, Any]) -> None:
    assert found(deployment(engine={"args": args})) == ()


def test_the_error_counts_what_blocks_and_shows_the_first_with_its_fix() -> None:
    said = policy(
        "acme",
        values={"security.pinned": True, "security.limits.max_tokens": 1, "scaling.warm": 3},
    )
    asked = deployment(security={"max_tokens": 99}, scaling={"replicas": "1..9"})
    findings = found(asked, said)
    error = PolicyError(findings)
    assert isinstance(error, RefusedError)
    assert error.exit_code == 3
    assert error.findings == findings
    assert error.message.startswith("scaling.warm (acme): ")
    assert error.message.endswith("; 2 more block")
    assert error.path == "scaling.warm"
    assert error.hint == "set scaling.warm: 3"


def test_findings_are_plain_data_without_what_is_empty() -> None:
    waiver = Waiver.model_validate(
        {
            "rule": "a.b", "services": ["chat"], "reason": "why", "owner": "me",
            "expires": "2026-12-24",
        }
    )  # fmt: skip
    one = Finding("a.b", Severity.BLOCK, "x", "m", policy="p", layer=Layer.PROJECT, waiver=waiver)
    assert findings_document([one, Finding("c", Severity.INFO, "", "m")]) == [
        {
            "id": "a.b", "severity": "block", "blocks": False, "path": "x", "message": "m",
            "policy": "p", "layer": "project",
            "waiver": {
                "rule": "a.b", "services": ["chat"], "reason": "why", "owner": "me",
                "expires": "2026-12-24",
            },
        },
        {"id": "c", "severity": "info", "blocks": False, "message": "m"},
    ]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    policies("wide"), policies("narrow"), ASKED,
    st.sampled_from(["security.pinned", "security.sources", "scaling.replicas",
                     "security.limits.max_tokens", "maintenance.strategies"]),
    st.booleans(),
)  # fmt: skip
def test_a_waiver_sets_aside_its_rule_alone_and_only_what_its_own_layer_may(
    one: Policy, more: Policy, asked: Deployment, rule: str, by_wide: bool
) -> None:
    waiver = {
        "rule": rule, "services": ["chat"], "reason": "why", "owner": "me", "expires": "2030-01-01",
    }  # fmt: skip
    holder = one if by_wide else more
    holding = Policy.model_validate(
        holder.model_dump(exclude_unset=True) | {"waivers": [waiver]}, strict=False
    )
    rest = [policy for policy in (one, more) if policy is not holder]
    without = places(found(asked, one, more))
    waived = places(found(asked, holding, *rest))
    assert waived <= without
    assert {identifier for identifier, _ in without - waived} <= {rule}
    order = list(Layer)
    wider = [p for p in rest if order.index(p.layer) < order.index(holder.layer)]
    assert places(found(asked, *wider)) <= waived
