"""What this machine's runtime shows of releases that answer by one engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmops.errors import TargetError
from llmops.releases import History, Phase, Release, State
from serving.local import LocalTarget, adapters
from serving.local import members as members_file
from serving.local import target as module
from serving.local.members import Members
from serving.local.runtime import Runtime
from serving.local.store import FileReleaseStore
from tests.finetuning.serving.test_named_plans import named_plan
from tests.finetuning.serving.test_replica_adapters import ONE, THREE, TWO


class World:
    """A runtime whose host is a double: it shows what it is told to."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = FileReleaseStore(home / "releases")
        store.write(History("chat", (ONE, TWO, THREE)), "")
        self.home = home
        self.runtime = Runtime(home, store, lambda: "keys-1")
        self.applications: dict[str, Any] = {}
        monkeypatch.setattr(self.runtime, "state", self.state)

    def state(self) -> dict[str, Any]:
        shares = self.runtime.members().of("chat")
        table = {
            "releases": {str(number): share for number, share in shares.items()},
            "in_flight": {"2": 4},
        }
        return {"applications": self.applications, "gateway": {"services": {"chat": table}}}

    def runs(self, *members: int, status: str = "RUNNING") -> None:
        shares = {("chat", number): 100 * int(number == 2) for number in members}
        members_file.write(self.home / "members.json", Members(shares, 1))
        app = {"status": status, "message": "", "replicas": [{"state": "RUNNING"}]}
        self.applications = {"chat-r1": app, "llmops-gateway": app}

    def seen(self) -> dict[int, tuple[Phase, int, int]]:
        return {s.number: (s.phase, s.share, s.in_flight) for s in self.runtime.seen("chat")}

    def fails(self, release: Release) -> None:
        file = self.runtime.paths.failure("chat", release.number)
        file.parent.mkdir(parents=True)
        file.write_text('{"cause": "its adapter cannot be loaded: a byte", "hint": "look"}')


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_releases_of_one_engine_are_shown_each(world: World) -> None:
    world.runs(1, 2, 3)
    assert world.seen() == {
        1: (Phase.READY, 0, 0),
        2: (Phase.READY, 100, 4),
        3: (Phase.READY, 0, 0),
    }


def test_an_engine_that_is_left_for_others_is_no_release(world: World) -> None:
    world.runs(2)
    assert set(world.seen()) == {2}


def test_an_engine_that_nobody_needs_is_shown_until_it_is_gone(world: World) -> None:
    world.runs()
    assert set(world.seen()) == {1}


def test_an_adapter_that_cannot_be_loaded_fails_its_own_release_only(world: World) -> None:
    world.runs(2, 3)
    world.fails(THREE)
    seen = world.seen()
    assert (seen[2][0], seen[3][0]) == (Phase.READY, Phase.FAILED)
    error = world.runtime.failed(THREE)
    assert isinstance(error, TargetError)
    assert "release 3 did not start: its adapter cannot be loaded: a byte" in error.message
    assert world.runtime.failed(TWO) is None


def test_a_release_is_absent_where_its_engine_is_gone(world: World) -> None:
    world.runs(2)
    world.applications = {}
    assert world.seen() == {}


def test_what_answers_for_a_release_is_known(world: World) -> None:
    assert [world.runtime.engine("chat", n) for n in (1, 2, 3, 9)] == [
        "chat-r1", "chat-r1", "chat-r1", "chat-r9",
    ]  # fmt: skip


@pytest.mark.parametrize("word", [False, True])
def test_a_probe_that_fails_is_never_its_own_cause(
    world: World, monkeypatch: pytest.MonkeyPatch, word: bool
) -> None:
    """Who looks for what is behind an error, as an agent does, must come to an end."""
    target = LocalTarget(world.home)
    there = SimpleNamespace(path=lambda *_: world.home, reach=lambda _: ("http://x/v1", None))
    monkeypatch.setattr(target, "_models", there)
    monkeypatch.setattr(target, "_door", lambda _: there)
    monkeypatch.setattr(target, "operator_key", lambda _: "key")

    def ask() -> None:
        raise TargetError("the probe says so")

    monkeypatch.setattr(module, "Probe", lambda **_: SimpleNamespace(ask=ask))
    if word:
        world.fails(TWO)
    with pytest.raises(TargetError, match="a byte" if word else "the probe says so") as caught:
        list(target.verify(TWO))
    behind = caught.value.__cause__
    assert (str(behind) == "the probe says so") if word else behind is None


@pytest.mark.parametrize("silent", ["", "brief"])
def test_a_release_is_proven_under_each_of_its_names(
    world: World, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    target = LocalTarget(world.home)
    there = SimpleNamespace(path=lambda *_: world.home, reach=lambda _: ("http://x/v1", None))
    monkeypatch.setattr(target, "_models", there)
    monkeypatch.setattr(target, "_door", lambda _: there)
    monkeypatch.setattr(target, "operator_key", lambda _: "key")
    asked: list[str] = []

    def probe(*, named: str, **_: Any) -> Any:
        def ask() -> None:
            asked.append(named)
            if silent and named == silent:
                raise TargetError(f"{named} did not prove itself")

        return SimpleNamespace(ask=ask)

    monkeypatch.setattr(module, "Probe", probe)
    release = Release("chat", 4, named_plan(formal="a", brief="b"), State.STAGING, 0.0)
    if silent:
        with pytest.raises(TargetError, match="brief did not prove itself"):
            list(target.verify(release))
    else:
        list(target.verify(release))
        assert sorted(asked) == ["", "brief", "formal"]


def test_the_model_names_of_other_services_are_known(world: World) -> None:
    target = LocalTarget(world.home)
    history = History("other", (Release("other", 7, named_plan(formal="a"), State.LIVE, 0.0),))
    target.store.write(history, "")
    members = [("chat", 2), ("other", 7), ("other", 8)]
    taken = adapters.taken("chat", members, target.store)
    assert taken == {"other": "other", "formal": "other"}
    assert adapters.taken("other", members, target.store) == {"chat": "chat"}
