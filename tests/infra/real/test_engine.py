"""The owner of the Automation API on the real engine: what recordings say, said by it itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.automation import (
    Counted,
    Locked,
    Operation,
    ResourceEvent,
    StackEvent,
    StackFailed,
    Told,
    Unread,
    bring_up,
    take_down,
)
from infra.automation.model import short
from tests.infra.automation.stage import failing, follow
from tests.infra.making import deployment
from tests.infra.real.conftest import PASSPHRASE, STACK, Real
from tests.infra.real.double import FOLDER

pytestmark = [
    pytest.mark.engines,
    pytest.mark.long,
    pytest.mark.pulumi,
    pytest.mark.timeout(600),
]

GROUP = "aws:autoscaling/group:Group"
INSTANCE = "aws:ec2/instance:Instance"
STORE = "aws:s3/bucket:Bucket"


def operations(found: Any) -> Counter[Operation]:
    """How many of each, of what a cloud has: providers and components aside."""
    return Counter(one.operation for one in found if one.kind.startswith("aws:"))


def told(events: list[StackEvent]) -> str:
    return "\n".join(one.text for one in events if isinstance(one, Told))


def test_a_stack_from_its_first_preview_to_nothing(real: Real) -> None:
    made = deployment()
    events, previewed = follow(real.engine(made).preview())
    assert set(operations(previewed)) == {Operation.CREATE}
    assert not real.engine(made).exists(), "a look has made the stack"
    assert real.cloud.objects() == []

    events, outputs = follow(bring_up(real.engine(made)))
    made_there = Counter(one["kind"] for one in real.cloud.objects())
    assert made_there.total() == operations(previewed)[Operation.CREATE]
    assert sum(one.count for one in events if isinstance(one, Unread)) == 0
    done = [one for one in events if isinstance(one, ResourceEvent) and one.state == "done"]
    assert operations(done)[Operation.CREATE] == made_there.total()
    assert outputs.text("region") == "us-east-1"
    assert outputs.text("store").startswith("s3://")
    (counted,) = [one for one in events if isinstance(one, Counted)]
    assert counted.changes["create"] >= made_there.total()

    _, again = follow(real.engine(made).preview())
    assert set(operations(again)) == {Operation.SAME}
    events, _ = follow(bring_up(real.engine(made)))
    assert Counter(one["kind"] for one in real.cloud.objects()) == made_there

    follow(take_down(real.engine(made)))
    left = Counter(one["kind"] for one in real.cloud.objects())
    assert left[STORE] == 1, "what holds data went unasked"
    assert set(left) <= {STORE, *(kind for kind in left if kind.startswith("aws:s3/"))}
    assert real.engine(made).exists()
    follow(take_down(real.engine(made), keep_data=False))
    assert real.cloud.objects() == []
    assert not real.engine(made).exists()


def test_a_change_is_previewed_as_it_is_then_made(real: Real) -> None:
    follow(bring_up(real.engine(deployment())))
    more = deployment(spare=2)
    _, previewed = follow(real.engine(more).preview())
    changed = {one.name: one for one in previewed if one.operation is not Operation.SAME}
    kinds = {one.kind for one in changed.values() if one.kind.startswith("aws:")}
    assert GROUP in kinds
    (group,) = [one for one in changed.values() if one.kind == GROUP]
    assert (group.operation, {"desiredCapacity", "minSize"} & set(group.keys) != set()) == (
        Operation.UPDATE,
        True,
    )
    heads = [(one.operation, one.keys) for one in previewed if one.kind == INSTANCE]
    assert heads == [(Operation.UPDATE, ("tags",))], "more of the head would be touched"
    follow(bring_up(real.engine(more)))
    _, then = follow(real.engine(more).preview())
    assert set(operations(then)) == {Operation.SAME}


def test_without_capacity_the_reason_is_the_clouds_and_the_next_run_goes_on(real: Real) -> None:
    said = (
        "creating Auto Scaling Group: operation error Auto Scaling: CreateAutoScalingGroup,"
        " InsufficientInstanceCapacity: We currently do not have sufficient capacity"
    )
    real.behave("errors", **{GROUP: said})
    events, error = failing(bring_up(real.engine(deployment())))
    assert isinstance(error, StackFailed)
    assert error.another_offer_may_do
    assert "InsufficientInstanceCapacity" in f"{error.message} {error.hint}"
    failed = [one for one in events if isinstance(one, ResourceEvent) and one.state == "failed"]
    assert [one.kind for one in failed] == [GROUP]
    before = len(real.cloud.objects())
    assert before, "nothing was made before the failure: it shows nothing"
    real.behave("errors")
    follow(bring_up(real.engine(deployment())))
    _, then = follow(real.engine(deployment()).preview())
    assert set(operations(then)) == {Operation.SAME}


RUN = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from infra.automation import bring_up
    from tests.infra.making import deployment
    from tests.infra.real.conftest import Real
    for event in bring_up(Real(Path(sys.argv[1])).engine(deployment())):
        pass
    """
)
"""What another command does, in a process of its own."""


