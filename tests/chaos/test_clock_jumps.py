"""The machine's clock is set by an hour, ahead or back: nobody is taken for dead, let go or let in.

A real clock is not set here, since the machine has one for all. What the kernel does when it is set
is done instead: the moment of its boot, from which each process's start is told, moves with it.
"""

from __future__ import annotations

import inspect
import json
import os
import time
from pathlib import Path

import psutil
import pytest

from clusters.holder import Holder
from llmops.errors import BusyError
from serving.finetune.runs.model import Process, Run
from serving.finetune.runs.view import alive
from serving.gateway import App, Book, LocalLimiter
from serving.gateway.limiter import Ask, Bounds, Denied, Standing, Tokens
from serving.lives import life
from serving.locking import ServiceLock
from serving.runtime import launcher, limits
from serving.runtime.limits import Accounts
from serving.runtime.paths import RuntimePaths
from tests.agent.test_holding import Clock, holding
from tests.agent.worlds import MemoryBlobs
from tests.gateway.fakes import Gate
from tests.releases.simulated import run

HOUR = 3600.0


@pytest.fixture(params=[HOUR, -HOUR], ids=["ahead", "back"])
def jump(request: pytest.FixtureRequest) -> float:
    by: float = request.param
    return by


def set_clock(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """What is seen of the machine once its clock was set."""
    now, boot, me = time.time, psutil.boot_time(), psutil.Process().create_time()
    monkeypatch.setattr(time, "time", lambda: now() + by)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + by)
    assert psutil.Process().create_time() == pytest.approx(me + by, abs=2), "the fault did not land"


def test_the_host_is_still_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """Or the next command would end a runtime that serves, and all its streams with it."""
    paths = RuntimePaths(tmp_path)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    paths.sockets.mkdir(mode=0o700)
    paths.host_record.write_text(json.dumps({"pid": os.getpid(), "life": life(os.getpid())}))
    set_clock(monkeypatch, jump)
    found = launcher.host_process(paths)
    assert found is not None, "the host that runs is taken for dead"
    assert found.pid == os.getpid()


def test_who_holds_a_lock_still_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    lock = ServiceLock(tmp_path)
    with lock.hold("chat", "deployed"):
        set_clock(monkeypatch, jump)
        assert not lock.left("chat"), "a minder would take the service from who holds it"
        with pytest.raises(BusyError, match=f"by pid {os.getpid()} "), lock.hold("chat", "ended"):
            pass


def test_who_holds_a_clusters_lease_is_not_dead(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    held = Holder.here()
    set_clock(monkeypatch, jump)
    assert not held.is_dead(), "another would write beside it"


def test_who_holds_a_stores_lease_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    blobs = MemoryBlobs()
    first = holding(blobs, Clock())
    run(first.take())
    set_clock(monkeypatch, jump)
    with pytest.raises(BusyError, match="works for memory since"):
        run(holding(blobs, Clock(first)).take())


def test_a_run_that_trains_is_not_interrupted(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    me = Process(os.getpid(), life(os.getpid()), "here")
    run_ = Run("tuned", 1, "", "", started=time.time(), updated=time.time(), supervisor=me)
    set_clock(monkeypatch, jump)
    assert alive(run_)


async def test_a_gateway_stays_healthy_and_measures_no_hour(tmp_path: Path, jump: float) -> None:
    gate = Gate(tmp_path)
    wall = [gate.clock.now]
    gate.app._clock = lambda: wall[0]
    for service in ("tiny", "other"):
        gate.app.note_generation(service, 3)
    await gate.complete()
    wall[0] += jump
    gate.clock.now += 1
    assert (await gate.ask("GET", "/health", key="")).status == 200
    assert gate.app.quiet(60) == []
    await gate.complete()
    tiny = gate.app.state()["services"]["tiny"]
    assert (tiny["requests_per_minute"], tiny["last_generation_at"]) == (2, wall[0])
    lines = [json.loads(line) for line in gate.audit_file.read_text().splitlines()]
    assert [line["seconds"] for line in lines] == [0, 0]
    gate.audit.close()


def test_what_a_gateway_measures_it_measures_by_a_clock_that_nobody_sets() -> None:
    assert inspect.signature(App).parameters["elapsed"].default is time.monotonic


def test_no_gateway_is_gone_because_the_clock_was_set(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """Or what its requests have set aside would be free for others, and so be spent twice."""
    actor = Accounts()
    life_ = actor.join("one", {}, [])
    actor.join("other", {}, [])
    ask = Ask("req-1", "chat/a", Bounds(concurrent_requests=1))
    assert isinstance(actor.admit(life_, "one", ask), Standing)
    set_clock(monkeypatch, jump)
    actor.renew(life_, "other")
    again = Ask("req-2", "chat/a", Bounds(concurrent_requests=1))
    assert isinstance(actor.admit(life_, "other", again), Denied)
    monkeypatch.setattr(limits, "GONE_AFTER", -1.0)
    actor.renew(life_, "other")
    assert isinstance(actor.admit(life_, "other", again), Standing), "one that is gone stays"


async def test_a_day_is_not_spent_twice_nor_a_key_locked_out() -> None:
    """The clock goes an hour ahead over midnight, and back: the new day is begun once."""
    day = 20_000 * 86400.0
    now = [day - 60.0]
    limiter = LocalLimiter(Book(), lambda: now[0])
    bounds = Bounds(tokens_per_day=100, tokens_per_minute=1_000_000)

    async def spend(number: int, tokens: int) -> bool:
        ask = Ask(f"req-{number}", "chat/a", bounds)
        await limiter.admit(ask)
        answer = await limiter.reserve(ask, Tokens(0, tokens))
        limiter.settle(ask, Tokens(0, tokens) if isinstance(answer, Standing) else Tokens())
        return isinstance(answer, Standing)

    assert await spend(1, 100)
    now[0] += HOUR
    assert await spend(2, 60)
    now[0] -= HOUR
    assert not await spend(3, 60), "a clock that was set back gave the day anew"
    assert await spend(4, 40), "and it locked the key out"
    now[0] += HOUR
    assert not await spend(5, 1), "a day that was begun is begun again"
