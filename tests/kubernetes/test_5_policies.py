"""Policies where they hold on a cluster: refused, watched, upgraded, kept and audited."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.image import labels
from llmops import __version__
from serving.runtime.versions import versions
from tests.clusters.image.fake_registry import FakeRegistry, serve
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, WarmDesk, open_site
from tests.kubernetes.standin import StandIn
from tests.kubernetes.traffic import Traffic
from tests.support.hub import HubServer
from tests.support.program import Done

Json = dict[str, Any]
PLANTED: list[Json] = yaml.safe_load(
    (Path(__file__).parents[1] / "cases/planted/kubernetes.yaml").read_text()
)
OLD_RAY = "2.50.0"
"""One with known holes; the image is what it says it is."""
POLICY: Json = {
    "apiVersion": "llmops/v1",
    "kind": "Policy",
    "name": "acme",
    "layer": "organisation",
    "security": {"limits": {"max_tokens": 256}, "key_age": "90d"},
    "scaling": {"replicas": "1..2"},
    "maintenance": {"strategies": ["rolling", "canary"]},
}
LESS = {"max_tokens": 199}
SECURITY = {"requests_per_minute": 100_000, "max_tokens": 200}


@dataclass
class Shop:
    """A service under a policy, and the images that it may run."""

    site: Site
    images: dict[str, str]
    """Reference by the version of Ray in it."""

    @property
    def desk(self) -> WarmDesk:
        return self.site.desk

    def spec(self, ray: str = "", **sections: Any) -> Path:
        """The service's spec, on the image with that Ray; by default the newest."""
        wanted = {"image": self.images[ray or versions()["ray"]], **sections}
        return self.desk.spec(
            **{**wanted, "security": {**SECURITY, **sections.get("security", {})}}
        )

    def here(self, *arguments: str | Path) -> Done:
        """A verb that is about the namespace."""
        return self.desk.run(*arguments, "--namespace", self.site.namespace)

    def history(self) -> list[Json]:
        found: list[Json] = self.desk.run("history", "chat", "-o", "json").json()["releases"]
        return found

    def live(self) -> int:
        [number] = [r["number"] for r in self.desk.status()["releases"] if r["share"] == 100]
        return int(number)


@pytest.fixture(scope="module")
def images() -> Iterator[dict[str, str]]:
    """A registry with two images that differ in the Ray that they have."""
    with serve() as registry:
        yield {ray: _image(registry, ray) for ray in (OLD_RAY, versions()["ray"])}


def _image(registry: FakeRegistry, ray: str) -> str:
    told = {labels.VERSION: __version__, labels.ENGINE: versions()["engine"], labels.RAY: ray}
    return f"{registry.host}/team/llmops@{registry.add(told, tag=ray)}"


@pytest.fixture(scope="module")
def shop(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    images: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    """`chat` as it was deployed a while ago: on an image with an old Ray."""
    before, now = standin.latency.token, standin.versions
    standin.latency.token = 0.02
    standin.versions = now | {"ray": OLD_RAY}
    try:
        with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("site")) as site:
            made = Shop(site, images)
            done = site.desk.deploy(made.spec(OLD_RAY))
            assert done.code == 0, done.text
            standin.versions = now
            yield made
    finally:
        standin.latency.token, standin.versions = before, now


@pytest.fixture(scope="module")
def key(shop: Shop) -> str:
    made = shop.desk.run("keys", "create", "chat", "-k", "clients", "-o", "json")
    return str(made.json()["key"])


def test_a_policy_is_kept_in_the_namespace_and_refuses_from_any_desk(shop: Shop) -> None:
    file = shop.desk.folder / "policy.yaml"
    file.write_text(yaml.safe_dump(POLICY, sort_keys=False))
    applied = shop.here("policy", "apply", "-f", file, "--yes")
    assert applied.code == 0, applied.text
    kept = shop.site.one("configmap", "llmops-policies")
    assert "acme" in kept["data"]["summary"]
    assert shop.here("policy", "list", "-o", "json").json()["policies"][0]["version"] == 1
    other = shop.site.desk_of(None, "colleague")
    spec = other.spec(
        security={**SECURITY, "max_tokens": 512}, maintenance={"strategy": "recreate"}
    )
    checked = other.run("policy", "check", "-s", spec)
    before = still(shop.site)
    refused = other.deploy(spec)
    assert (checked.code, refused.code) == (3, 3), checked.text + refused.text
    for done in (checked, refused):
        assert "max_tokens" in done.text
        assert "maintenance.strategies" in done.text
    assert f"{spec.name}:" in refused.text
    assert still(shop.site) == before
    assert shop.live() == 1


