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

from bare_metal.hosts.connection import held
from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations import TOKEN, AgentWanted, Done, Role
from bare_metal.hosts.operations.agent import SETTINGS, UNIT, unit_of
from bare_metal.hosts.operations.program import COMPLETE
from bare_metal.inventory import Placed, hosts_of
from bare_metal.placing import machine_of
from bare_metal.site import Look, Site
from bare_metal.target import BareMetalTarget, _moving
from llmops import __version__
from llmops.errors import BusyError, InputError, RefusedError, TargetError
from llmops.events import Event, Flow, Progress, Warned
from llmops.planning import Facts, ModelFacts
from llmops.releases import History, State
from llmops.spec import BareMetalTarget as Wanted
from llmops.spec import Deployment, Parallelism, loads
from serving.agent import AgentTarget
from serving.agent.presence import Presence
from serving.agent.target import drained
from serving.agent.words import Lease, Node
from tests.bare_metal import trees
from tests.bare_metal.near import NearConnector
from tests.releases.plans import release

SPEC = "name: chat\nmodel: {source: file:///weights}\ntarget: {kind: local}\n"
HELD = "held-token"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(trees.FILE)
    return tmp_path


def site(
    folder: Path, serving: Mapping[str, Role], *, token: str = "",
    silent: frozenset[str] = frozenset(),
) -> Site:  # fmt: skip
    """The site of recorded hosts, some of which serve; who is named as `token` holds Ray's, and who
    is silent does not answer."""
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
    way = NearConnector(folder / "kept", silent)
    return Site(folder / "cluster.yaml", store, lambda _cluster, _folder: way)


def look(made: Site, *hosts: str, count: int = 1, shared: bool = False, ray: str = "") -> Look:
    target = Wanted.model_validate(
        {
            "kind": "bare_metal", "cluster": str(made.file), "store": made.store, "count": count,
            "hosts": hosts,
        }
    )  # fmt: skip
    return made.look(loads(SPEC), target, shared=shared, ray=ray)


def test_a_head_that_is_not_asked_for_any_more_is_seen_and_ends_first(folder: Path) -> None:
    """Two heads of one store would each hold the other's work for lost."""
    found = look(site(folder, {"su-001": "head", "su-002": "worker"}, token="su-001"), "su-003")
    assert found.choice.head.name == "su-003"
    assert found.former == ("su-001",)
    assert found.leaving == ("su-001", "su-002")
    ends = [one.argv[:2] for one in found.plans["su-001"].changes]
    assert ("systemctl", "disable") in ends


def test_a_head_that_is_lost_is_followed_by_a_host_that_serves(folder: Path) -> None:
    serving: dict[str, Role] = {"su-001": "head", "su-002": "worker"}
    made = site(folder, serving, token="su-002", silent=frozenset(("su-001",)))
    found = look(made, count=2, ray="10.0.0.1")
    assert [host.name for host in found.choice.hosts] == ["su-002", "su-003"]
    assert (found.head, found.moves, found.former) == ("", True, ())
    agent = found.wants["su-002"].agent
    assert isinstance(agent, AgentWanted)
    assert (agent.role, agent.token) == ("head", HELD)
    assert "su-001" not in found.plans
    said = [event.text for event in _moving(found, "10.0.0.1") if isinstance(event, Warned)]
    assert said[0].startswith("the head was su-001, which is lost: su-002 becomes the head")


def test_a_lost_head_that_is_back_is_none_any_more(folder: Path) -> None:
    """It is set up as one, and comes first in the file: were it taken for the head, the head would
    move back, and nothing would answer meanwhile."""
    made = site(folder, {"su-001": "head", "su-002": "head"}, token="su-002")
    found = look(made, count=2, ray="10.0.0.2")
    assert (found.choice.head.name, found.head, found.moves) == ("su-002", "su-002", False)
    assert found.former == ("su-001",)
    again = found.wants["su-001"].agent
    assert isinstance(again, AgentWanted)
    assert again.role == "worker"
    alone = look(made, count=1, ray="10.0.0.2")
    assert (alone.choice.head.name, alone.leaving) == ("su-002", ("su-001",))
    assert alone.plans["su-001"].changes[0].argv[:2] == ("systemctl", "disable")
    said = [event.text for event in _moving(alone, "10.0.0.2") if isinstance(event, Warned)]
    assert said == ["su-001 was the head once, and is back: what runs there ends"]
    others = look(made, "su-002", "su-003", count=1, shared=True, ray="10.0.0.2")
    assert others.choice.head.name == "su-002", "what it once served keeps nobody from a deploy"


def _lost(
    folder: Path, monkeypatch: pytest.MonkeyPatch, beats: list[int | None]
) -> BareMetalTarget:
    """A target whose head does not answer, and whose agent is seen as told: its beat, or nothing
    once its lease has run out."""
    made = site(folder, {"su-001": "head", "su-002": "worker"}, token="su-002",
                silent=frozenset(("su-001",)))  # fmt: skip
    target = BareMetalTarget(folder, made.store, made.file)
    target.site = made

    def presence() -> Presence:
        beat = beats.pop(0) if len(beats) > 1 else beats[0]
        seen = Lease("a", "h", 1, 0.0, "p", 0.0, time.time(), beat or 0, 20.0, __version__, (1,))
        return Presence(seen, 30.0 if beat is None else 0.0)

    monkeypatch.setattr(target, "presence", presence)
    monkeypatch.setattr("llmops.waiting.time.sleep", lambda _: None)
    return target


