"""What stands around the runtimes follows the releases that stay, and what was lost comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Json, Site, open_site
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer
from tests.support.program import Done

EXPOSED = {"kind": "ingress", "hostname": "chat.example.com", "tls_secret": "chat-tls"}
KINDS = "networkpolicies,poddisruptionbudgets,ingresses,roles,rolebindings"


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("site")) as made:
        yield made


def deploy(site: Site, **sections: Any) -> Done:
    done = site.desk.deploy(site.desk.spec(**sections))
    assert done.code == 0, done.text
    return done


def runtime(site: Site) -> str:
    [one] = site.items("rayservices")
    return str(one["metadata"]["name"])


def of_runtimes(site: Site) -> set[str]:
    """Runtimes that an object of any kind names as its own."""
    labels = (one["metadata"].get("labels", {}) for one in site.items(KINDS))
    return {f"chat-{found['llmops/runtime']}" for found in labels if "llmops/runtime" in found}


def fewest_replicas(site: Site) -> int:
    budget = site.one("poddisruptionbudget", f"{runtime(site)}-replica")
    return int(budget["spec"]["minAvailable"])


def test_a_way_in_from_outside_goes_with_the_release_that_asked_for_it(site: Site) -> None:
    deploy(site, target={"expose": EXPOSED})
    assert "Ingress/chat" in site.names(KINDS)
    deploy(site)
    assert "Ingress/chat" not in site.names(KINDS)


def test_a_budget_counts_the_pods_of_the_releases_that_stay(site: Site) -> None:
    deploy(site, security={"requests_per_minute": 98})
    assert fewest_replicas(site) == 1


def test_a_new_runtime_brings_what_it_asks_for_and_the_old_one_leaves_nothing(site: Site) -> None:
    before = runtime(site)
    deploy(site, target={"expose": EXPOSED}, engine={"kv_cache": "2GiB"})
    assert runtime(site) != before
    assert of_runtimes(site) == {runtime(site)}
    assert "Ingress/chat" in site.names(KINDS)


def test_a_range_of_replicas_makes_a_runtime_with_an_autoscaler(site: Site) -> None:
    before = runtime(site)
    deploy(site, scaling={"replicas": "1..2"})
    assert runtime(site) != before
    [cluster] = site.items("rayclusters")
    assert cluster["spec"]["enableInTreeAutoscaling"] is True
    deploy(site)
    assert not {name for name in site.names(KINDS) if "autoscaler" in name}


def test_more_gateways_are_added_to_a_cluster_that_runs(site: Site) -> None:
    before = runtime(site)
    deploy(site, target={"gateways": 3})
    assert runtime(site) == before
    until("three gateways", lambda: len(gateways(site)) == 3, 20)


def gateways(site: Site) -> list[Json]:
    return site.items("pods", f"llmops/role=gateway,ray.io/cluster={raycluster(site)}")


def raycluster(site: Site) -> str:
    [one] = site.items("rayclusters")
    return str(one["metadata"]["name"])


def test_a_live_release_that_serve_has_given_up_comes_back(site: Site, standin: StandIn) -> None:
    # As many gateways as before: a pod that no gateway is on is not ready, and a fake kubelet,
    # which asks no probe, would have clients led there.
    as_many = {"gateways": len(gateways(site))}
    deploy(site, target=as_many)
    [release] = site.desk.status()["releases"]
    application = f"chat-r{release['number']}"
    standin.fail(application, "no space left on device")
    [head] = site.items("pods", "llmops/role=head")
    site.kubectl("delete", "pod", head["metadata"]["name"], "--wait=false")
    until("given up", lambda: phase(site) == "failed", 60)
    standin.heal(application)
    done = deploy(site, target=as_many)
    assert "still serves" in done.out
    assert phase(site) == "ready"
    assert site.desk.status()["releases"][0]["number"] == release["number"]


def phase(site: Site) -> str:
    return str(site.desk.status()["releases"][0]["phase"])
