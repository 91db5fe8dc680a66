"""Steps on a cluster as edits of values: each completes what a cut-off one began."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clusters.desired import (
    Desired,
    as_it_is,
    with_active,
    with_all_traffic,
    with_release,
    with_some_traffic,
    without,
    without_traffic,
)
from clusters.live import read_live
from clusters.model import Manifest
from clusters.rendering import objects, serve_config
from llmops.errors import TargetError
from llmops.releases import History, State
from tests.clusters.builders import make_release

ONE, TWO = make_release(number=1), make_release(number=2)
BIGGER = make_release(number=3, memory="32GiB")
EMPTY = Desired("chat", (), "")
HISTORY = History("chat", (ONE, TWO, BIGGER))


def serving(number: int = 1) -> Desired:
    """Release 1 alone, with all traffic."""
    release = {1: ONE, 3: BIGGER}[number]
    staged = with_all_traffic(with_release(EMPTY, release), number)
    return with_active(staged, staged.runtimes[0].id)


def shown(desired: Desired) -> tuple[list[Manifest], Manifest]:
    """What kubectl would show of it: the RayServices and the Service."""
    found = objects(desired, "llm", ())
    door = next(m for m in found if m["kind"] == "Service" and m["metadata"]["name"] == "chat")
    return [m for m in found if m["kind"] == "RayService"], door


@pytest.mark.parametrize(
    "desired",
    [
        serving(),
        with_release(serving(), TWO),
        with_all_traffic(with_release(serving(), TWO), 2),
        with_release(serving(), BIGGER),
        with_active(with_all_traffic(with_release(serving(), BIGGER), 3), "none"),
    ],
    ids=["serving", "staged", "shifted", "beside", "closing"],
)
def test_what_is_in_the_cluster_is_read_back_whole(desired: Desired) -> None:
    live = read_live("chat", *shown(desired))
    assert as_it_is(live, HISTORY).runtimes == desired.runtimes


def test_releases_with_the_same_pods_share_a_runtime() -> None:
    assert len(with_release(serving(), TWO).runtimes) == 1
    assert len(with_release(serving(), BIGGER).runtimes) == 2


def test_a_new_release_gets_no_traffic() -> None:
    (runtime,) = with_release(serving(), TWO).runtimes
    assert dict(runtime.shares) == {1: 100, 2: 0}


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: with_release(d, TWO),
        lambda d: with_all_traffic(d, 1),
        lambda d: with_some_traffic(with_release(d, TWO), 2, 10, 1),
        lambda d: without_traffic(d, 1),
        lambda d: with_active(d, d.runtimes[0].id),
        lambda d: without(d, 2),
    ],
    ids=["stage", "shift", "share", "drain", "door", "remove"],
)
def test_an_edit_made_twice_changes_nothing_the_second_time(edit: object) -> None:
    once = edit(serving())  # type: ignore[operator]
    assert edit(once) == once  # type: ignore[operator]


def test_a_changed_table_has_a_higher_number() -> None:
    before = with_release(serving(), TWO)
    after = with_all_traffic(before, 2)
    assert after.runtimes[0].generation == before.runtimes[0].generation + 1


def test_when_another_runtime_takes_over_the_first_tells_its_clients_to_connect_anew() -> None:
    both = with_all_traffic(with_release(serving(), BIGGER), 3)
    new = both.holding(3)
    assert new is not None
    moved = with_active(both, new.id)
    old = moved.holding(1)
    assert old is not None
    assert old.closing
    assert dict(old.shares) == {1: 100}
    table = serve_config(old)["applications"][0]["deployments"][0]["user_config"]
    assert table["closing"] is True
    again = with_active(with_all_traffic(moved, 1), old.id).runtime(old.id)
    assert again is not None
    assert not again.closing


def test_a_release_whose_runtime_others_do_not_use_drains_by_closing() -> None:
    both = with_all_traffic(with_release(serving(), BIGGER), 3)
    drained = without_traffic(with_active(both, both.holding(3).id), 1)  # type: ignore[union-attr]
    old = drained.holding(1)
    assert old is not None
    assert old.closing
    assert old.shares[1] == 100


def test_a_runtime_goes_with_its_last_release() -> None:
    assert without(serving(), 1) == EMPTY
    assert [r.number for r in without(with_release(serving(), TWO), 1).runtimes[0].releases] == [2]


def test_traffic_is_shared_by_releases_of_one_runtime() -> None:
    shared = with_some_traffic(with_release(serving(), TWO), 2, 10, 1)
    assert dict(shared.runtimes[0].shares) == {1: 90, 2: 10}
    table = serve_config(shared.runtimes[0])["applications"][0]["deployments"][0]["user_config"]
    assert table["services"]["chat"]["releases"] == [
        {"release": 1, "share": 90}, {"release": 2, "share": 10},
    ]  # fmt: skip
    assert as_it_is(read_live("chat", *shown(shared)), HISTORY) == shared


def test_traffic_is_not_shared_by_two_runtimes() -> None:
    with pytest.raises(TargetError, match="are in two runtimes"):
        with_some_traffic(with_release(serving(), BIGGER), 3, 10, 1)


def test_traffic_is_not_moved_to_what_does_not_run() -> None:
    with pytest.raises(TargetError, match="release 2 of chat is in no runtime"):
        with_all_traffic(serving(), 2)


def test_a_release_that_runs_without_a_record_is_not_guessed_at() -> None:
    live = read_live("chat", *shown(serving()))
    with pytest.raises(TargetError, match="runs but has no record"):
        as_it_is(live, History("chat"))


def test_the_table_of_a_cluster_tells_too_with_how_many_replicas_a_release_begins() -> None:
    ranged = replace(TWO.plan, layout=replace(TWO.plan.layout, replicas_high=4))
    coming = replace(TWO, plan=ranged, state=State.STAGING, begins=3)
    (runtime,) = with_release(EMPTY, coming).runtimes
    table = serve_config(runtime)["applications"][0]["deployments"][0]["user_config"]
    [told] = table["services"]["chat"]["releases"]
    assert told == {"release": 2, "share": 0, "begins": 3}