def test_a_head_that_serves_and_cannot_be_looked_at_gets_no_other_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, done: list[str]
) -> None:
    target = _lost(folder, monkeypatch, [7, 7, 8])
    with pytest.raises(RefusedError, match=r"the agent on h .* cannot be looked at") as refused:
        list(target.resolve(_deployment(target)))
    assert "llmops cluster bmc power off" in refused.value.hint
    assert "su-001" in refused.value.hint
    assert not done


def test_the_lease_of_a_lost_head_is_waited_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = _lost(folder, monkeypatch, [7, 7, 7, None])
    monkeypatch.setattr("bare_metal.target.Models.describe", _no_model)
    heard: list[Event] = []
    with pytest.raises(InputError, match="no model was asked for"):
        heard.extend(target.resolve(_deployment(target)))
    assert any(isinstance(e, Progress) and "its lease runs out" in e.reason for e in heard), heard


def _no_model(*_: object, **__: object) -> None:
    raise InputError("no model was asked for here")


def _deployment(target: BareMetalTarget) -> Deployment:
    text = f"cluster: {target.site.file}, store: '{target.address}', count: 2"
    return loads(SPEC.replace("{kind: local}", f"{{kind: bare_metal, {text}}}"))


@pytest.mark.parametrize(
    ("pipeline", "joined", "machines"),
    [(2, "", 2), (2, "10.0.0.3", 1), (1, "", 1)],
    ids=["one is to come", "all have joined", "no stages"],
)
def test_a_host_that_is_to_come_counts_for_a_release_in_stages(
    pipeline: int, joined: str, machines: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of its stages is lost: a healthy one of the cluster's file takes its place."""
    made = site(folder, {"su-001": "head", "su-002": "worker"}, token="su-001",
                silent=frozenset(("su-002",)))  # fmt: skip
    target = BareMetalTarget(folder, made.store, made.file)
    target.site = made
    own = machine_of(cast("HostFacts", look(made).readings["su-001"]))
    told = Facts(cast("ModelFacts", None), own, (), "vllm 1", None)

    def by_agent(*_: object, **__: object) -> Flow[Facts]:
        yield from ()
        return told

    lease = Lease("a", "h", 1, 0.0, "p", 0.0, time.time(), 1, 20.0, __version__, (1,))
    monkeypatch.setattr(target, "presence", lambda: Presence(lease, 0.0))
    monkeypatch.setattr(AgentTarget, "resolve", by_agent)
    node = Node("n", joined, own, "", time.time(), 1, 20.0)
    monkeypatch.setattr(target, "machines", lambda: (node,) if joined else ())
    asked = _deployment(target).model_copy(
        update={"parallelism": Parallelism(tensor=8, pipeline=pipeline)}
    )
    facts = drained(target.resolve(asked))
    assert target._look is not None
    assert [host.name for host in target._look.choice.hosts] == ["su-001", "su-003"]
    assert max(1, len(facts.machine.shares)) == machines


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


def test_hosts_that_somebody_else_changes_are_not_set_up(folder: Path, done: list[str]) -> None:
    target = _served(folder)
    found = look(target.site, "su-003")
    hosts, way = found.choice.hosts, target.site.way(found.cluster)
    with held(hosts, way, "prepared"), pytest.raises(BusyError, match="su-003 is being prepared"):
        list(target._done(found.cluster, hosts, found.plans, found.wants))
    assert not done


@pytest.mark.parametrize("by", ["a deploy to the same store", "a deploy to another store"])
def test_what_was_agreed_to_is_not_done_to_a_host_that_is_another_by_then(
    by: str, folder: Path, done: list[str]
) -> None:
    """Two deploys at once: the one that comes later looked before the first had set it up."""
    target = _served(folder)
    found = look(target.site, "su-003")
    hosts = found.choice.hosts
    put = {c.argv[4]: c.stdin for c in found.plans["su-003"].changes if c.argv[3:4] == ("write",)}
    path = UNIT if "another" in by else SETTINGS
    other = unit_of("10.0.0.3", AgentWanted("head", "file:///another", HELD)).encode()
    file = folder / "kept" / "su-003" / "root" / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(other if path == UNIT else put[SETTINGS] or b"")
    with pytest.raises(TargetError, match="su-003 has changed since it was looked at"):
        list(target._done(found.cluster, hosts, found.plans, found.wants))
    assert not done


def test_what_another_has_done_meanwhile_is_not_done_again(folder: Path, done: list[str]) -> None:
    target = _served(folder)
    found = look(target.site, "su-003")
    hosts = [host for host in hosts_of(found.cluster) if host.name == "su-002"]
    (folder / "kept" / "su-002" / "root" / UNIT.lstrip("/")).unlink()  # the worker has left by now
    list(target._done(found.cluster, hosts, found.plans, found.wants))
    assert not done


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
