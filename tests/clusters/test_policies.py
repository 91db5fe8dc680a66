"""The policies of a namespace: what the ConfigMap holds, and what others did to it."""

from __future__ import annotations

import json

import pytest

from clusters import policies
from clusters.model import Manifest
from clusters.policies import NAME, ConfigMapPolicyStore
from llmops.errors import RefusedError, TargetError
from llmops.policies import Shelf
from llmops.releases import Conflict
from tests.clusters.fake_api import FakeApi

TEXT = "kind: Policy\nname: acme\n"
ONE = Shelf().applied("acme", TEXT, 1.0, "ann@laptop")
THREE = (
    ONE.applied("team", "kind: Policy\nname: team\n", 2.0, "bob@ci")
    .applied("acme", TEXT + "# more\n", 3.0, "ann@laptop")
    .removed("team", 4.0)
)


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def kept(api: FakeApi) -> ConfigMapPolicyStore:
    return ConfigMapPolicyStore(api, "ai")


def stored(api: FakeApi) -> Manifest:
    found = api.get("ConfigMap", NAME, "ai")
    assert found is not None
    return found


def test_a_namespace_without_policies_has_an_empty_shelf(kept: ConfigMapPolicyStore) -> None:
    assert kept.read() == (Shelf(), "")


def test_what_was_written_is_read_by_another_store(
    api: FakeApi, kept: ConfigMapPolicyStore
) -> None:
    version = kept.write(THREE, kept.write(ONE, ""))
    assert ConfigMapPolicyStore(api, "ai").read() == (THREE, version)
    assert ConfigMapPolicyStore(api, "other").read() == (Shelf(), "")


def test_people_read_it_with_kubectl(api: FakeApi, kept: ConfigMapPolicyStore) -> None:
    kept.write(THREE, "")
    assert stored(api)["data"]["summary"] == (
        "POLICY  VERSION  APPLIED               BY\n"
        "acme    2        1970-01-01 00:00 UTC  ann@laptop  holds\n"
        "team    1        1970-01-01 00:00 UTC  bob@ci      removed\n"
        "acme    1        1970-01-01 00:00 UTC  ann@laptop  replaced\n"
    )
    labels = stored(api)["metadata"]["labels"]
    assert labels["app.kubernetes.io/managed-by"] == "llmops"
    assert labels["app.kubernetes.io/component"] == "policies"


def test_it_is_no_record_of_a_service(api: FakeApi, kept: ConfigMapPolicyStore) -> None:
    from clusters.store import ConfigMapReleaseStore

    kept.write(ONE, "")
    assert ConfigMapReleaseStore(api, "ai").services() == ()


def test_a_writer_that_read_an_older_version_changes_nothing(kept: ConfigMapPolicyStore) -> None:
    first = kept.write(ONE, "")
    with pytest.raises(Conflict):
        kept.write(THREE, "")
    kept.write(THREE, first)
    with pytest.raises(Conflict):
        kept.write(ONE, first)
    assert kept.read()[0] == THREE


def test_a_writer_that_is_overtaken_between_look_and_write_changes_nothing(
    api: FakeApi, kept: ConfigMapPolicyStore
) -> None:
    version = kept.write(ONE, "")
    other = ConfigMapPolicyStore(api, "ai")

    def overtake() -> None:
        api.before_write = lambda: None
        other.write(THREE, version)

    api.before_write = overtake
    with pytest.raises(Conflict):
        kept.write(ONE, version)
    assert kept.read()[0] == THREE


def test_what_others_put_on_it_stays(api: FakeApi, kept: ConfigMapPolicyStore) -> None:
    kept.write(ONE, "")
    found = stored(api)
    found["metadata"]["labels"]["team"] = "ai"
    api.replace(found)
    kept.write(THREE, kept.read()[1])
    assert stored(api)["metadata"]["labels"]["team"] == "ai"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("000001-acme-v1.json", "{"),
        ("000001-acme-v1.json", "{}"),
        ("000001-other-v1.json", None),
        ("000001-acme-v2.json", None),
        ("acme.yaml", None),
    ],
)
def test_damage_is_reported_by_its_key_and_never_passed_over(
    api: FakeApi, kept: ConfigMapPolicyStore, key: str, text: str | None
) -> None:
    kept.write(ONE, "")
    found = stored(api)
    (own,) = (name for name in found["data"] if name != "summary")
    found["data"] = {key: found["data"][own] if text is None else text}
    api.replace(found)
    with pytest.raises(TargetError, match=f"key '{key}' of ConfigMap {NAME}") as caught:
        kept.read()
    assert f"kubectl -n ai edit configmap {NAME}" in caught.value.hint


def test_old_versions_are_dropped_where_an_object_would_be_too_large(
    api: FakeApi, kept: ConfigMapPolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MOST_BYTES", 2000)
    shelf = ONE
    for number in range(30):
        shelf = shelf.applied("acme", f"{TEXT}# {number}\n", float(number), "ann@laptop")
    kept.write(shelf, "")
    read = kept.read()[0]
    assert read.holding() == shelf.holding()
    assert 1 < len(read.entries) < len(shelf.entries)
    assert read.entries == shelf.entries[-len(read.entries) :]
    assert len(json.dumps(stored(api)["data"])) < 4000


def test_policies_that_do_not_fit_are_refused_before_anything_is_written(
    api: FakeApi, kept: ConfigMapPolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "MOST_BYTES", 300)
    with pytest.raises(RefusedError, match="do not fit into a ConfigMap"):
        kept.write(ONE.applied("team", TEXT + "#" * 300, 1.0, "x"), "")
    assert api.get("ConfigMap", NAME, "ai") is None
