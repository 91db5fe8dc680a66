"""Hosts of a service looked at, chosen and ended: recorded ones, some of which serve already."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from bare_metal.hosts.connection import Connector, RecordedConnector
from bare_metal.hosts.operations import TOKEN, AgentWanted, Done, Role
from bare_metal.hosts.operations.agent import UNIT, unit_of
from bare_metal.hosts.operations.program import COMPLETE
from bare_metal.inventory import Placed
from bare_metal.site import Look, Site
from bare_metal.target import BareMetalTarget
from llmops import __version__
from llmops.errors import InputError, RefusedError, TargetError
from llmops.events import Event
from llmops.releases import History, State
from llmops.spec import BareMetalTarget as Wanted
from llmops.spec import loads
from serving.agent.presence import Presence
from serving.agent.words import Lease
from tests.bare_metal import trees
from tests.releases.plans import release

SPEC = "name: chat\nmodel: {source: file:///weights}\ntarget: {kind: local}\n"
HELD = "held-token"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(trees.FILE)
    return tmp_path


def site(folder: Path, serving: Mapping[str, Role], *, token: str = "") -> Site:
    """The site of recorded hosts, some of which serve; who is named as `token` holds Ray's."""
    store = f"file://{folder}/store"
    for name, tree in trees.record_all(folder / "kept").items():
        files: dict[str, str | None] = {COMPLETE: "x\n"}
        if name in serving:
            agent = AgentWanted(serving[name], store, HELD)
            files[UNIT] = unit_of(f"10.0.0.{name[-1]}", agent)
        trees.spoil(tree, {"files": files})
        tree.write(folder / "kept" / name)
        if name == token:
            file = folder / "kept" / name / "commands.json"
            row = {"code": 0, "out": f"{HELD}\n", "err": "", "began": 0.0, "ended": 0.0}
            file.write_text(json.dumps({**json.loads(file.read_text()), f"cat {TOKEN}": row}))
    way = cast("Connector", RecordedConnector(folder / "kept"))  # nothing is changed here
    return Site(folder / "cluster.yaml", store, lambda _cluster, _folder: way)


def look(made: Site, *hosts: str, count: int = 1, shared: bool = False) -> Look:
    target = Wanted.model_validate(
        {
            "kind": "bare_metal", "cluster": str(made.file), "store": made.store, "count": count,
            "hosts": hosts,
        }
    )  # fmt: skip
    return made.look(loads(SPEC), target, shared=shared)


def test_a_head_that_is_not_asked_for_any_more_is_seen_and_ends_first(folder: Path) -> None:
    """Two heads of one store would each hold the other's work for lost."""
    found = look(site(folder, {"su-001": "head", "su-002": "worker"}, token="su-001"), "su-003")
    assert found.choice.head.name == "su-003"
    assert found.former == ("su-001",)
    assert found.leaving == ("su-001", "su-002")
    ends = [one.argv[:2] for one in found.plans["su-001"].changes]
    assert ("systemctl", "disable") in ends


def test_hosts_of_other_services_are_not_taken_from_them(folder: Path) -> None:
    made = site(folder, {"su-001": "head", "su-002": "worker"}, token="su-001")
    with pytest.raises(RefusedError, match="su-001, su-002 serve other services") as refused:
        look(made, "su-003", shared=True)
    assert refused.value.path == "target.hosts"
    assert [host.name for host in look(made, shared=True).choice.hosts] == ["su-001", "su-002"]


def test_the_token_is_had_from_whichever_host_still_has_it(folder: Path) -> None:
    found = look(site(folder, {"su-001": "head", "su-002": "worker"}, token="su-002"), count=2)
    agents = [want.agent for want in found.wants.values()]
    assert [one.token for one in agents if isinstance(one, AgentWanted)] == [HELD, HELD]


def test_a_token_that_is_lost_everywhere_is_told_with_a_way_out(folder: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be read on su-001") as refused:
        look(site(folder, {"su-001": "head"}))
    assert "llmops destroy" in refused.value.hint


def test_ending_asks_no_ray_for_leave(folder: Path) -> None:
    made = site(folder, {"su-001": "head", "su-002": "worker"}, token="su-001")
    ending = made.ending()
    assert {host.name for host in ending.hosts} == {"su-001", "su-002"}
    words = [one.argv for planned in ending.plans.values() for one in planned.changes]
    assert not [argv for argv in words if "leave" in argv], "Ray is not asked"


def test_destroy_looks_itself_and_says_where_nothing_is(folder: Path) -> None:
    """An agent that is gone must not keep the command from going on with the hosts."""
    bare = site(folder, {})
    target = BareMetalTarget(folder, bare.store, bare.file)
    target.site = bare
    assert target.stands("chat")
    with pytest.raises(InputError, match="no service 'chat'"):
        list(target.destroy("chat"))


def _served(folder: Path, *services: str) -> BareMetalTarget:
    """A target whose store says that services are live, and whose agent has died."""
    made = site(folder, {"su-001": "head", "su-002": "worker"}, token="su-001")
    target = BareMetalTarget(folder, made.store, made.file)
    target.site = made
    for service in services:
        target.store.write(History(service, (release(1, State.LIVE),)), "")
    return target


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the hosts that are changed, in order, in place of changing them."""
    names: list[str] = []

    def apply(_plans: object, hosts: list[Placed], *_: object) -> dict[str, Done]:
        names.extend(host.name for host in hosts)
        return {host.name: Done(1) for host in hosts}

    monkeypatch.setattr("bare_metal.target.apply", apply)
    return names


def test_what_ends_with_its_agents_is_not_brought_back_by_the_next_one(
    folder: Path, done: list[str]
) -> None:
    target = _served(folder, "chat")
    list(target.destroy("chat"))
    assert set(done) == {"su-001", "su-002"}
    assert target.store.read("chat")[0].live is None


def test_without_an_agent_other_services_are_not_ended_with_it(
    folder: Path, done: list[str]
) -> None:
    target = _served(folder, "chat", "other")
    with pytest.raises(TargetError, match="no agent answers"):
        list(target.destroy("chat"))
    assert not done
    assert target.store.read("chat")[0].live is not None


def test_a_former_head_ends_before_the_next_one_is_set_up(
    folder: Path, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _served(folder)
    monkeypatch.setattr(target, "await_agent", lambda _: iter(()))
    monkeypatch.setattr(target, "await_machines", lambda *_: iter(()))
    found = look(target.site, "su-003")
    list(target._set_up(found))
    assert done == ["su-001", "su-003"]
    list(target._taken_off(found))
    assert done[2:] == ["su-002"]


def test_a_failure_says_whether_the_last_good_release_still_serves(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _served(folder, "chat")

    def failing() -> Iterator[Event]:
        yield from ()
        raise TargetError("su-003: no room")

    for alive, code in ((True, 4), (False, 5)):
        lease = Lease("a", "h", 1, 0.0, "p", 0.0, time.time(), 1, 60.0, __version__, (1,))
        held = Presence(lease if alive else None, 0.0)
        monkeypatch.setattr(target, "presence", partial(replace, held))
        with pytest.raises(TargetError, match="no room") as failed:
            list(target._judged("chat", failing()))  # type: ignore[arg-type]
        assert failed.value.exit_code == code
