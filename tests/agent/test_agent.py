"""Commands and an agent, side by side in one process, over a store in memory."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmops.errors import BusyError, InputError, RefusedError, TargetError, UnreachableError
from llmops.events import KeyMade, Planned, Progress
from llmops.spec import Deployment
from llmops.targets import KeyInfo, ServiceStatus
from serving.agent import AgentTarget, names
from serving.agent.documents import FORMATS
from serving.agent.keyring import info
from serving.agent.machine.agent import Agent
from serving.agent.machine.carrying import Carrier
from serving.agent.presence import LEASE
from serving.agent.words import Lease
from serving.gateway import KeyRing, list_keys
from tests.agent.worlds import QUICK, JudgedStore, MemoryBlobs, error_of
from tests.releases.plans import SERVICE, make_deployment, plan_of
from tests.releases.simulated import SimulatedTarget, run


class Machine(SimulatedTarget):
    """The simulated machine, with what an agent looks at beside the steps."""

    runtime: Any
    slow = 0.0

    def status(self, service: str) -> ServiceStatus:
        return ServiceStatus(
            service, "local", "http://127.0.0.1:8000/v1", "", service, True, None, 0.0, 0.0, ()
        )

    def logs(self, service: str, number: int | None, *, follow: bool) -> Iterator[str]:
        return iter([f"line {n} of {service}" for n in range(2500)])

    def stage(self, release: Any) -> Any:
        until = time.monotonic() + self.slow
        while time.monotonic() < until:
            yield Progress("stage", "starting the engine")
            time.sleep(0.01)
        yield from super().stage(release)

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        return tuple(info(key) for key in list_keys(self.runtime.paths.keys, service))

    def create_key(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("keys are made where the command is")


@dataclass
class Site:
    """A store, a machine, and at most one agent."""

    home: Path
    blobs: MemoryBlobs = field(default_factory=MemoryBlobs)
    machine: Machine = field(default_factory=Machine)
    reloads: int = 0

    def __post_init__(self) -> None:
        self.machine.store = JudgedStore(self.blobs)  # type: ignore[assignment]
        self.keys = self.home / "keys.json"
        self.machine.runtime = SimpleNamespace(
            endpoint=lambda: None,
            paths=SimpleNamespace(keys=self.keys),
            reload_keys=self.reload,
        )

    def reload(self) -> None:
        self.reloads += 1

    @contextlib.contextmanager
    def agent(self) -> Iterator[Agent]:
        made = Agent(self.home, self.blobs, target=self.machine, pace=QUICK)  # type: ignore[arg-type]
        made._carrier = Carrier(
            made._orders, self.machine, stopping=made.stopping, told=made._told, planner=plan_of,
            pace=QUICK,
        )  # fmt: skip
        run(made.begin())
        thread = threading.Thread(target=made.run, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.stop()
            thread.join(60)
            assert not thread.is_alive()

    def command(self) -> AgentTarget:
        return AgentTarget(self.home / "user", "s3://bucket/team", blobs=self.blobs, pace=QUICK)

    def deploy(self, source: str, **more: Any) -> Any:
        flow = self.command().deploy(wanted(source), planner=plan_of, **more)
        return run(flow)


def wanted(source: str) -> Deployment:
    return make_deployment(source)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_deploy_is_shown_agreed_to_and_done_by_the_agent(site: Site) -> None:
    shown: list[Planned] = []

    def confirm(planned: Planned) -> bool:
        shown.append(planned)
        assert site.machine.apps == {}, "nothing is done before"
        return True

    with site.agent():
        events, finished = site.deploy("one", confirm=confirm)
    assert len(shown) == 1
    assert (finished.release.number, finished.changed) == (1, True)
    [made] = [event for event in events if isinstance(event, KeyMade)]
    assert KeyRing(site.keys).find(made.key) is not None, "the machine's gateways know the key"
    assert not any(made.key.encode() in data for data, _ in site.blobs.held.values())


def test_a_user_who_says_no_has_ordered_nothing(site: Site) -> None:
    with site.agent():
        error = error_of(site.deploy, "one", confirm=lambda _: False)
    assert isinstance(error, RefusedError)
    assert list(site.blobs.names("orders/")) == []
    assert list(site.blobs.names("questions/")) == list(site.blobs.names("answers/")) == []


def test_without_an_agent_nothing_is_asked_and_that_is_said_at_once(site: Site) -> None:
    error = error_of(site.deploy, "one")
    assert isinstance(error, UnreachableError)
    assert site.blobs.writes == 0


def test_a_second_command_is_told_who_is_at_work_and_the_same_one_follows(site: Site) -> None:
    site.machine.slow = 1.0
    ended: list[Any] = []
    with site.agent():
        first = threading.Thread(target=lambda: ended.append(site.deploy("one")[1]))
        first.start()
        while not list(site.blobs.names("orders/")):
            time.sleep(0.01)
        error = error_of(site.deploy, "two")
        assert isinstance(error, BusyError)
        assert f"{SERVICE} is being deployed, as " in error.message
        events, finished = site.deploy("one")
        first.join(60)
    assert finished.release.number == 1
    assert any("has this order already" in e.reason for e in events if isinstance(e, Progress))
    assert [one.release.number for one in ended] == [1]
    assert len(list(site.blobs.names("orders/"))) == 1


def test_a_command_that_is_interrupted_has_its_order_taken_back(site: Site) -> None:
    site.machine.slow = 30.0
    with site.agent():
        flow = site.command().deploy(wanted("one"), planner=plan_of)
        for event in flow:
            if isinstance(event, Progress) and event.phase == "stage":
                break
        flow.close()
    history = site.machine.store.read(SERVICE)[0]
    assert [release.reason for release in history.releases] == ["interrupted"]
    assert site.machine.apps == {}


def test_what_fails_on_the_machine_fails_for_the_command(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        error = error_of(site.deploy, "bad-start")
    assert isinstance(error, TargetError)
    assert (error.exit_code, "bad weights" in error.message) == (4, True)


def test_rollback_and_destroy(site: Site) -> None:
    site.machine.gap_allowed = True
    with site.agent():
        site.deploy("one")
        site.deploy("two")
        _, back = run(site.command().rollback(SERVICE))
        assert back.release is not None
        assert (back.release.number, back.release.rollback_of) == (3, 1)
        assert isinstance(error_of(lambda: run(site.command().rollback(SERVICE, 9))), InputError)
        _, gone = run(site.command().destroy(SERVICE))
    assert (gone.release, gone.changed) == (None, True)


def test_an_agent_that_ends_in_the_middle_is_continued_by_the_next(site: Site) -> None:
    site.machine.slow = 0.3
    ended: list[Any] = []
    with site.agent():
        command = threading.Thread(target=lambda: ended.append(error_of(site.deploy, "one")))
        command.start()
        while not site.machine.store.read(SERVICE)[0].releases:
            time.sleep(0.01)
    assert site.machine.store.read(SERVICE)[0].live is None
    command.join(60)
    assert "was stopped" in ended[0].message
    assert "the order stays" in ended[0].message
    with site.agent():
        _, finished = site.deploy("one")
    assert finished.release.number == 1
    assert len(site.machine.store.read(SERVICE)[0].releases) == 1


def test_what_was_lost_is_brought_back_by_an_agent_that_starts(site: Site) -> None:
    with site.agent():
        site.deploy("one")
    site.machine.reboot()
    assert site.machine.observe(SERVICE) == ()
    with site.agent():
        end = time.monotonic() + 60
        while not any(seen.share == 100 for seen in site.machine.observe(SERVICE)):
            assert time.monotonic() < end
            time.sleep(0.02)


def test_status_is_there_without_an_agent_and_says_since_when(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        now = site.command().status(SERVICE)
    assert (now.target, now.healthy, now.notes) == ("agent", True, ())
    later = site.command().status(SERVICE)
    assert (later.url, later.healthy) == (now.url, False)
    assert "as of " in later.notes[0]
    assert "was stopped" in later.notes[0]
    assert isinstance(error_of(site.command().status, "other"), InputError)


def test_logs_come_in_pieces_and_none_is_missing(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        lines = list(site.command().logs(SERVICE, None, follow=False))
    assert lines == [f"line {n} of {SERVICE}" for n in range(2500)]


def test_keys_hold_when_a_call_returns_and_their_texts_stay_here(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        target = site.command()
        info, text = target.create_key(SERVICE, "team-a")
        assert KeyRing(site.keys).find(text) is not None
        _, second = target.rotate_key(SERVICE, "team-a", overlap=3600)
        ring = KeyRing(site.keys)
        assert ring.find(text) is not None
        assert ring.find(second) is not None
        target.revoke_key(SERVICE, info.id)
        assert KeyRing(site.keys).find(text) is None
        assert target.endpoint(SERVICE).key == site.command().endpoint(SERVICE).key
    held = b"".join(data for data, _ in site.blobs.held.values())
    assert not any(one.split("-", 2)[2].encode() in held for one in (text, second))
    assert isinstance(error_of(site.command().create_key, SERVICE, "b"), UnreachableError)


def test_a_revocation_without_an_agent_is_written_and_told_to_be_open(site: Site) -> None:
    with site.agent():
        site.deploy("one")
        _, text = site.command().create_key(SERVICE, "team-a")
    error = error_of(site.command().revoke_key, SERVICE, "team-a")
    assert "no gateway knows yet" in error.message
    with site.agent():
        end = time.monotonic() + 60
        while KeyRing(site.keys).find(text) is not None:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_machines_that_are_to_count_are_waited_for(site: Site) -> None:
    run(site.command().await_machines(0, 10))
    error = error_of(lambda: run(site.command().await_machines(2, 0)))
    assert "0 of 2 machines give signs of life" in error.message


def test_an_agent_is_waited_for_and_none_is_told(site: Site) -> None:
    error = error_of(lambda: run(site.command().await_agent(0)))
    assert "no agent has ever worked for" in error.message
    with site.agent():
        run(site.command().await_agent(60))
        assert site.command().presence().alive


def test_an_agent_of_another_version_gets_no_deploy(site: Site) -> None:
    now = time.time()
    held = Lease("h", "gpu-1", 7, now, "p", now, now, 1, 20.0, "0.0.9", FORMATS)
    LEASE.create(site.blobs, names.LEASE, held)
    error = error_of(site.deploy, "one")
    assert isinstance(error, RefusedError)
    assert "the agent on gpu-1 (pid 7) is llmops 0.0.9" in error.message