def test_an_upgrade_closes_the_hole_that_an_audit_shows(shop: Shop, key: str) -> None:
    shown = shop.here("policy", "audit", "chat", "--only", "holes", "-o", "json")
    assert {one["id"] for one in shown.json()["findings"]} == {"audit.holes"}, shown.text
    wanted = ("upgrade", "chat", "--image", shop.images[versions()["ray"]])
    planned = shop.desk.run(*wanted, "--plan-only", "-o", "json").json()
    assert {"part": "ray", "now": OLD_RAY, "then": versions()["ray"]} in planned["changes"]
    assert [hole["part"] for hole in planned["holes"]["closed"]]
    assert shop.live() == 1
    with Traffic(shop.site, key) as asking:
        done = shop.desk.run(*wanted, "--yes")
    assert done.code == 0, done.text
    assert asking.problems == []
    assert shop.live() == 2
    assert shop.desk.run(*wanted, "--yes").out.startswith("nothing to do")
    again = shop.here("policy", "audit", "chat", "--only", "holes", "-o", "json")
    assert again.json()["findings"] == []


SHARED: Json = {"steps": [40], "watch": "10s", "least_requests": 3}
CANARY: Json = {"strategy": "canary", "canary": SHARED}


def test_a_release_is_watched_on_some_of_the_traffic_and_promoted(shop: Shop, key: str) -> None:
    before, new = shop.live(), shop.history()[-1]["number"] + 1
    with Traffic(shop.site, key) as asking:
        done = shop.desk.deploy(shop.spec(security=LESS, maintenance=CANARY))
    assert done.code == 0, done.text
    assert asking.problems == []
    assert f"release {new} has 40 % of new requests" in done.err
    assert f"release {new} is no worse than {before}: 0 of " in done.err
    assert shop.live() == new
    made = shop.history()[-1]
    assert made["verified_at"] - made["watched_since"] >= 10
    shared = [a.release for a in sorted(asking.answers, key=lambda a: a.began)]
    shared = shared[shared.index(new) : len(shared) - shared[::-1].index(before)]
    assert {before, new} == set(shared), "only one of the two was seen serving"


def test_a_release_that_is_slower_is_taken_back_and_loses_no_request(
    shop: Shop, key: str, standin: StandIn
) -> None:
    before, bad = shop.live(), shop.history()[-1]["number"] + 1
    patient = {**CANARY, "canary": {**SHARED, "watch": "5min"}}
    standin.latency.slow[bad] = 1.0
    try:
        with Traffic(shop.site, key) as asking:
            done = shop.desk.deploy(shop.spec(maintenance=patient))
    finally:
        del standin.latency.slow[bad]
    assert done.code == 4, done.text
    assert f"release {bad} is worse than {before}: " in done.err
    assert f"release {before} still serves" in done.err
    assert asking.problems == []
    assert bad in asking.releases
    assert shop.live() == before
    told = shop.history()[-1]
    assert (told["number"], told["state"]) == (bad, "failed")
    assert "of its first tokens" in told["reason"]


