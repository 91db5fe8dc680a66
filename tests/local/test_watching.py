"""What a gateway learns of replicas from Serve, and what it posts."""

from __future__ import annotations

import asyncio
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import RayError

from serving.gateway import ReleaseRef, Replicas
from serving.runtime import board, watching
from serving.runtime.watching import Watch, replicas_of


class State(Enum):
    RUNNING = "RUNNING"


CHAT = ReleaseRef("chat", 3)


def application(*states: Any) -> dict[str, Any]:
    return {"deployments": {"replica": {"replicas": [{"state": state} for state in states]}}}


def test_replicas_are_counted_by_what_they_do() -> None:
    found = {"chat-r3": application(State.RUNNING, "RUNNING", "STARTING", "RECOVERING", "STOPPING")}
    assert replicas_of(found, CHAT) == Replicas(running=2, starting=2, stopping=1)


def test_a_release_that_serve_does_not_know_has_none() -> None:
    assert replicas_of({}, CHAT) == Replicas()


class FakeApp:
    """A gateway of two releases that notes what it is told; nothing waits in it."""

    def __init__(self) -> None:
        self.known: Any = None
        self.scaling: Any = None
        self.quarantine = SimpleNamespace(told=dict, hear=list)

    def releases(self) -> list[ReleaseRef]:
        return [CHAT, ReleaseRef("other", 1)]

    def engine_of(self, release: ReleaseRef) -> ReleaseRef:
        return release

    def know(self, replicas: Any, gateways: int) -> None:
        self.known = (replicas, gateways)

    def figures(self) -> dict[ReleaseRef, dict[str, Any]]:
        return {CHAT: {"arrived": 5}}


@pytest.mark.parametrize(
    ("followed", "waits", "pause"),
    [([], False, 2.0), ([CHAT], False, 1.0), ([CHAT], True, 0.25)],
)
def test_it_looks_more_often_where_somebody_needs_to_know(
    followed: list[ReleaseRef], waits: bool, pause: float
) -> None:
    app: Any = FakeApp()
    app.scaling = SimpleNamespace(followed=followed, somebody_waits=waits)
    assert Watch(app, "gateway-a", dict).pause() == pause


async def test_a_controller_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app: Any = FakeApp()
    app.scaling = SimpleNamespace(followed=[], somebody_waits=False)
    monkeypatch.setattr(watching, "FIXED", 0.0)
    asked: list[int] = []

    def ask() -> dict[str, Any]:
        asked.append(1)
        if len(asked) < 3:
            raise RayError("the controller is away")
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(Watch(app, "gateway-a", ask).run(), 5)
    assert len(asked) == 3


async def test_a_look_tells_the_gateway_and_posts_its_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    posted: list[tuple[str, str, dict[str, Any]]] = []
    monkeypatch.setattr(board, "post_load", lambda *one: posted.append(one))
    decision = {"replicas": 1, "reason": "somebody asked lately", "at": 5.0}
    monkeypatch.setattr(board, "decision", {"chat-r3": decision}.get)
    posts: dict[str, Any] = {"gateway-b": {"suspected": ["theirs"]}}
    monkeypatch.setattr(board, "post_quarantine", posts.__setitem__)
    monkeypatch.setattr(board, "quarantines", lambda _: posts)
    app: Any = FakeApp()
    heard: list[Any] = []
    app.quarantine = SimpleNamespace(told=lambda: {"suspected": ["own"]}, hear=heard.extend)
    decided: list[Any] = []
    app.scaling = SimpleNamespace(decided=decided.append)
    gateways = application("RUNNING", "RUNNING", "STARTING")
    found = {"chat-r3": application("RUNNING"), "llmops-gateway": gateways}
    await Watch(app, "gateway-a", lambda: found).look()
    assert app.known == ({CHAT: Replicas(running=1), ReleaseRef("other", 1): Replicas()}, 2)
    [(name, gateway, figures)] = posted
    assert (name, gateway, figures["arrived"]) == ("chat-r3", "gateway-a", 5)
    assert figures["at"] > 0
    assert decided == [{CHAT: decision}]
    assert posts["gateway-a"]["suspected"] == ["own"]
    assert heard == [{"suspected": ["theirs"]}], "a gateway heard itself"
