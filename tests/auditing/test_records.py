"""What is live against the policies that hold: the model's licence, and who else is there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmops.knowing import neighbours
from llmops.opening import recorded
from llmops.policies import Finding, Neighbour, Policy, parse_policy
from llmops.releases import History, Release, State
from serving.auditing import policies
from serving.local import LocalTarget
from tests.releases.plans import make_plan

NOW = 1_800_000_000.0

LICENCES = "security: {licences: [apache-2.0, mit]}\n"
APART = "applies_to: {services: [search]}\nsecurity: {tenants: apart}\n"


def policy(text: str) -> Policy:
    return parse_policy(f"kind: Policy\nname: house\n{text}", "house.yaml").value


def live(service: str, licence: str | None = "") -> Release:
    plan = make_plan("a")
    asked = {"name": service, "model": {"source": "hf://owner/model"}}
    model = replace(plan.model, licence=licence)
    made = replace(plan, service=service, model=model, asked=asked)
    return Release(service, 3, made, State.LIVE, NOW)


def audited(
    text: str, release: Release, beside: tuple[Neighbour, ...] | None = ()
) -> list[Finding]:
    return list(policies([policy(text)], release, [], {}, NOW, neighbours=beside))


@pytest.mark.parametrize(
    ("licence", "proof"), [("cc-by-nc-4.0", "licence: cc-by-nc-4.0"), ("", "licence: unknown")]
)
def test_a_live_model_under_a_licence_that_may_not_be_served_is_found(
    licence: str, proof: str
) -> None:
    [found] = audited(LICENCES, live("chat", licence))
    assert (found.id, found.blocks) == ("security.licences", True)
    assert found.proof.startswith(proof)


@pytest.mark.parametrize("licence", ["apache-2.0", "MIT"])
def test_a_live_model_under_an_allowed_licence_is_clean(licence: str) -> None:
    assert audited(LICENCES, live("chat", licence)) == []


def test_a_record_that_tells_no_licence_is_not_taken_for_clean() -> None:
    assert [f.id for f in audited(LICENCES, live("chat", None))] == ["audit.unchecked"]


@pytest.fixture
def machine(tmp_path: Path) -> LocalTarget:
    """A machine on which `chat` and `search` are recorded as live, and `old` is not any more."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    target = LocalTarget(home)
    for service, state in (("chat", State.LIVE), ("search", State.LIVE), ("old", State.RETIRED)):
        release = replace(live(service), state=state)
        target.store.write(History(service, (release,)), "")
    return target


@pytest.mark.parametrize("service", ["chat", "search"])
def test_a_service_that_is_not_alone_is_found_from_either_side(
    machine: LocalTarget, service: str
) -> None:
    """The policy is about `search`; it is `chat` that disturbs it. No runtime is up: both would be
    on the one that comes back."""
    release = live(service)
    beside = neighbours(machine, recorded(release.plan), [policy(APART)], NOW)
    [found] = audited(APART, release, beside)
    assert (found.id, found.blocks) == ("security.tenants", True)


def test_a_service_alone_is_clean(machine: LocalTarget) -> None:
    other = live("search")
    machine.store.write(
        History("chat", (replace(live("chat"), state=State.RETIRED),)),
        machine.store.read("chat")[1],
    )
    beside = neighbours(machine, recorded(other.plan), [policy(APART)], NOW)
    assert audited(APART, other, beside) == []


def test_where_no_policy_wants_a_service_apart_no_record_is_read(machine: LocalTarget) -> None:
    (machine._home / "releases" / "search.json").write_text("damaged")
    assert neighbours(machine, recorded(live("chat").plan), [policy(LICENCES)], NOW) == ()
