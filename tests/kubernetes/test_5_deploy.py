"""A service's life on a real API server, by the installed `llmops`, from plan to destroy."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, open_site
from tests.kubernetes.standin import StandIn
from tests.support.hub import HubServer

STATUS = {
    "name", "target", "url", "metrics_url", "model", "healthy", "last_generation_at",
    "requests_per_minute", "tokens_per_second", "releases", "quarantined", "notes",
}  # fmt: skip
RELEASE = {
    "number", "state", "phase", "share", "replicas", "in_flight", "memory_bytes", "verified_at",
    "reason", "wanted", "scaling", "startup", "shadowed",
}  # fmt: skip
KEPT = {"ConfigMap/chat-releases", "Lease/chat-llmops"}
"""All that is left of a service that was destroyed."""
CLUSTER_WIDE = "priorityclasses,clusterroles,clusterrolebindings"


@pytest.fixture(scope="module")
def site(
    control_plane: ControlPlane,
    standin: StandIn,
    hub: HubServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    with open_site(control_plane, standin, hub, tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def served(site: Site) -> Site:
    """The site with `chat` deployed, by the program as a person starts it."""
    done = site.desk.run_cold("deploy", "-f", site.desk.spec(), "--yes")
    assert done.code == 0, done.text
    return site


@pytest.fixture(scope="module")
def key(served: Site) -> str:
    """An API key, which the program has made."""
    made = served.desk.run("keys", "create", "chat", "-k", "team-a", "-o", "json").json()
    assert made["name"] == "chat" or made["name"] == "team-a"
    return str(made["key"])


def ours(site: Site) -> set[str]:
    """What is in the namespace, without what Kubernetes puts into each."""
    found = {name for name in site.names() if not name.startswith("Event/")}
    return found - {"ServiceAccount/default", "ConfigMap/kube-root-ca.crt"}


def test_a_plan_shows_the_servers_diff_and_writes_nothing(site: Site) -> None:
    def plan() -> None:
        done = site.desk.run("plan", "-f", site.desk.spec())
        assert done.code == 0, done.text
        for made in ("ServiceAccount/chat", "NetworkPolicy/chat-deny", "Service/chat"):
            assert f"+ {made}" in done.text
        assert re.search(r"\+ RayService/chat-[0-9a-f]{8}", done.text)

    assert ours(site) == set()
    assert site.writes_during(plan) == []
    assert ours(site) == set()


def test_status_tells_what_serves(served: Site) -> None:
    told = served.desk.status()
    assert set(told) == STATUS
    assert told["target"] == "kubernetes"
    assert told["url"] == f"http://chat.{served.namespace}.svc:8000/v1"
    assert told["model"] == "chat"
    assert told["healthy"] is True
    [release] = told["releases"]
    assert set(release) == RELEASE
    assert release["share"] == 100
    assert (release["state"], release["phase"], release["replicas"]) == ("live", "ready", 1)
    text = served.desk.run("status", "chat").out
    assert text.startswith("chat on kubernetes: healthy")
    assert re.search(r"\n1 +live +ready +100 % +1 ", text)
    listed = served.desk.run("status").out
    assert re.search(r"\nchat +healthy +1 ", listed)


def test_deploying_the_same_again_writes_nothing_but_the_lock(served: Site) -> None:
    def deploy() -> None:
        done = served.desk.deploy(served.desk.spec())
        assert done.code == 0, done.text
        assert "chat: release 1 still serves: nothing changed" in done.out

    wrote = served.writes_during(deploy)
    assert {(one.resource, one.name) for one in wrote} == {("leases", "chat-llmops")}


def test_a_key_opens_the_endpoint_until_it_is_revoked(served: Site, key: str) -> None:
    answer = served.ask(key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-llmops-release"] == "1"
    assert served.ask("lk-nobody").status_code == 401
    listed = served.desk.run("keys", "list", "chat")
    assert "team-a" in listed.out
    assert key not in listed.text
    second = served.desk.run("keys", "create", "chat", "-k", "team-b", "-o", "json").json()["key"]
    assert served.ask(second).status_code == 200
    revoked = served.desk.run("keys", "revoke", "chat", "team-b")
    assert revoked.code == 0, revoked.text
    assert served.ask(second).status_code == 401
    assert served.ask(key).status_code == 200


def test_a_name_of_a_key_is_taken_once(served: Site, key: str) -> None:
    again = served.desk.run("keys", "create", "chat", "-k", "team-a")
    assert again.code == 2
    assert "team-a" in again.err
    assert key not in again.text


def test_chat_answers_through_the_api_server(served: Site) -> None:
    said = served.desk.run_cold("chat", "chat", "what is up", "--max-tokens", "3")
    assert said.code == 0, said.text
    assert said.out.split() == ["r1.0", "r1.1", "r1.2"]


def test_bench_loads_the_endpoint_through_the_api_server(served: Site) -> None:
    asked = ("-n", "8", "-c", "2", "--max-tokens", "4", "-o", "json")
    done = served.desk.run("bench", "chat", *asked)
    assert done.code == 0, done.text
    assert done.json()["requests"] == {"ok": 8, "failed": 0, "failures": {}}


def test_logs_that_no_kubelet_gives_are_an_error_that_says_so(served: Site) -> None:
    done = served.desk.run("logs", "chat")
    assert done.code == 5, done.text
    assert "the API server does not reach the kubelet of node node-" in done.err
    assert "kubectl get node" in done.err
    assert "Traceback" not in done.text


def test_the_logs_of_a_release_that_never_was_are_refused(served: Site) -> None:
    done = served.desk.run("logs", "chat", "--release", "9")
    assert (done.code, "chat has no release 9" in done.err) == (2, True), done.text


def test_status_needs_no_more_than_access_to_the_namespace(served: Site) -> None:
    other = served.desk_of(None, "colleague", namespace="default")
    lost = other.run("status", "chat")
    assert lost.code == 2, lost.text
    assert "no service 'chat' on this machine" in lost.err
    found = other.run("status", "chat", "--context", "tests", "--namespace", served.namespace)
    assert found.code == 0, found.text
    assert found.out.startswith("chat on kubernetes: healthy")


def test_kubectl_runs_it_on_its_own_namespace(served: Site) -> None:
    path = served.path_with_plugins()
    done = served.as_user("kubectl", "llmops", "status", "chat", PATH=path, LLMOPS_HOME="elsewhere")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("chat on kubernetes: healthy")


def test_the_shell_completes_verbs_and_names(served: Site) -> None:
    from tests.support.program import LLMOPS

    told = {"_LLMOPS_COMPLETE": "complete_bash"}
    verbs = served.as_user(str(LLMOPS), **told, COMP_WORDS="llmops di", COMP_CWORD="1")
    assert "diff" in verbs.stdout.split()
    names = served.as_user(str(LLMOPS), **told, COMP_WORDS="llmops status c", COMP_CWORD="2")
    assert names.stdout.split() == ["chat"]


def test_a_change_is_a_second_release_and_rollback_a_third(served: Site) -> None:
    second = served.desk.deploy(served.desk.spec(security={"requests_per_minute": 99}))
    assert second.code == 0, second.text
    assert "release 2 serves" in second.out
    third = served.desk.run("rollback", "chat", "--yes")
    assert third.code == 0, third.text
    assert "release 3 repeats release 1" in third.out
    told = served.desk.run("history", "chat", "-o", "json").json()["releases"]
    assert [one["state"] for one in told] == ["retired", "retired", "live"]
    assert [one["rollback_of"] for one in told] == [None, None, 1]
    assert "repeats release 1" in served.desk.run("history", "chat").out
    assert len(served.items("rayservices")) == 1


def test_destroy_leaves_the_history_and_the_lock(site: Site) -> None:
    before = site.names(CLUSTER_WIDE)
    made = site.desk.deploy(site.desk.spec(target={"priority": 1000, "quota": True}))
    assert made.code == 0, made.text
    more = site.names(CLUSTER_WIDE) - before
    assert more == {f"PriorityClass/llmops-{site.namespace}-chat-1000"}
    done = site.desk.run_cold("destroy", "chat", "--yes")
    assert done.code == 0, done.text
    assert "chat is gone" in done.out
    assert ours(site) == KEPT
    assert site.names(CLUSTER_WIDE) == before
    again = site.desk.run("destroy", "chat", "--yes")
    assert (again.code, "chat was gone already" in again.out) == (0, True), again.text
    assert "no release runs" in site.desk.run("status", "chat").out


def test_a_service_that_never_was_is_told_from_one_that_went(site: Site) -> None:
    for verb in (["status"], ["history"], ["logs"], ["destroy", "--yes"], ["diff"]):
        done = site.desk.run(*verb, "nobody", "--namespace", site.namespace)
        assert done.code == 2, done.text
        assert f"no service 'nobody' in namespace {site.namespace} of tests" in done.err
        assert "there are: chat" in done.err