def another(real: Real) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(real.folder)], start_new_session=True, stderr=sys.stderr
    )


def until(what: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "what was waited for did not come"
        time.sleep(0.1)


def locked(real: Real) -> bool:
    return any((real.folder / "backend/.pulumi/locks").rglob("*.json"))


def kinds(real: Real) -> set[str]:
    return {one["kind"] for one in real.cloud.objects()}


def killed(process: subprocess.Popen[bytes]) -> None:
    """End a command and everything that it has started, at once."""
    first = psutil.Process(process.pid)
    family = [*first.children(recursive=True), first]
    for one in family:
        one.kill()
    process.wait()
    until(lambda: not any(alive(one) for one in family))


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_second_run_is_refused_and_names_the_first(real: Real) -> None:
    real.behave("seconds", **{STORE: 60})
    first = another(real)
    try:
        until(lambda: locked(real))
        _, error = failing(bring_up(real.engine(deployment())))
        assert isinstance(error, Locked)
        assert not error.stale
        assert error.exit_code == 3
        assert "(pid " in error.message
    finally:
        killed(first)


@pytest.mark.parametrize("kind", [STORE, INSTANCE, GROUP])
def test_killed_while_something_is_made_the_next_run_converges(kind: str, real: Real) -> None:
    real.behave("seconds", **{kind: 600})
    first = another(real)
    try:
        until(lambda: locked(real) and pending(real, kind))
    finally:
        killed(first)
    assert locked(real), "the kill did not land: no lock was left"
    real.behave("seconds")
    events, _ = follow(bring_up(real.engine(deployment())))
    assert "its lock is dropped" in told(events)
    assert "cut off while" in told(events)
    _, then = follow(real.engine(deployment()).preview())
    assert set(operations(then)) == {Operation.SAME}
    assert not locked(real)
    urns = Counter(one["urn"] for one in real.cloud.objects())
    twice = {short(urn) for urn, count in urns.items() if count > 1}
    said = {name for name in twice if f"creating {name}" in told(events)}
    assert twice == said, "made twice, and nobody was told that it may have been"


def test_what_a_kill_has_torn_in_the_backend_is_mended(real: Real) -> None:
    follow(bring_up(real.engine(deployment())))
    folder = real.folder / "backend/.pulumi"
    sides = [folder / f"stacks/llmops/{STACK}.json.attrs", folder / "meta.yaml.attrs"]
    for side in sides:
        assert side.stat().st_size, f"{side.name}: this engine keeps none, or another one"
        side.write_bytes(b"")
    _, then = follow(real.engine(deployment()).preview())
    assert set(operations(then)) == {Operation.SAME}


def pending(real: Real, kind: str) -> bool:
    """Whether the engine has recorded that it is making one of a kind."""
    file = real.folder / "backend/.pulumi/stacks/llmops" / f"{STACK}.json"
    text = file.read_text() if file.exists() else ""
    _, found, after = text.partition('"pending_operations"')
    return bool(found) and kind in after


def test_interrupted_once_it_ends_what_is_in_flight_and_leaves_nothing(real: Real) -> None:
    real.behave("seconds", **{INSTANCE: 5})
    first = another(real)
    until(lambda: pending(real, INSTANCE))
    os.kill(first.pid, signal.SIGINT)
    assert first.wait(timeout=120) != 0
    until(lambda: not locked(real), 20)
    assert INSTANCE in kinds(real)
    events, _ = follow(bring_up(real.engine(deployment())))
    assert "cut off" not in told(events)
    _, then = follow(real.engine(deployment()).preview())
    assert set(operations(then)) == {Operation.SAME}


def test_no_secret_is_in_what_is_kept_or_told(real: Real) -> None:
    assert real.folder.joinpath("cloud").exists()
    events, outputs = follow(bring_up(real.engine(deployment())))
    everything = repr(events) + repr(outputs)
    for file in real.folder.rglob("*"):
        if file.is_file() and "packages" not in file.parts:
            everything += file.read_bytes().decode(errors="replace")
    assert PASSPHRASE not in everything
    assert str(Path(os.environ[FOLDER])) not in repr(outputs)
