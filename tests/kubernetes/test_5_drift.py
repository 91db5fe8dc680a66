"""Edits by others: shown with who and when, never written over unasked, and settled when asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer

Json = dict[str, Any]
WHEN = r"at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
BUDGET, POLICY, DOOR = "PodDisruptionBudget", "NetworkPolicy", "Service"


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("site")) as made:
        done = made.desk.deploy(made.desk.spec())
        assert done.code == 0, done.text
        yield made


def named(site: Site, kind: str, like: str) -> str:
    """The one object of a kind whose name has that in it."""
    [name] = [o["metadata"]["name"] for o in site.items(kind) if like in o["metadata"]["name"]]
    return str(name)


def diff(site: Site) -> str:
    done = site.desk.run("diff", "chat")
    assert done.code == 0, done.text
    return done.out


def patch(site: Site, kind: str, name: str, change: Json) -> None:
    site.kubectl("patch", kind, name, "--type=merge", "--patch", json.dumps(change))


def settle(site: Site) -> None:
    """Make it as the release says, whoever else has set what."""
    done = site.desk.deploy(site.desk.spec(), "--take-ownership")
    assert done.code == 0, done.text
    assert diff(site) == "chat: the cluster is as the releases say\n"


def test_an_untouched_service_is_as_the_releases_say(site: Site) -> None:
    assert diff(site) == "chat: the cluster is as the releases say\n"
    assert site.desk.run("diff", "chat", "--exit-code").code == 0


def test_what_others_add_is_shown_and_left(site: Site) -> None:
    site.kubectl("label", "service", "chat", "team=search")
    shown = diff(site)
    assert re.search(rf"set by kubectl-label {WHEN}; llmops leaves it as it is", shown), shown
    assert "search" in shown
    done = site.desk.deploy(site.desk.spec())
    assert done.code == 0, done.text
    assert site.one("service", "chat")["metadata"]["labels"]["team"] == "search"
    site.kubectl("label", "service", "chat", "team-")
    assert diff(site) == "chat: the cluster is as the releases say\n"


EDITS = {
    "a budget": (BUDGET, "gateway", {"spec": {"minAvailable": 0}}, ".spec.minAvailable"),
    "a RayService": (
        "RayService", "chat-", {"spec": {"upgradeStrategy": {"type": "NewCluster"}}},
        ".spec.upgradeStrategy.type",
    ),
    "the Service's port": (
        DOOR, "chat", {"spec": {"ports": [{"name": "http", "port": 8000, "targetPort": 9090}]}},
        "targetPort",
    ),
    "a label of ours": (POLICY, "chat-dns", {"metadata": {"labels": {"llmops/service": "x"}}}, "x"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edit_is_shown_and_not_written_over_until_told(
    site: Site, edit: tuple[str, str, Json, str]
) -> None:
    kind, like, change, field = edit
    name = "chat" if kind == DOOR else named(site, kind, like)
    patch(site, kind, name, change)
    shown = diff(site)
    assert f"{kind}/{name}: changed" in shown
    assert field in shown
    told = rf"set by kubectl-patch {WHEN}; a deploy is refused until it is settled"
    assert re.search(told, shown), shown
    assert site.desk.run("diff", "chat", "--exit-code").code == 1
    changed = site.desk.spec(security={"requests_per_minute": 99})
    before = site.one(kind, name)
    for verb, *more in (("plan",), ("deploy", "--yes")):
        done = site.desk.run(verb, "-f", changed, *more)
        assert done.code == 3, done.text
        assert f"{kind}/{name}" in done.err
        assert field in done.err
        assert "set by kubectl-patch" in done.err
        assert "--take-ownership" in done.err
    assert site.one(kind, name)["spec"] == before["spec"]
    settle(site)


def test_a_service_that_was_turned_away_from_its_runtime_is_shown(site: Site) -> None:
    patch(site, DOOR, "chat", {"spec": {"selector": {"llmops/runtime": "00000000"}}})
    shown = diff(site)
    assert "Service/chat: changed" in shown
    assert re.search(rf"set by kubectl-patch {WHEN}", shown), shown
    settle(site)
    assert site.desk.status()["releases"][-1]["share"] == 100


@pytest.mark.parametrize("kind", [BUDGET, POLICY, "ServiceAccount", DOOR])
def test_what_somebody_deleted_is_missing_until_the_next_deploy(site: Site, kind: str) -> None:
    likes = {BUDGET: "gateway", POLICY: "chat-deny"}
    name = named(site, kind, likes[kind]) if kind in likes else "chat"
    site.kubectl("delete", kind, name)
    assert f"{kind}/{name}: missing" in diff(site)
    done = site.desk.deploy(site.desk.spec())
    assert done.code == 0, done.text
    assert site.one(kind, name)["metadata"]["labels"]["llmops/service"] == "chat"
    assert diff(site) == "chat: the cluster is as the releases say\n"


def test_an_object_of_ours_that_no_release_has_is_shown(site: Site) -> None:
    own = {"app.kubernetes.io/managed-by": "llmops", "llmops/service": "chat"}
    extra = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": POLICY,
        "metadata": {"name": "chat-old", "labels": own},
        "spec": {"podSelector": {}},
    }
    asked = ("apply", "--server-side", "--field-manager=llmops", "--filename=-")
    site.kubectl(*asked, input=yaml.safe_dump(extra))
    assert f"{POLICY}/chat-old: extra" in diff(site)
    site.kubectl("delete", POLICY, "chat-old")


def test_the_diff_is_data_too(site: Site) -> None:
    patch(site, BUDGET, named(site, BUDGET, "head"), {"spec": {"minAvailable": 0}})
    told = site.desk.run("diff", "chat", "-o", "json").json()
    [drift] = told["drift"]
    [field] = drift["fields"]
    assert (drift["kind"], drift["state"]) == (BUDGET, "changed")
    assert (field["path"], field["wanted"], field["found"]) == (".spec.minAvailable", 1, 0)
    assert (field["manager"], field["operation"], field["ours"]) == (
        "kubectl-patch",
        "Update",
        True,
    )
    settle(site)
