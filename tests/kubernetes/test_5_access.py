"""Access that is just enough, and each way in which it is not: who may not do what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes import objects
from tests.kubernetes.cluster import until
from tests.kubernetes.control_plane import ControlPlane
from tests.kubernetes.site import Site, WarmDesk, open_site
from tests.kubernetes.standin import StandIn
from tests.kubernetes.users import User
from tests.support.hub import HubServer
from tests.support.program import Done

Json = dict[str, Any]
ROLES = Path(__file__).parents[2] / "docs/kubernetes-role.yaml"
CASES = Path(__file__).parents[1] / "cases/rbac"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


def roles() -> dict[str, list[Json]]:
    """The rules that the documentation gives, by kind of role."""
    found = list(yaml.safe_load_all(ROLES.read_text()))
    return {one["kind"]: one["rules"] for one in found if "rules" in one}


def without(rules: Sequence[Json], resource: str, verb: str) -> list[Json]:
    """The rules without one verb on one resource."""
    made = []
    for rule in rules:
        for one in rule["resources"]:
            verbs = [v for v in rule["verbs"] if (one, v) != (resource, verb)]
            made.append({**rule, "resources": [one], "verbs": verbs})
    return [rule for rule in made if rule["verbs"]]


@dataclass
class Person:
    """Somebody with the documented roles, of which a verb can be taken away for a while."""

    plane: ControlPlane
    user: User
    namespace: str
    given: dict[str, list[Json]] = field(default_factory=roles)

    def bind(self) -> None:
        for kind, rules in self.given.items():
            within = self.namespace if kind == "Role" else None
            role, binding = objects.rights(self.user.name, rules, within)
            where = self._where(kind)
            self.plane.api("POST", where, role)
            self.plane.api("POST", where.replace("roles", "rolebindings"), binding)
        self._until_may("nodes", "list", True, "ClusterRole")
        self._until_may("events", "create", True, "Role")

    @contextmanager
    def lacking(self, kind: str, resource: str, verb: str) -> Iterator[None]:
        """Without one verb, until the block ends."""
        self._set(kind, without(self.given[kind], resource, verb))
        self._until_may(resource, verb, False, kind)
        try:
            yield
        finally:
            self._set(kind, self.given[kind])
            self._until_may(resource, verb, True, kind)

    def _set(self, kind: str, rules: Sequence[Mapping[str, Any]]) -> None:
        within = self.namespace if kind == "Role" else None
        role, _ = objects.rights(self.user.name, rules, within)
        self.plane.api("PUT", f"{self._where(kind)}/{self.user.name}", role)

    def _until_may(self, resource: str, verb: str, may: bool, kind: str) -> None:
        """Ask until the API server has taken the roles over."""
        name, _, sub = resource.partition("/")
        groups = {one: r["apiGroups"][0] for r in self.given[kind] for one in r["resources"]}
        group = groups[resource]
        asked = {"verb": verb, "group": group, "resource": name, "subresource": sub}
        if kind == "Role":
            asked["namespace"] = self.namespace
        who = {"user": self.user.name, "groups": ["system:authenticated"]}
        review = {"spec": {"resourceAttributes": asked, **who}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

        def holds() -> bool:
            return self.plane.api("POST", path, review)["status"]["allowed"] is may

        until(f"{self.user.name}: {verb} {resource} is {may}", holds)

    def _where(self, kind: str) -> str:
        return (
            f"{RBAC}/namespaces/{self.namespace}/roles"
            if kind == "Role"
            else f"{RBAC}/clusterroles"
        )


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
def person(site: Site) -> Person:
    made = Person(site.plane, site.plane.user(), site.namespace)
    made.bind()
    return made


@pytest.fixture(scope="module")
def desk(site: Site, person: Person) -> WarmDesk:
    """The desk of somebody who has the documented roles and nothing else."""
    return site.desk_of(person.user, "user")


def life(desk: WarmDesk) -> list[list[str | Path]]:
    """Every verb that asks a cluster, in an order in which they make sense."""
    larger = desk.spec(hardware={"cores": 3}).rename(desk.folder / "larger.yaml")
    policy = desk.folder / "policy.yaml"
    policy.write_text("apiVersion: llmops/v1\nkind: Policy\nname: acme\n")
    return [
        ["plan", "-f", desk.spec()],
        ["deploy", "-f", desk.spec(), "--yes"],
        ["status", "chat"],
        ["keys", "create", "chat", "-k", "a"],
        ["keys", "list", "chat"],
        ["chat", "chat", "hello", "--max-tokens", "2"],
        ["bench", "chat", "-n", "2", "-c", "1", "--max-tokens", "2"],
        ["diff", "chat", "--exit-code"],
        ["keys", "revoke", "chat", "a"],
        ["policy", "apply", "-f", policy, "--yes", "--namespace", desk.namespace],
        ["policy", "audit", "chat", "--only", "rights", "--only", "pod-settings"],
        ["logs", "chat", "--audit", "--verify"],
        ["backup", "chat", "--to", f"file://{desk.folder}/kept"],
        ["history", "chat"],
        ["deploy", "-f", larger, "--yes"],
        ["rollback", "chat", "--yes"],
        ["destroy", "chat", "--yes"],
    ]


def test_the_documented_roles_are_enough_for_a_whole_life(desk: WarmDesk) -> None:
    for command in life(desk):
        done = desk.run(*command)
        assert done.code == 0, f"{command}: {done.text}"


# Each verb is needed

NEEDED: list[Json] = yaml.safe_load((CASES / "verbs.yaml").read_text())
KEPT = {
    ("Role", "get", "namespaces"): "that the namespace is missing is then told by a write into it",
    ("Role", "list", "events"): "why pods do not come up is told without them, but less exactly",
    ("Role", "create", "events"): "what llmops did is then not among the cluster's events",
    ("Role", "list", "rayclusters"): "why pods do not come up is told without them, but later",
    ("Role", "patch", "pods"): "a changed key is then known to the gateways within a minute",
}
"""Verbs without which nothing fails, and what is lost without them."""
OF_AUDITS = [("Role", "list", "rolebindings"), ("Role", "get", "roles")]
"""Verbs without which an audit says what it could not see."""
ENDING = [
    ("delete", "rayservices"), ("delete", "networkpolicies"),
    ("list", "services"), ("delete", "services"),
    ("list", "poddisruptionbudgets"), ("list", "networkpolicies"),
    ("list", "serviceaccounts"), ("delete", "serviceaccounts"),
    ("list", "secrets"), ("delete", "secrets"),
]  # fmt: skip
"""What `destroy` needs, in the order in which it comes to need it."""


def test_every_documented_verb_is_accounted_for() -> None:
    given = {
        (kind, verb, resource)
        for kind, rules in roles().items()
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    needed = [(one["role"], one["verb"], one["resource"]) for one in NEEDED]
    ending = [("Role", *one) for one in ENDING]
    assert sorted(given) == sorted([*needed, *ending, *KEPT, *OF_AUDITS])


@pytest.fixture(scope="module")
def served(desk: WarmDesk) -> WarmDesk:
    done = desk.deploy(desk.spec())
    assert done.code == 0, done.text
    return desk


def asked(desk: WarmDesk, what: str, number: int) -> list[str | Path]:
    """A command by its name; each deploy wants something new, each `other` is new here."""
    limit = {"requests_per_minute": 1000 + number}
    across = desk.spec(hardware={"cores": 3}).rename(desk.folder / "across.yaml")
    other, changed = desk.spec(f"other-{number}"), desk.spec(security=limit)
    known: dict[str, list[str | Path]] = {
        "plan": ["plan", "-f", changed],
        "plan other": ["plan", "-f", other],
        "deploy": ["deploy", "-f", changed, "--yes"],
        "deploy across": ["deploy", "-f", across, "--yes"],
        "deploy other": ["deploy", "-f", other, "--yes"],
        "status": ["status", "chat"],
        "diff": ["diff", "chat"],
        "logs": ["logs", "chat"],
        "keys list": ["keys", "list", "chat"],
        "keys create": ["keys", "create", "chat", "-k", "b"],
        "history of none": ["history", "none", "--namespace", desk.namespace],
    }
    return known[what]


def told(done: Done, user: User, verb: str, resource: str) -> bool:
    """Whether a message names who may not do what, and how to see it."""
    name, _, sub = resource.partition("/")
    group = {
        "leases": ".coordination.k8s.io", "networkpolicies": ".networking.k8s.io",
        "poddisruptionbudgets": ".policy", "rayservices": ".ray.io", "rayclusters": ".ray.io",
        "endpointslices": ".discovery.k8s.io",
    }.get(name, "")  # fmt: skip
    what = f"{user.name} may not {verb} {name}{group}{'/' + sub if sub else ''}"
    return what in done.err and f"kubectl auth can-i {verb} {name}{group}" in done.err


@pytest.mark.parametrize("case", NEEDED, ids=lambda c: f"{c['verb']} {c['resource']}")
def test_a_verb_that_is_missing_is_named(served: WarmDesk, person: Person, case: Json) -> None:
    verb, resource = case["verb"], case["resource"]
    with person.lacking(case["role"], resource, verb):
        done = served.run(*asked(served, case["command"], NEEDED.index(case)))
    assert told(done, person.user, verb, resource), done.text
    assert done.code == case["code"], done.text
    assert "Traceback" not in done.text


def test_what_missing_verbs_left_is_settled_by_the_next_run(served: WarmDesk, site: Site) -> None:
    done = served.run(*asked(served, "deploy", len(NEEDED)))
    assert done.code == 0, done.text
    assert served.run("diff", "chat", "--exit-code").code == 0
    assert len(served.status()["releases"]) == 1
    others = {n for n in site.names() if "/other" in n and not n.startswith("Event/")}
    assert {n for n in others if not n.endswith(("-releases", "-llmops"))} == set()


@pytest.mark.parametrize(("kind", "verb", "resource"), KEPT, ids=lambda part: part)
def test_a_verb_that_only_helps_may_be_missing(
    served: WarmDesk, person: Person, kind: str, verb: str, resource: str
) -> None:
    number = len(NEEDED) + 1 + list(KEPT).index((kind, verb, resource))
    with person.lacking(kind, resource, verb):
        done = served.run(*asked(served, "deploy", number))
    assert done.code == 0, done.text


def test_an_audit_says_which_rights_it_could_not_look_at(
    served: WarmDesk, person: Person, site: Site
) -> None:
    audit = ("policy", "audit", "chat", "--only", "rights")
    site.kubectl("create", "role", "look", "--verb=get", "--resource=configmaps")
    site.kubectl("create", "rolebinding", "look", "--role=look", "--group=system:authenticated")
    whole = served.run(*audit)
    assert (whole.code, "rights in the namespace" in whole.out) == (0, False), whole.text
    with person.lacking(*_resource_first(OF_AUDITS[0])):
        blind = served.run(*audit)
    assert blind.code == 0, blind.text
    assert "not checked: rights in the namespace" in blind.out
    with person.lacking(*_resource_first(OF_AUDITS[1])):
        half = served.run(*audit)
    assert half.code == 3, half.text
    assert "everybody in system:authenticated may do what Role look lets them" in half.out


def _resource_first(verb: tuple[str, str, str]) -> tuple[str, str, str]:
    kind, name, resource = verb
    return kind, resource, name


def test_destroy_goes_on_where_a_missing_verb_stopped_it(
    served: WarmDesk, person: Person, site: Site
) -> None:
    for verb, resource in ENDING:
        with person.lacking("Role", resource, verb):
            done = served.run("destroy", "chat", "--yes")
        assert told(done, person.user, verb, resource), done.text
        assert done.code in {3, 4, 5}, done.text
    assert served.run("destroy", "chat", "--yes").code == 0
    ours = site.names(selector="llmops/service=chat")
    assert ours == {"ConfigMap/chat-releases", "Lease/chat-llmops"}
