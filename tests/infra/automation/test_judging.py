"""What is judged from words alone: causes, holders of locks, and what a preview folds to."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from infra.automation import Cause, Holder, Operation, ResourceEvent, StackFailed
from infra.automation.failures import cause_of, failures
from infra.automation.locks import holders, known_dead, started
from infra.automation.reading import changes

TAKEN = "2026-03-10T16:33:14+00:00"
TAKEN_AT = 1773160394.0


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("api error InsufficientInstanceCapacity: none", Cause.CAPACITY),
        ("InsufficientReservedInstanceCapacity", Cause.CAPACITY),
        ("ReservationCapacityExceeded: the reservation is full", Cause.CAPACITY),
        ("api error VcpuLimitExceeded: more than allowed", Cause.QUOTA),
        ("api error AddressLimitExceeded", Cause.QUOTA),
        ("MaxSpotInstanceCountExceeded", Cause.SPOT),
        ("ExpiredToken: the security token is expired", Cause.CREDENTIALS),
        ("AccessDeniedException: not authorized to perform: iam:PassRole", Cause.DENIED),
        ("resource cannot be deleted because it is protected", Cause.PROTECTED),
        ("InvalidParameterValue: Invalid IAM Instance Profile name", Cause.OTHER),
    ],
)
def test_a_cause_is_known_by_the_words_of_the_cloud(text: str, cause: Cause) -> None:
    assert cause_of(text) is cause


def test_only_a_want_of_machines_alone_sends_to_the_next_offer() -> None:
    def failed(*said: str) -> StackFailed:
        return StackFailed("s", failures((f"r{n}", text) for n, text in enumerate(said)))

    assert failed("InsufficientInstanceCapacity").another_offer_may_do
    assert failed("InsufficientInstanceCapacity", "update failed").another_offer_may_do
    assert not failed("InsufficientInstanceCapacity", "AccessDenied").another_offer_may_do
    assert not failed().another_offer_may_do


def test_a_failure_while_something_serves_says_so_by_its_exit_code() -> None:
    assert StackFailed("s", ()).exit_code == 5
    assert StackFailed("s", (), serving=True).exit_code == 4


@pytest.mark.parametrize(
    ("host", "began", "dead"),
    [
        ("here", None, True),
        ("here", TAKEN_AT - 100, False),
        ("here", TAKEN_AT + 100, True),
        ("there", None, False),
    ],
    ids=["ended", "runs", "pid given out again", "another host"],
)
def test_only_a_process_of_this_host_can_be_known_to_be_dead(
    host: str, began: float | None, dead: bool
) -> None:
    line = f"  file:///b/l.json: created by anna@{host} (pid 4711) at {TAKEN}"
    [holder] = holders(f"error: the stack is currently locked by 1 lock(s).\n{line}")
    assert holder == Holder("anna", host, 4711, TAKEN)
    assert known_dead(holder, host="here", started=lambda _: began) is dead


def test_a_lock_without_a_readable_time_is_that_of_whoever_has_its_number() -> None:
    holder = Holder("anna", "here", 4711, "yesterday")
    assert not known_dead(holder, host="here", started=lambda _: 1.0)


def test_a_process_that_ended_and_was_not_reaped_is_none_that_runs() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    try:
        assert started(os.getpid()) is not None
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert started(process.pid) is None
    finally:
        process.wait()


def test_the_steps_of_a_replacement_are_one_change() -> None:
    def step(operation: Operation, reason: str) -> ResourceEvent:
        return ResourceEvent("urn::a", "aws:x", "a", operation, "began", 0.0, reason)

    steps = [
        step(Operation.UPDATE, "tags"),
        step(Operation.REPLACE, "instanceType"),
        step(Operation.DELETE, ""),
    ]
    [change] = changes(steps)
    assert (change.operation, change.keys) == (Operation.REPLACE, ("instanceType",))
