"""Edits of the record, and the record as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning import EngineSettings, Figure
from llmops.releases import (
    History,
    Release,
    State,
    dumps,
    loads,
    records,
    release_document,
)
from tests.releases.plans import SERVICE, make_plan, release

LIVE, STAGING = State.LIVE, State.STAGING


def history(*releases: Release) -> History:
    return History(SERVICE, releases)


def test_a_new_release_gets_the_next_number_and_gives_up_what_was_left() -> None:
    edited, begun = records.begin(history(release(4, STAGING)), make_plan("x"), 7.0)
    assert begun.number == 5
    left = edited.find(4)
    assert left is not None
    assert (left.state, left.reason, left.ended_at) == (State.FAILED, "superseded", 7.0)


def test_what_a_killed_run_left_of_the_same_plan_is_continued() -> None:
    before = history(release(4, STAGING))
    edited, begun = records.begin(before, make_plan("p4"), 7.0)
    assert begun.number == 4
    assert edited == before


def test_a_rollback_does_not_continue_a_deploy() -> None:
    _, begun = records.begin(history(release(4, STAGING)), make_plan("p4"), 7.0, rollback_of=2)
    assert begun.number == 5


def test_a_new_release_lets_the_drain_of_a_killed_run_begin_anew() -> None:
    edited, _ = records.begin(history(release(4, LIVE, ended_at=1.0)), make_plan("x"), 900.0)
    assert edited.live is not None
    assert edited.live.ended_at is None


def test_promoting_retires_the_one_before_in_the_same_edit() -> None:
    edited = records.promote(history(release(1, LIVE), release(2, STAGING)), 2, 9.0)
    assert [r.state for r in edited.releases] == [State.RETIRED, LIVE]
    assert edited.releases[0].ended_at == edited.releases[1].verified_at == 9.0


@pytest.mark.parametrize("state", [State.LIVE, State.RETIRED, State.FAILED])
def test_only_what_is_on_its_way_is_promoted_or_fails(state: State) -> None:
    before = history(release(1, state), release(2, STAGING))
    assert records.promote(before, 1, 9.0) == before
    assert records.fail(before, 1, "no", 9.0) == before


def test_a_drain_begins_once() -> None:
    once = records.set_draining(history(release(1, LIVE)), 1, 5.0)
    assert records.set_draining(once, 1, 50.0) == once
    assert records.set_draining(once, 1, None) == history(release(1, LIVE))


def test_a_destroyed_service_has_no_release_left_to_serve() -> None:
    edited = records.end(history(release(1, LIVE), release(2, STAGING)), 9.0)
    assert [r.state for r in edited.releases] == [State.RETIRED, State.FAILED]
    assert edited.next_number == 3
    assert records.end(edited, 10.0) == edited


times = st.floats(0, 1e11, allow_nan=False)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
figures = st.builds(
    Figure,
    value=st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    reason=st.text(),
)
plans = st.builds(
    lambda identity, args, figure: replace(
        make_plan(identity),
        engine=EngineSettings("vllm", "v", "auto", args),
        layout=replace(make_plan("x").layout, threads=figure),
    ),
    st.text(),
    st.dictionaries(st.text(), plain, max_size=3),
    figures,
)
releases = st.builds(
    Release,
    service=st.just(SERVICE),
    number=st.integers(1, 10**6),
    plan=plans,
    state=st.sampled_from(State),
    created_at=times,
    verified_at=st.none() | times,
    ended_at=st.none() | times,
    reason=st.text(),
    rollback_of=st.none() | st.integers(1, 10**6),
)


@settings(max_examples=100, deadline=None, database=None)
@given(st.lists(releases, max_size=3))
def test_what_is_written_is_read_back(listed: list[Release]) -> None:
    before = History(SERVICE, tuple(listed))
    after = loads(dumps(before))
    assert after == before
    for old, new in zip(before.releases, after.releases, strict=True):
        value = new.plan.layout.threads.value
        assert type(value) is type(old.plan.layout.threads.value)


def test_a_field_of_a_later_version_is_ignored() -> None:
    document = json.loads(dumps(history(release(1, LIVE))))
    document["later"] = 1
    document["releases"][0]["later"] = {"a": 1}
    document["releases"][0]["plan"]["later"] = [1]
    assert loads(json.dumps(document)) == history(release(1, LIVE))


def test_fields_that_an_earlier_version_did_not_write_have_their_defaults() -> None:
    document = json.loads(dumps(history(release(1, LIVE))))
    for name in ("reason", "rollback_of", "ended_at", "verified_at"):
        del document["releases"][0][name]
    del document["releases"][0]["plan"]["notes"]
    assert loads(json.dumps(document)) == history(release(1, LIVE))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"service": 1}', '{"service": "a", "releases": [{}]}', "\0"]
)
def test_what_is_no_history_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic words it
        loads(text)


def test_a_number_that_json_cannot_say_is_not_written() -> None:
    broken = release(1, LIVE, verified_at=math.nan)
    with pytest.raises(ValueError, match="JSON"):
        dumps(history(broken))


def test_a_release_shown_to_others_has_stable_keys_and_no_plan_inside() -> None:
    document = release_document(release(3, LIVE, verified_at=4.0))
    assert set(document) == {
        "service", "number", "state", "created_at", "verified_at", "ended_at", "reason",
        "rollback_of", "model", "identity",
    }  # fmt: skip
    assert json.loads(json.dumps(document)) == document
    assert document["state"] == "live"
