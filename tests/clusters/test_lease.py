"""One writer per service: who gets the lock, who is told what, and how a holder loses it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from clusters import lease as module
from clusters.held import EVERY, SOON, Renew
from clusters.holder import Holder
from clusters.lease import LeaseLock
from clusters.lease_record import Record
from clusters.model import Manifest
from llmops.errors import BusyError, InputError, TargetError
from llmops.releases import Conflict
from tests.clusters.fake_api import FakeApi

NAME = "chat-llmops"
NOON = 1_800_000_000.0
BEN = Holder("ben", "desk", 4711, int(NOON), "0" * 12, "0" * 8)


@dataclass
class World:
    """An API, clocks that a test moves, and renewals that a test makes."""

    api: FakeApi = field(default_factory=FakeApi)
    now: float = NOON
    passed: float = 0.0
    said: list[str] = field(default_factory=list)
    renew: Renew | None = None
    on_sleep: Callable[[], None] = lambda: None

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.passed += seconds

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        self.on_sleep()

    @contextlib.contextmanager
    def by_hand(self, renew: Renew) -> Iterator[None]:
        self.renew = renew
        yield

    def tick(self) -> float | None:
        assert self.renew is not None
        return self.renew()

    def lock(self, **more: Any) -> LeaseLock:
        given: dict[str, Any] = {
            "clock": lambda: self.now,
            "elapsed": lambda: self.passed,
            "sleep": self.sleep,
            "tell": self.said.append,
            "background": self.by_hand,
            **more,
        }
        return LeaseLock(self.api, "ai", **given)

    def lock_of(self, holder: Holder) -> LeaseLock:
        return self.lock(holder=lambda: holder)

    @property
    def lease(self) -> Manifest:
        found = self.api.get("Lease", NAME, "ai")
        assert found is not None
        return found

    @property
    def holder(self) -> str:
        return Record.of(self.lease).holder

    def edit(self, **spec: Any) -> None:
        self.api.edit("Lease", NAME, "ai", lambda found: found["spec"].update(spec))

    def left_by(self, holder: Holder | str) -> None:
        """A lock that was taken and never given back."""
        lock = self.lock_of(BEN)
        hold = lock.hold("chat", "deployed")
        hold.__enter__()
        self.edit(holderIdentity=str(holder))
        kept.append(hold)


kept: list[Any] = []
"""Holds that must not end before their test does."""


@pytest.fixture
def world() -> Iterator[World]:
    yield World()
    kept.clear()


def test_the_lease_says_who_holds_it_for_what(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed"):
        lease = world.lease
    assert lease["apiVersion"] == "coordination.k8s.io/v1"
    assert lease["metadata"]["annotations"] == {"llmops/purpose": "deployed"}
    assert lease["metadata"]["labels"]["llmops/service"] == "chat"
    assert lease["spec"] == {
        "holderIdentity": "ben@desk/4711/1800000000-000000000000-00000000",
        "leaseDurationSeconds": 60,
        "acquireTime": "2027-01-15T08:00:00.000000Z",
        "renewTime": "2027-01-15T08:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_the_second_taker_is_told_who_since_when_and_until_when(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed"):
        world.advance(20)
        with pytest.raises(BusyError) as caught, world.lock().hold("chat", "destroyed"):
            pass
        assert world.holder == str(BEN)
    assert caught.value.message == (
        "chat is being deployed by ben@desk (pid 4711) since 08:00:00 UTC (20 s);"
        " it expires at 08:01:00 UTC unless renewed"
    )
    assert "kubectl -n ai delete lease chat-llmops" in caught.value.hint
    assert world.passed == 20, "it waited"


@pytest.mark.parametrize("failure", [None, RuntimeError("inside"), KeyboardInterrupt()])
def test_it_is_given_back_at_the_end(world: World, failure: BaseException | None) -> None:
    ends = pytest.raises(type(failure)) if failure else contextlib.nullcontext()
    with ends, world.lock_of(BEN).hold("chat", "deployed"):
        if failure:
            raise failure
    assert "holderIdentity" not in world.lease["spec"]
    with world.lock().hold("chat", "deployed"):
        assert Record.of(world.lease).transitions == 1


def test_a_lock_that_cannot_be_given_back_fails_nothing(world: World) -> None:
    def away() -> None:
        raise TargetError("the API server is away")

    with world.lock_of(BEN).hold("chat", "deployed"):
        world.api.before_write = away
    world.api.before_write = lambda: None
    assert world.holder == str(BEN), "it is left to expire"


def test_it_is_not_reentrant(world: World) -> None:
    lock = world.lock()
    with (
        lock.hold("chat", "deployed"),
        pytest.raises(BusyError, match=rf"\(pid {os.getpid()}\)"),
        lock.hold("chat", "deployed"),
    ):
        pass


def test_services_and_namespaces_do_not_wait_for_one_another(world: World) -> None:
    elsewhere = LeaseLock(world.api, "other")
    with (
        world.lock().hold("chat", "deployed"),
        world.lock().hold("mail", "deployed"),
        elsewhere.hold("chat", "deployed"),
    ):
        pass


def test_a_name_that_is_none_is_refused(world: World) -> None:
    with pytest.raises(InputError), world.lock().hold("../chat", "deployed"):
        pass
    assert not world.api.objects


# Who died


def test_a_process_of_this_machine_that_is_gone_holds_nothing(world: World) -> None:
    here = Holder.here()
    world.left_by(replace(here, started=here.started - 1000))
    with world.lock().hold("chat", "destroyed"):
        assert Holder.parse(world.holder) != here
    assert (world.passed, world.said) == (0.0, []), "it waited"


def test_a_pid_is_not_compared_with_those_of_another_place(world: World) -> None:
    here = Holder.here()
    world.left_by(replace(here, started=here.started - 1000, place="f" * 12))
    with pytest.raises(BusyError), world.lock().hold("chat", "destroyed"):
        pass


def test_a_lock_that_expired_is_taken_when_nothing_moves(world: World) -> None:
    world.left_by(BEN)
    world.advance(70)
    with world.lock().hold("chat", "destroyed"):
        record = Record.of(world.lease)
    assert (record.purpose, record.transitions) == ("destroyed", 1)
    assert 90 <= world.passed < 95
    [said] = world.said
    assert said == (
        "chat is being deployed by ben@desk (pid 4711) since 08:00:00 UTC (1 min 10 s); it should"
        " have ended at 08:01:00 UTC: waiting 20 s for a sign of life"
    )


def test_clocks_that_are_a_little_apart_take_nothing_from_a_holder(world: World) -> None:
    world.left_by(BEN)
    for apart in (64.0, -4.0):
        world.now = NOON + apart
        with pytest.raises(BusyError), world.lock().hold("chat", "destroyed"):
            pass
    assert not world.said


@pytest.mark.parametrize("apart", [3600.0, -3600.0, 86_400.0 * 365])
def test_a_clock_that_is_wrong_takes_nothing_from_a_holder_that_renews(
    world: World, apart: float
) -> None:
    world.left_by(BEN)
    world.now += apart
    began = world.passed

    def renewed() -> None:
        if world.passed - began >= EVERY:
            world.edit(renewTime="2027-01-15T08:00:15.000000Z")

    world.on_sleep = renewed
    with pytest.raises(BusyError, match="ben@desk"), world.lock().hold("chat", "destroyed"):
        pass
    assert world.holder == str(BEN)


@pytest.mark.parametrize("apart", [3600.0, -3600.0])
def test_a_dead_holder_with_a_wrong_clock_does_not_keep_it(world: World, apart: float) -> None:
    world.left_by(BEN)
    world.now += apart
    with world.lock().hold("chat", "destroyed"):
        assert world.holder != str(BEN)
    assert world.passed < 25


def test_a_lock_that_is_given_back_while_it_is_watched_is_taken_at_once(world: World) -> None:
    world.left_by(BEN)
    world.advance(100)
    world.on_sleep = lambda: world.edit(holderIdentity=None)
    with world.lock().hold("chat", "destroyed"):
        pass
    assert world.passed == 100 + module.LOOK


@pytest.mark.parametrize(
    "spec",
    [
        {"renewTime": None},
        {"renewTime": "yesterday"},
        {"acquireTime": None, "renewTime": None, "leaseDurationSeconds": None},
    ],
)
def test_a_lease_that_nobody_can_read_is_one_that_expired(
    world: World, spec: dict[str, Any]
) -> None:
    world.left_by("somebody-else_0a1b")
    world.edit(**spec)
    with world.lock().hold("chat", "destroyed"):
        assert "somebody-else" not in world.holder
    assert "by somebody-else_0a1b" in world.said[0]


def test_a_lease_without_anything_in_it_is_free(world: World) -> None:
    world.left_by(BEN)
    world.api.edit("Lease", NAME, "ai", lambda found: found.pop("spec"))
    with world.lock().hold("chat", "destroyed"):
        pass
    assert not world.said


# While it is held


def test_a_holder_renews_and_stays_the_holder(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed") as held:
        for _ in range(10):
            world.advance(EVERY)
            assert world.tick() == EVERY
            held.check()
        assert world.lease["spec"]["renewTime"] == "2027-01-15T08:02:30.000000Z"
        assert world.lease["spec"]["acquireTime"] == "2027-01-15T08:00:00.000000Z"
        with pytest.raises(BusyError), world.lock().hold("chat", "destroyed"):
            pass


def test_a_holder_from_whom_it_was_taken_is_told_by_whom(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed") as held:
        held.check()
        eve = replace(BEN, user="eve", host="lap")
        world.edit(holderIdentity=str(eve))
        assert world.tick() is None, "it goes on renewing what is another's"
        with pytest.raises(BusyError, match=r"lock of chat was lost: .* by eve@lap \(pid 4711\)"):
            held.check()
    assert world.holder == str(eve), "it gave back what was another's"


def test_a_holder_whose_lease_was_deleted_has_lost_it(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed") as held:
        world.api.delete("Lease", NAME, "ai")
        world.tick()
        with pytest.raises(BusyError, match="lost: somebody broke it"):
            held.check()
    assert not world.api.objects


def test_a_label_that_somebody_adds_is_no_loss(world: World) -> None:
    def change(found: Manifest) -> None:
        found["metadata"]["labels"]["team"] = "a"

    with world.lock_of(BEN).hold("chat", "deployed") as held:
        world.api.edit("Lease", NAME, "ai", change)
        assert world.tick() == EVERY
        held.check()
        assert world.lease["metadata"]["labels"]["team"] == "a"


def test_a_holder_that_cannot_renew_stops_before_the_lock_ends(world: World) -> None:
    def away() -> None:
        raise TargetError("the API server is away")

    with world.lock_of(BEN).hold("chat", "deployed") as held:
        world.api.before_write = away
        world.advance(49)
        assert world.tick() == SOON
        held.check()
        world.advance(2)
        with pytest.raises(TargetError, match="not be renewed for 51 s: the API server is away"):
            held.check()
        world.api.before_write = lambda: None
        held.check()
        world.advance(49)
        held.check()


def test_a_holder_that_slept_finds_out_whether_it_is_still_the_holder(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed") as held:
        world.advance(1000)
        held.check()
        world.advance(1000)
        with world.lock().hold("chat", "destroyed"):
            with pytest.raises(BusyError, match=f"pid {os.getpid()}"):
                held.check()
            holder = world.holder
        assert holder != str(BEN)


def test_check_asks_the_server_nothing_while_the_lock_is_fresh(world: World) -> None:
    with world.lock_of(BEN).hold("chat", "deployed") as held:
        before = world.api.writes
        for _ in range(100):
            held.check()
        assert world.api.writes == before


# Races


def test_of_many_that_race_one_wins_and_the_others_name_it(world: World) -> None:
    start, end, refused = threading.Barrier(8), threading.Event(), threading.Semaphore(0)
    won: list[str] = []
    told: list[str] = []

    def race(number: int) -> None:
        me = replace(BEN, pid=number, nonce=f"{number:08x}")
        start.wait(30)
        try:
            with world.lock_of(me).hold("chat", "deployed"):
                won.append(f"pid {number}")
                end.wait(30)
        except BusyError as error:
            told.append(error.message)
            refused.release()

    racers = [threading.Thread(target=race, args=(number,)) for number in range(1, 9)]
    for racer in racers:
        racer.start()
    ended = [refused.acquire(timeout=30) for _ in range(7)]
    end.set()
    for racer in racers:
        racer.join(30)
    assert all(ended), "more than one got it, or one was never told"
    assert len(won) == 1, won
    assert all(f"({won[0]})" in message for message in told), (won, told)


def test_of_two_that_take_over_one_wins(world: World) -> None:
    world.left_by(BEN)
    world.advance(100)
    eve = replace(BEN, user="eve")

    def overtake() -> None:
        world.api.before_write = lambda: None
        kept.append(world.lock_of(eve).hold("chat", "destroyed"))
        kept[-1].__enter__()

    world.api.before_write = overtake
    with pytest.raises(BusyError, match="by eve@desk"), world.lock().hold("chat", "deployed"):
        pass
    assert world.holder == str(eve)


def test_a_lock_that_changes_hands_all_the_time_is_not_fought_for(world: World) -> None:
    def lose() -> None:
        raise Conflict("too late")

    world.api.before_write = lose
    with pytest.raises(BusyError, match="changes hands"), world.lock().hold("chat", "deployed"):
        pass


def test_the_background_renews_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.held.EVERY", 0.01)
    before = threading.active_count()
    renewed = threading.Event()
    with LeaseLock(world.api, "ai").hold("chat", "deployed") as held:
        world.api.before_write = renewed.set
        assert renewed.wait(30), "nothing was renewed"
        held.check()
    assert threading.active_count() == before, "a thread goes on"
    assert "holderIdentity" not in world.lease["spec"]


# Names


def test_a_holder_is_read_back_from_its_name() -> None:
    here = Holder.here()
    assert Holder.parse(str(here)) == here
    assert not here.is_dead()
    assert Holder.here().nonce != here.nonce
    assert len(str(here)) < 256


@pytest.mark.parametrize(
    "text", ["", "x", "pod-abc_0a1b2c3d", "a@b/x/1-2-3", f"{BEN} ", f"{BEN}/1"]
)
def test_the_names_of_other_programs_say_nothing_of_a_process(text: str) -> None:
    assert Holder.parse(text) is None


def test_a_pid_that_runs_no_more_is_dead_only_in_its_own_place() -> None:
    gone = replace(Holder.here(), pid=2**22 + 1)
    assert gone.is_dead()
    assert not replace(gone, place="0" * 12).is_dead()
