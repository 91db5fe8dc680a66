"""Edits of the record, and the record as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmops.planning import EngineSettings, Figure, Upkeep
from llmops.releases import (
    History,
    Release,
    State,
    Summary,
    Watched,
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


def test_an_emergency_is_recorded_with_who_it_was() -> None:
    why = records.Emergency("leaking", "ann@desk")
    _, begun = records.begin(history(), make_plan("x"), 7.0, emergency=why)
    assert (begun.emergency, begun.emergency_by) == ("leaking", "ann@desk")
    edited = records.end(history(release(1, LIVE)), 9.0, why)
    assert edited.releases[0].emergency == "leaking"


def test_a_watch_is_recorded_of_what_is_on_its_way_only() -> None:
    before = history(release(1, LIVE), release(2, STAGING))
    watched = records.watch(before, 2, 5.0).find(2)
    assert watched is not None
    assert watched.watched_since == 5.0
    assert watched.verified_at is None, "what is only watched is nothing to roll back to"
    assert records.watch(before, 1, 5.0) == before


def test_what_came_of_each_share_is_kept_and_forgotten_when_it_is_started_anew() -> None:
    before = history(release(1, LIVE), release(2, STAGING, watched_since=5.0))
    ten = Watched(10, 5.0, 9.0, Summary(20), Summary(180), "no worse")
    edited = records.watched(before, 2, ten)
    assert edited.releases[1].watched == (ten,)
    assert records.watch(edited, 2, None).releases[1].watched == ()
    assert records.watched(records.fail(before, 2, "gone", 7.0), 2, ten).releases[1].watched == ()


def test_a_watch_that_is_ended_by_hand_says_who_ended_it_and_the_first_is_heard() -> None:
    before = history(release(1, LIVE), release(2, STAGING, watched_since=5.0))
    now = Watched(10, 5.0, 9.0, Summary(2), Summary(18), "ended by ann@desk")
    good = records.end_watch(before, 2, now, "ann@desk", promoted=True)
    assert [r.state for r in good.releases] == [State.RETIRED, LIVE]
    assert good.releases[1].ended_by == "ann@desk"
    assert good.releases[1].watched == (now,)
    bad = records.end_watch(before, 2, now, "bob@desk", promoted=False)
    assert [r.state for r in bad.releases] == [LIVE, State.FAILED]
    assert bad.releases[1].reason == "taken back by bob@desk"
    assert bad.releases[1].going_back
    for first, promoted in ((good, False), (bad, True)):
        assert records.end_watch(first, 2, now, "eve@desk", promoted=promoted) == first
    assert not records.gone(bad).releases[1].going_back


def test_a_live_release_takes_over_how_it_is_looked_after() -> None:
    upkeep = Upkeep(window="Sun 02:00-04:00 UTC", keep_releases=3)
    edited = records.look_after(history(release(1, LIVE), release(2, STAGING)), upkeep)
    assert [r.plan.upkeep == upkeep for r in edited.releases] == [True, False]
    assert records.look_after(edited, upkeep) == edited


def test_a_continued_release_is_looked_after_as_the_newer_file_says() -> None:
    plan = replace(make_plan("p4"), upkeep=Upkeep(canary_steps=(20,)))
    _, begun = records.begin(history(release(4, STAGING)), plan, 7.0)
    assert begun.plan.upkeep.canary_steps == (20,)


def ended(number: int, *, good: bool = True) -> Release:
    state = State.RETIRED if good else State.FAILED
    return release(number, state, verified_at=float(number) if good else None)


KEPT: dict[str, tuple[list[Release], int, list[int]]] = {
    "the newest that have ended": (
        [ended(1), ended(2), ended(3), release(4, LIVE, verified_at=4.0)], 2, [2, 3, 4],
    ),
    "what serves does not count": ([ended(1), release(2, LIVE)], 1, [1, 2]),
    "what a rollback would repeat stays": (
        [ended(1), ended(2, good=False), ended(3, good=False), release(4, LIVE)], 1, [1, 3, 4],
    ),
    "what is on its way stays": (
        [ended(1), ended(2), release(3, LIVE), release(4, STAGING)], 1, [2, 3, 4],
    ),
    "a number is not given out twice": (
        [ended(1), release(2, LIVE), ended(3, good=False), ended(4, good=False)], 1, [1, 2, 4],
    ),
    "fewer than are kept": ([ended(1), release(2, LIVE)], 9, [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize(("listed", "keep", "kept"), KEPT.values(), ids=KEPT)
def test_old_releases_are_forgotten(listed: list[Release], keep: int, kept: list[int]) -> None:
    edited = records.retain(history(*listed), keep)
    assert [r.number for r in edited.releases] == kept
    assert records.retain(edited, keep) == edited


@settings(deadline=None, database=None)
@given(st.lists(st.tuples(st.sampled_from(State), st.booleans()), max_size=12), st.integers(1, 5))
def test_what_is_kept_is_enough_to_go_on(listed: list[tuple[State, bool]], keep: int) -> None:
    before = history(*(
        release(n, state, verified_at=1.0 if good else None)
        for n, (state, good) in enumerate(listed, start=1)
    ))  # fmt: skip
    after = records.retain(before, keep)
    assert after.next_number == before.next_number
    assert (after.live, after.staging) == (before.live, before.staging)
    assert after.last_good_before == before.last_good_before
    assert len(after.releases) <= keep + 1 + sum(
        state in (State.LIVE, State.STAGING) for state, _ in listed
    )


@pytest.mark.parametrize(
    ("keep", "logs"), [(None, {1, 2, 3}), (0, {3}), (1, {2, 3}), (9, {1, 2, 3})]
)
def test_logs_are_kept_of_the_newest_that_have_ended(keep: int | None, logs: set[int]) -> None:
    assert records.logged(history(ended(1), ended(2), release(3, LIVE)), keep) == logs


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
summaries = st.builds(Summary, st.integers(0), st.integers(0), ttft=st.none() | times)
watches = st.builds(Watched, st.integers(1, 90), times, times, summaries, summaries, st.text())
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
    watched_since=st.none() | times,
    watched=st.lists(watches, max_size=2).map(tuple),
    ended_by=st.text(),
    emergency=st.text(),
    emergency_by=st.text(),
    going_back=st.booleans(),
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
    later = (
        "watched_since", "watched", "ended_by", "emergency", "emergency_by", "going_back",
    )  # fmt: skip
    for name in ("reason", "rollback_of", "ended_at", "verified_at", *later):
        del document["releases"][0][name]
    for name in ("notes", "tls"):
        del document["releases"][0]["plan"][name]
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
        "rollback_of", "watched_since", "watched", "ended_by", "emergency", "emergency_by",
        "begins", "going_back", "model", "identity",
    }  # fmt: skip
    assert json.loads(json.dumps(document)) == document
    assert document["state"] == "live"
