"""What the client asks for and what it makes of the answers, on a transport of the test's own."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clusters.client import Client
from clusters.model import Manifest
from clusters.ports import Connection, Reader, Writer
from clusters.rest import TRIES, Answer, Request, patiently
from clusters.trouble import Changed, Conflicted, Forbidden, Unauthorised, Unreachable
from llmops.errors import LlmopsError
from llmops.releases import Conflict

Reply = Callable[[Request], Answer]


class Scripted:
    """A transport that answers as it is told, and remembers what it was asked."""

    def __init__(self, *replies: Answer | Unreachable) -> None:
        self.replies = list(replies)
        self.asked: list[Request] = []

    def send(self, request: Request) -> Answer:
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, Unreachable):
            raise reply
        return reply

    def stream(self, request: Request) -> tuple[int, Iterator[bytes]]:
        answer = self.send(request)
        return answer.status, (answer.body[at : at + 5] for at in range(0, len(answer.body), 5))

    def connection(self) -> Connection:
        return Connection("https://x", ssl.create_default_context(), {"authorization": "canary"})

    def ended(self) -> str:
        return "the token expired on 2026-01-01 00:00 UTC"


def said(code: int, body: Any = None, **headers: str) -> Answer:
    return Answer(code, headers, json.dumps({} if body is None else body).encode())


def refused(code: int, reason: str, message: str, **details: Any) -> Answer:
    body = {"kind": "Status", "reason": reason, "message": message, "details": details}
    return said(code, body)


def client(*replies: Answer | Unreachable) -> tuple[Client, Scripted]:
    transport = Scripted(*replies)
    made = Client(transport, context="dev", server="https://x", namespace="ml")
    return made, transport


CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ml"}}


def test_a_client_is_a_reader_and_a_writer() -> None:
    made, _ = client()
    reader: Reader = made
    writer: Writer = made
    assert reader is writer


def test_what_is_secret_is_in_no_repr() -> None:
    made, _ = client()
    assert "canary" not in repr(made) + repr(made.connection())


def test_apply_is_strict_names_its_manager_and_forces_only_when_told() -> None:
    made, transport = client(said(200), said(200), said(201))
    made.apply(CONFIG)
    made.apply(CONFIG, force=True)
    made.dry_run(CONFIG)
    first, second, third = transport.asked
    assert (first.method, first.path) == ("PATCH", "/api/v1/namespaces/ml/configmaps/a")
    assert first.content == "application/apply-patch+yaml"
    assert first.query == {"fieldManager": "llmops", "fieldValidation": "Strict"}
    assert second.query == {**first.query, "force": "true"}
    assert third.query == {**first.query, "dryRun": "All"}
    assert [request.safe for request in transport.asked] == [False, False, True]


def test_an_absent_object_is_none_and_deleting_it_is_no_error() -> None:
    absent = refused(404, "NotFound", 'configmaps "a" not found', kind="configmaps")
    made, _ = client(absent, absent)
    assert made.get("ConfigMap", "a", "ml") is None
    assert made.delete("ConfigMap", "a", "ml") is False


def test_items_of_a_list_say_what_they_are() -> None:
    made, transport = client(said(200, {"items": [{"metadata": {"name": "p"}}]}))
    found = made.list("Pod", "ml", {"a": "b", "c": "d"}, "spec.nodeName=n")
    assert found == [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}]
    assert transport.asked[0].query == {
        "labelSelector": "a=b,c=d",
        "fieldSelector": "spec.nodeName=n",
    }


@pytest.mark.parametrize(
    ("answer", "write"),
    [
        (refused(409, "AlreadyExists", "exists"), lambda c: c.create(CONFIG)),
        (refused(409, "Conflict", "modified"), lambda c: c.replace(CONFIG)),
        (refused(404, "NotFound", "gone", kind="configmaps"), lambda c: c.replace(CONFIG)),
        (refused(409, "Conflict", "uid"), lambda c: c.delete("ConfigMap", "a", "ml", uid="u")),
    ],
)
def test_a_lost_race_is_a_conflict(answer: Answer, write: Callable[[Client], object]) -> None:
    made, _ = client(answer)
    with pytest.raises(Conflict):
        write(made)


def test_an_apply_that_lost_a_race_is_told_apart_from_one_that_others_own_fields_of() -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "x"', "field": ".data.a"}
    made, _ = client(
        refused(409, "Conflict", "modified"), refused(409, "Conflict", "1 conflict", causes=[cause])
    )
    with pytest.raises(Changed):
        made.apply(CONFIG)
    with pytest.raises(Conflicted) as refusal:
        made.apply(CONFIG)
    assert [(one.manager, one.field) for one in refusal.value.owned] == [("x", ".data.a")]


def test_deleting_names_what_exactly_is_meant() -> None:
    made, transport = client(said(200))
    assert made.delete(
        "RayService", "r", "ml", propagation="Foreground", uid="u", resource_version="7"
    )
    assert transport.asked[0].body == {
        "propagationPolicy": "Foreground",
        "preconditions": {"uid": "u", "resourceVersion": "7"},
    }


def test_an_eviction_that_a_budget_forbids_tells_why_at_once() -> None:
    cause = {"reason": "DisruptionBudget", "message": "the budget b needs 2 healthy pods"}
    made, transport = client(
        refused(429, "TooManyRequests", "no", causes=[cause]),
        said(201),
        refused(404, "NotFound", "gone", kind="pods"),
    )
    assert "the budget b needs 2" in made.evict("p", "ml")
    assert made.evict("p", "ml") == ""
    assert made.evict("p", "ml") == ""
    assert len(transport.asked) == 3


def test_what_a_pod_says_is_handed_on_and_what_the_server_says_is_raised() -> None:
    forbidden = refused(403, "Forbidden", "no")
    made, transport = client(said(403, {"error": "of the pod"}), said(503), forbidden)
    found = made.proxy("p", "ml", 9090, "/state", method="POST", payload={"a": 1})
    assert (found.status, json.loads(found.body)) == (403, {"error": "of the pod"})
    assert transport.asked[0].path == "/api/v1/namespaces/ml/pods/p:9090/proxy/state"
    assert made.proxy("p", "ml", 9090, "ready").status == 503
    with pytest.raises(LlmopsError):
        made.proxy("p", "ml", 9090, "ready")


def test_a_kind_without_its_crd_is_not_served() -> None:
    made, _ = client(
        Answer(404, {}, b"404 page not found"),
        said(200, {"resources": [{"kind": "RayService"}]}),
        said(200, {"resources": [{"kind": "RayCluster"}]}),
    )
    assert [made.serves("RayService") for _ in range(3)] == [False, True, False]


def test_rights_are_asked_for() -> None:
    made, transport = client(said(201, {"status": {"allowed": True}}))
    assert made.can_i("get", "", "pods", "ml", "log")
    asked = transport.asked[0].body
    assert isinstance(asked, dict)
    assert asked["spec"]["resourceAttributes"]["subresource"] == "log"


def test_events_come_oldest_first() -> None:
    late = {"lastTimestamp": "2026-01-02T00:00:00Z", "metadata": {}}
    soon: Manifest = {"eventTime": "2026-01-01T00:00:00.5Z", "lastTimestamp": None, "metadata": {}}
    made, _ = client(said(200, {"items": [late, soon]}))
    assert [one.get("eventTime") for one in made.events("ml", "Pod", "p")] == [
        "2026-01-01T00:00:00.5Z",
        None,
    ]


def test_a_log_comes_line_by_line_whatever_its_bytes() -> None:
    made, _ = client(Answer(200, {}, "one\nzwölf \xff\nrest".encode("latin-1")))
    assert list(made.logs("p", "ml", tail=3)) == ["one", "zw\ufffdlf \ufffd", "rest"]


def test_a_log_that_may_not_be_read_is_refused_before_its_first_line() -> None:
    message = 'pods "p" is forbidden: User "bob" cannot get resource "pods/log" in API group ""'
    made, _ = client(refused(403, "Forbidden", message))
    with pytest.raises(Forbidden, match="bob may not get pods/log in namespace ml"):
        made.logs("p", "ml")


def test_refused_credentials_tell_when_they_ended() -> None:
    made, _ = client(refused(401, "Unauthorized", "Unauthorized"))
    with pytest.raises(Unauthorised, match="the token expired on 2026-01-01"):
        made.version()


READ = Request("GET", "/version", safe=True)
WRITE = Request("PATCH", "/x")
DOWN = Unreachable("nothing listens")


@pytest.mark.parametrize(
    ("request_", "first", "tries"),
    [
        (READ, DOWN, 2),
        (READ, said(503), 2),
        (READ, said(500, **{"retry-after": "1"}), 2),
        (READ, said(500), 1),
        (READ, said(404), 1),
        (READ, said(429, **{"retry-after": "60"}), 1),
        (WRITE, said(503), 1),
        (WRITE, said(429, **{"retry-after": "1"}), 2),
        (Request("POST", "/eviction", patient=False), said(429), 1),
    ],
)
def test_only_what_cannot_do_harm_is_sent_again(
    request_: Request, first: Answer | Unreachable, tries: int
) -> None:
    transport = Scripted(first, said(200))
    slept: list[float] = []
    patiently(transport.send, request_, slept.append)
    assert len(transport.asked) == tries
    assert len(slept) == tries - 1


@pytest.mark.parametrize(
    ("request_", "error", "tries"),
    [(READ, DOWN, TRIES), (WRITE, DOWN, 1), (READ, Unreachable("tls", passing=False), 1)],
)
def test_a_server_that_stays_away_is_given_up(
    request_: Request, error: Unreachable, tries: int
) -> None:
    transport = Scripted(*[error] * TRIES)
    with pytest.raises(Unreachable):
        patiently(transport.send, request_, lambda _: None)
    assert len(transport.asked) == tries
