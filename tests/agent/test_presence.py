"""Whether an agent is there is told within seconds, whatever the clocks say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llmops.errors import RefusedError, UnreachableError
from serving.agent import names
from serving.agent.documents import FORMATS
from serving.agent.pace import PACE
from serving.agent.presence import LEASE, Watch
from serving.agent.words import Lease
from tests.agent.worlds import MemoryBlobs, error_of
from tests.releases.simulated import run

NOW = 1_000_000.0
HELD = Lease("h", "gpu-1", 7, NOW, "p", NOW, NOW, 1, 20.0, "0.1.0", FORMATS)


class Time:
    """Clocks that move only when somebody sleeps; each sleep may bring a beat."""

    def __init__(self, blobs: MemoryBlobs, *, beats: bool = False, ahead: float = 0.0) -> None:
        self.blobs, self.beats, self.ahead = blobs, beats, ahead
        self.passed = 0.0

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        if self.beats:
            lease, version = LEASE.read(self.blobs, names.LEASE)
            assert lease is not None
            LEASE.write(self.blobs, names.LEASE, replace(lease, beat=lease.beat + 1), version)

    def watch(self) -> Watch:
        return Watch(
            self.blobs,
            clock=lambda: NOW + self.ahead + self.passed,
            elapsed=lambda: self.passed,
            sleep=self.sleep,
        )


def store(lease: Lease | None) -> MemoryBlobs:
    blobs = MemoryBlobs()
    if lease is not None:
        LEASE.create(blobs, names.LEASE, lease)
    return blobs


def found(watch: Watch) -> Lease:
    return run(watch.found())[1]


def test_without_any_agent_nobody_waits() -> None:
    time = Time(store(None))
    error = error_of(found, time.watch())
    assert "no agent has ever worked for memory" in error.message
    assert "llmops agent --store memory" in error.hint
    assert time.passed == 0


def test_one_that_said_goodbye_is_not_waited_for() -> None:
    time = Time(store(replace(HELD, ended=True)), ahead=3600)
    error = error_of(found, time.watch())
    assert "the agent on gpu-1 (pid 7) was stopped 60 min ago" in error.message
    assert time.passed == 0


def test_one_that_has_just_given_a_sign_is_there() -> None:
    time = Time(store(HELD), ahead=3)
    assert found(time.watch()) == HELD
    assert time.passed == 0


def test_one_that_is_silent_is_said_to_be_gone_within_seconds() -> None:
    time = Time(store(HELD), ahead=7200)
    error = error_of(found, time.watch())
    assert isinstance(error, UnreachableError)
    assert "gives no sign of life since 2 h" in error.message
    assert PACE.beat < time.passed < 12


@pytest.mark.parametrize("ahead", [7200, -7200], ids=["its clock is behind", "its clock is ahead"])
def test_one_whose_clock_is_wrong_is_there_as_soon_as_it_beats(ahead: float) -> None:
    time = Time(store(HELD), beats=True, ahead=ahead)
    assert found(time.watch()).beat > 1
    assert time.passed < PACE.beat


def test_one_whose_clock_is_ahead_and_that_is_dead_is_not_believed() -> None:
    time = Time(store(HELD), ahead=-7200)
    assert "no sign of life" in error_of(found, time.watch()).message


def test_one_that_cannot_read_what_is_written_is_refused_with_both_versions() -> None:
    time = Time(store(replace(HELD, formats=(7,), version="9.9.9")))
    error = error_of(found, time.watch())
    assert isinstance(error, RefusedError)
    assert "9.9.9" in error.message
    assert "0.1.0" in error.message


def test_a_lease_of_another_format_is_refused() -> None:
    blobs = MemoryBlobs()
    blobs.put(names.LEASE, b'{"format": 2, "version": "9.9.9", "body": {"all": "new"}}', "")
    error = error_of(found, Time(blobs).watch())
    assert "of format 2, written by llmops 9.9.9" in error.message


def test_a_field_of_a_later_version_is_passed_over() -> None:
    blobs = store(HELD)
    data = LEASE.dump(HELD).replace(b'"host"', b'"mood": "good", "host"')
    blobs.held[names.LEASE] = (data, "v2")
    assert found(Time(blobs).watch()) == HELD


def test_what_is_damaged_is_not_guessed() -> None:
    blobs = MemoryBlobs()
    blobs.put(names.LEASE, b'{"format": 1, "body": {"host": "gpu-1"}}', "")
    assert "is damaged" in error_of(found, Time(blobs).watch()).message