def test_a_backup_of_one_namespace_serves_in_an_empty_one(
    shop: Shop, key: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    key_file, kept = tmp_path / "key", f"file://{tmp_path}/kept"
    assert shop.desk.run("backup", "key", key_file).code == 0
    saved = shop.desk.run("backup", "chat", "--to", kept, "--key-file", key_file)
    assert saved.code == 0, saved.text
    empty = control_plane.namespace()
    try:
        other = shop.site.desk_of(None, "restorer", namespace=empty)
        arguments = ("restore", "--from", kept, "--key-file", key_file, "--namespace", empty)
        done = other.run(*arguments, "--yes")
        assert done.code == 0, done.text
        site = replace(shop.site, namespace=empty, desk=other)
        answer = site.ask(key)
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["completion_tokens"] > 0
        told = other.run("history", "chat", "-o", "json").json()["releases"]
        live = shop.live()
        assert [one["number"] for one in told][:-1] == [r["number"] for r in shop.history()]
        assert (told[-1]["state"], told[-1]["rollback_of"]) == ("live", live)
        assert other.run("policy", "list", "--namespace", empty).out.count("acme") == 1
        assert other.run("diff", "chat", "--exit-code").code == 0
        again = other.run(*arguments, "--yes")
        assert again.code == 0, again.text
        assert other.run("history", "chat", "-o", "json").json()["releases"] == told
    finally:
        control_plane.remove_namespace(empty)
    assert shop.site.ask(key).headers["x-llmops-release"] == str(live)


def test_the_audit_lines_of_every_gateway_are_read_and_verified(
    shop: Shop, key: str, standin: StandIn
) -> None:
    shop.site.ask(key)
    shop.site.ask("llmops-0000000000000000-nobody")
    pods = {one["metadata"]["name"] for one in shop.site.items("pods", "llmops/role=gateway")}
    lines = [json.loads(line) for line in shop.here("logs", "chat", "--audit").out.splitlines()]
    assert [one["time"] for one in lines] == sorted(one["time"] for one in lines)
    assert {one["service"] for one in lines} == {"chat"}
    assert len(pods) == 2
    whole = shop.here("logs", "chat", "--audit", "--verify")
    assert whole.code == 0, whole.text
    for pod in pods:
        assert re.search(rf"{pod}: known callers: [1-9]\d* lines verified", whole.out), whole.out
    file = standin.audit_file(min(pods))
    text = file.read_text()
    first, *rest = text.splitlines(keepends=True)
    file.write_text("".join([first.replace('"service": "chat"', '"service": "chap"'), *rest]))
    edited = shop.here("logs", "chat", "--audit", "--verify")
    found = shop.here("policy", "audit", "chat", "--only", "log", "-o", "json")
    file.write_text(text)
    assert (edited.code, found.code) == (3, 3), edited.text + found.text
    assert "line 1 of the chain was edited" in edited.out
    [finding] = found.json()["findings"]
    assert min(pods) in finding["message"]
    assert key not in lines[0].values()


def test_an_audit_finds_nothing_until_something_is_planted(shop: Shop, key: str) -> None:
    clean = shop.here("policy", "audit", "chat", "-o", "json")
    assert clean.code == 0, clean.text
    assert clean.json()["findings"] == []
    for one in PLANTED:
        plant(shop.site, one)
    age_keys(shop.site)
    done = shop.here("policy", "audit", "chat", "-o", "json", *only(PLANTED))
    assert done.code == 3, done.text
    found = done.json()["findings"]
    missed = [one for one in PLANTED if not any(tells(finding, one) for finding in found)]
    assert missed == [], json.dumps(found, indent=1)
    assert "security.key_age" in {finding["id"] for finding in found}
    assert key not in done.text


def still(site: Site) -> set[str]:
    """What is in the namespace and does not come by itself."""
    return {name for name in site.names() if not name.startswith(("Event/", "Lease/"))}


def only(planted: list[Json]) -> list[str]:
    """Options for the checks that look for these, and for what breaks a policy."""
    wanted = [*sorted({one["id"] for one in planted}), "audit.policy"]
    return [word for one in wanted for word in ("--only", one)]


def tells(finding: Json, planted: Json) -> bool:
    return (
        finding["id"] == planted["id"]
        and planted["says"] in finding["message"]
        and planted.get("proof", "") in finding["proof"]
    )


def plant(site: Site, one: Json) -> None:
    """Do to the namespace what a case says."""
    if "label" in one:
        site.kubectl("label", "namespace", site.namespace, one["label"], "--overwrite")
    if "create" in one:
        site.kubectl("create", "-f", "-", input=json.dumps(one["create"]))
    if "delete" in one:
        site.kubectl("delete", one["delete"])
    if "patch" in one:
        kind, _, name = one["patch"].partition("/")
        kinds = "strategic" if one.get("strategic") else "merge"
        named = [found.partition("/")[2] for found in site.names(kind)]
        target = min(one for one in named if name.removeprefix("~") in one)
        site.kubectl("patch", kind, target, f"--type={kinds}", "-p", json.dumps(one["with"]))


def age_keys(site: Site) -> None:
    """Have every key be made long ago."""
    held = base64.b64decode(site.one("secret", "chat-keys")["data"]["keys.json"])
    document = json.loads(held)
    for one in document["services"]["chat"]:
        one["created_at"] = 1_500_000_000.0
    aged = base64.b64encode(json.dumps(document).encode()).decode()
    site.kubectl("patch", "secret", "chat-keys", "-p", json.dumps({"data": {"keys.json": aged}}))
