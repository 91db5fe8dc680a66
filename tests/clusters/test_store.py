"""The release store of a cluster: what is kept, what is dropped, and what others did to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters import pruning, store
from clusters.model import Manifest
from clusters.store import ConfigMapReleaseStore
from llmops import workflow
from llmops.errors import InputError, RefusedError, TargetError
from llmops.releases import Conflict, History, Release, State
from tests.clusters.fake_api import FakeApi
from tests.releases.plans import SERVICE, make_deployment, make_plan, plan_of, release
from tests.releases.simulated import SimulatedTarget, run

ONE = History(SERVICE, (release(1, State.LIVE, verified_at=2.0),))
NAME = "chat-releases"


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def kept(api: FakeApi) -> ConfigMapReleaseStore:
    return ConfigMapReleaseStore(api, "ai")


def stored(api: FakeApi) -> Manifest:
    found = api.get("ConfigMap", NAME, "ai")
    assert found is not None
    return found


def retired(number: int, **more: Any) -> Release:
    ended = {"verified_at": float(number), "ended_at": number + 1.0}
    return release(number, State.RETIRED, **(ended | more))


def failed(number: int, **more: Any) -> Release:
    return release(number, State.FAILED, ended_at=number + 1.0, **more)


def test_a_service_without_a_record_has_an_empty_history(kept: ConfigMapReleaseStore) -> None:
    assert kept.read(SERVICE) == (History(SERVICE), "")
    assert kept.services() == ()


def test_what_was_written_is_read_by_another_store(
    api: FakeApi, kept: ConfigMapReleaseStore
) -> None:
    version = kept.write(ONE, "")
    assert ConfigMapReleaseStore(api, "ai").read(SERVICE) == (ONE, version)
    assert ConfigMapReleaseStore(api, "ai").services() == (SERVICE,)
    assert ConfigMapReleaseStore(api, "other").services() == ()


def test_a_history_without_releases_is_a_record(kept: ConfigMapReleaseStore) -> None:
    version = kept.write(History(SERVICE), "")
    assert kept.read(SERVICE) == (History(SERVICE), version)
    assert version


def test_people_read_it_with_kubectl(api: FakeApi, kept: ConfigMapReleaseStore) -> None:
    history = ONE.with_release(failed(2, reason="the engine\nran out of memory", rollback_of=1))
    kept.write(history, "")
    data = stored(api)["data"]
    assert data["summary"] == (
        "RELEASE  STATE   MODEL  CREATED               REASON\n"
        "2        failed  p2     1970-01-01 00:00 UTC"
        "  rollback to 1; the engine ran out of memory\n"
        "1        live    p1     1970-01-01 00:00 UTC\n"
    )
    assert set(data) == {"summary", "release-1.json", "release-2.json"}
    assert json.loads(data["release-2.json"])["number"] == 2
    assert not any(line.endswith(" ") for text in data.values() for line in text.splitlines())
    assert stored(api)["metadata"]["labels"] == {
        "app.kubernetes.io/name": "llmops",
        "app.kubernetes.io/instance": SERVICE,
        "app.kubernetes.io/component": "history",
        "app.kubernetes.io/managed-by": "llmops",
        "llmops/service": SERVICE,
    }


@pytest.mark.parametrize("stale", ["", "999"])
def test_a_writer_that_read_an_older_version_changes_nothing(
    kept: ConfigMapReleaseStore, stale: str
) -> None:
    kept.write(ONE, "")
    with pytest.raises(Conflict):
        kept.write(replace(ONE, releases=()), stale)
    assert kept.read(SERVICE)[0] == ONE


@pytest.mark.parametrize("first", [True, False])
def test_a_writer_that_is_overtaken_at_the_last_moment_changes_nothing(
    api: FakeApi, kept: ConfigMapReleaseStore, first: bool
) -> None:
    version = "" if first else kept.write(ONE, "")
    two = ONE.with_release(release(2, State.STAGING))

    def overtake() -> None:
        api.before_write = lambda: None
        kept.write(two, version)

    api.before_write = overtake
    with pytest.raises(Conflict):
        kept.write(ONE, version)
    assert kept.read(SERVICE)[0] == two


def test_a_record_that_was_deleted_is_not_written_from_memory(
    api: FakeApi, kept: ConfigMapReleaseStore
) -> None:
    version = kept.write(ONE, "")
    api.delete("ConfigMap", NAME, "ai")
    with pytest.raises(Conflict):
        kept.write(ONE, version)
    assert kept.read(SERVICE) == (History(SERVICE), "")


def test_what_others_put_on_the_object_stays_and_our_labels_come_back(
    api: FakeApi, kept: ConfigMapReleaseStore
) -> None:
    kept.write(ONE, "")

    def change(found: Manifest) -> None:
        found["metadata"]["labels"] = {"team": "a"}
        found["metadata"]["annotations"] = {"note": "ours"}

    api.edit("ConfigMap", NAME, "ai", change)
    history, version = kept.read(SERVICE)
    kept.write(history, version)
    metadata = stored(api)["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert metadata["labels"]["llmops/service"] == SERVICE
    assert metadata["annotations"] == {"note": "ours"}


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "{}", "null", '"x"', '{"number": "one"}', "\0" * 50]
)
def test_a_damaged_record_is_told_by_object_and_key(
    api: FakeApi, kept: ConfigMapReleaseStore, damage: str
) -> None:
    version = kept.write(ONE, "")

    def change(found: Manifest) -> None:
        found["data"]["release-1.json"] = damage

    api.edit("ConfigMap", NAME, "ai", change)
    with pytest.raises(TargetError) as caught:
        kept.read(SERVICE)
    for part in ("release-1.json", f"ConfigMap {NAME}", "namespace ai"):
        assert part in caught.value.message
    assert f"kubectl -n ai edit configmap {NAME}" in caught.value.hint
    with pytest.raises(Conflict):
        kept.write(ONE, version)


@pytest.mark.parametrize("key", ["release-1.json", "release-7.json"])
def test_a_release_under_a_key_of_another_is_damage(
    api: FakeApi, kept: ConfigMapReleaseStore, key: str
) -> None:
    kept.write(ONE, "")

    def change(found: Manifest) -> None:
        text = found["data"].pop("release-1.json")
        found["data"][key] = text if key == "release-7.json" else text.replace(SERVICE, "other", 1)

    api.edit("ConfigMap", NAME, "ai", change)
    with pytest.raises(TargetError, match=key):
        kept.read(SERVICE)


def test_keys_that_others_added_are_no_releases(api: FakeApi, kept: ConfigMapReleaseStore) -> None:
    kept.write(ONE, "")
    api.edit("ConfigMap", NAME, "ai", lambda found: found["data"].update({"notes": "hello"}))
    assert kept.read(SERVICE)[0] == ONE


def test_an_object_without_data_has_an_empty_history(
    api: FakeApi, kept: ConfigMapReleaseStore
) -> None:
    kept.write(ONE, "")
    api.edit("ConfigMap", NAME, "ai", lambda found: found.pop("data"))
    history, version = kept.read(SERVICE)
    assert history == History(SERVICE)
    assert version


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".", "A", "a\0b", "x" * 41, "a\n"])
def test_a_name_that_is_none_is_refused(kept: ConfigMapReleaseStore, name: str) -> None:
    with pytest.raises(InputError, match="no name of a service"):
        kept.read(name)


def test_the_oldest_ended_ones_are_dropped_first(kept: ConfigMapReleaseStore) -> None:
    old = tuple(failed(n) if n % 3 == 0 else retired(n) for n in range(1, 60))
    kept.write(History(SERVICE, (*old, release(60, State.LIVE, verified_at=1.0))), "")
    history, _ = kept.read(SERVICE)
    assert [r.number for r in history.releases] == list(range(11, 61))
    assert history.next_number == 61


def test_what_a_rollback_needs_is_kept_among_many_failures(kept: ConfigMapReleaseStore) -> None:
    good = [retired(n) for n in range(1, 9)]
    live = release(9, State.LIVE, verified_at=1.0)
    history = History(SERVICE, (*good, live, *(failed(n) for n in range(10, 100))))
    kept.write(history, "")
    numbers = [r.number for r in kept.read(SERVICE)[0].releases]
    assert numbers == [5, 6, 7, 8, 9, *range(55, 100)]


def test_a_rollback_without_a_number_has_one_to_go_to(kept: ConfigMapReleaseStore) -> None:
    same = make_plan("same")
    again = [retired(n, plan=same) for n in range(2, 80)]
    live = release(80, State.LIVE, verified_at=1.0, plan=same)
    kept.write(History(SERVICE, (retired(1), *again, live)), "")
    assert kept.read(SERVICE)[0].find(1) is not None, "no earlier good release is left"


def test_the_size_is_bounded(
    api: FakeApi, kept: ConfigMapReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MOST_BYTES", 30_000)
    history = History(SERVICE, tuple(failed(n, reason="ü" * 2000) for n in range(1, 31)))
    kept.write(history, "")
    left = kept.read(SERVICE)[0].releases
    assert 1 < len(left) < 10
    assert left == history.releases[-len(left) :]
    sizes = [len(text.encode()) for key, text in stored(api)["data"].items() if key != "summary"]
    assert sum(sizes) <= 30_000


def test_what_must_be_kept_and_does_not_fit_is_refused(
    api: FakeApi, kept: ConfigMapReleaseStore
) -> None:
    version = kept.write(ONE, "")
    large = release(2, State.STAGING, reason="x" * store.MOST_BYTES)
    with pytest.raises(RefusedError, match="at most 700 KiB") as caught:
        kept.write(ONE.with_release(large), version)
    assert "release-2.json with 70" in caught.value.message
    assert kept.read(SERVICE) == (ONE, version)


STATES = st.sampled_from([State.STAGING, State.LIVE, State.RETIRED, State.FAILED])
ENTRIES = st.lists(st.tuples(STATES, st.booleans(), st.integers(1, 400)), max_size=90)


@given(ENTRIES, st.integers(1, 5000))
def test_pruning_never_changes_what_the_flow_goes_by(
    entries: list[tuple[State, bool, int]], most: int
) -> None:
    sizes = {number: size for number, (_, _, size) in enumerate(entries, 1)}
    history = History(
        SERVICE,
        tuple(
            release(number, state, verified_at=1.0 if good else None)
            for number, (state, good, _) in enumerate(entries, 1)
        ),
    )
    left = pruning.pruned(history, most, sizes)
    assert left.next_number == history.next_number, "a number would be given out twice"
    assert (left.live, left.staging) == (history.live, history.staging)
    running = [r for r in history.releases if r.state in (State.LIVE, State.STAGING)]
    good = [r for r in history.releases if r.verified_at is not None]
    assert set(map(_number, running)) <= set(map(_number, left.releases))
    assert set(map(_number, good[-5:])) <= set(map(_number, left.releases))
    assert pruning.pruned(left, most, sizes) == left
    dropped = len(history.releases) - len(left.releases)
    fits = len(history.releases) <= 50 and sum(sizes.values()) <= most
    assert not (fits and dropped), "something was dropped without need"


def _number(release: Release) -> int:
    return release.number


def test_the_flow_goes_on_over_records_that_were_read_from_the_cluster(
    kept: ConfigMapReleaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = SimulatedTarget()
    monkeypatch.setattr(world, "store", kept)

    def deployed(source: str) -> bool:
        flow = workflow.deploy(world, make_deployment(source), planner=plan_of)
        return run(flow)[1].changed

    assert [deployed(source) for source in ("a", "a", "b", "b")] == [True, False, True, False]
    assert run(workflow.rollback(world, SERVICE))[1].changed
    assert not deployed("a"), "what was read back is not the same plan"
    world.gap_allowed = True
    run(workflow.destroy(world, SERVICE))
    assert [r.state.value for r in kept.read(SERVICE)[0].releases] == ["retired"] * 3
