"""The parts of a replica over several machines: what they are told, where they meet, and that none
outlives who started it."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
from ray.exceptions import RayError

from llmops.errors import InputError
from serving.engines import EngineRun
from serving.runtime.network import interface_of
from serving.runtime.parts import PORTS, PartEndedError, Parts, free_port, outlast
from serving.serve_config import REPLICA_RESOURCE, RuntimeSettings, render, routes
from tests.local.releases import release
from tests.planning.test_spanning import LARGE, SMALL, machine, planned
from tests.planning.worlds import CPU, GPU

RUN = EngineRun.of(release("chat", 1))
OWNED = """\
import subprocess, sys, threading
from serving.runtime.part import _end_with_owner
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
threading.Thread(target=_end_with_owner, daemon=True).start()
threading.Event().wait(60)
"""


def placed(model: str, build: str, **sections: Any) -> dict[str, Any]:
    """What Serve is told of a release that is planned over two machines."""
    plan = planned(model, [machine(0 if build == CPU else 8)] * 2, build, **sections)
    made = release("chat", 1)
    object.__setattr__(made, "plan", plan)
    settings = RuntimeSettings("/home", "127.0.0.1", 8000, 9000, machines=True)
    _, application = render([made], routes([made], {("chat", 1): 100}, "1"), settings, 1)[
        "applications"
    ]
    told: dict[str, Any] = application["deployments"][0]
    return told


def test_each_stage_takes_the_same_of_a_machine_of_its_own() -> None:
    told = placed(LARGE, GPU)
    part = {REPLICA_RESOURCE: 0.01, "GPU": 8}
    assert told["placement_group_bundles"] == [part, part]
    assert told["placement_group_strategy"] == "STRICT_SPREAD"
    assert told["ray_actor_options"]["num_gpus"] == 8
    on_cpu = placed(SMALL, CPU, parallelism={"pipeline": 2})
    assert on_cpu["placement_group_bundles"] == [{REPLICA_RESOURCE: 0.01}] * 2


def test_a_replica_on_one_machine_is_placed_as_it_was() -> None:
    assert not {"placement_group_bundles", "placement_group_strategy"} & set(placed(SMALL, GPU))


def test_they_meet_behind_the_firewall_of_rays_ports() -> None:
    assert free_port() in PORTS
    assert (PORTS.start, PORTS.stop - 1) == (10002, 19999)


def test_an_interface_is_found_by_its_address() -> None:
    assert interface_of("127.0.0.1") == interface_of("127.0.0.7") == "lo"
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            text = one.address.partition("%")[0]
            if ":" not in text and not text.startswith("127."):
                assert interface_of(text) == name
    with pytest.raises(InputError, match=r"192\.0\.2\.1"):
        interface_of("192.0.2.1")


ENDING = """\
import subprocess, sys
from serving.runtime.ending import end_at_once
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
end_at_once()
"""


def test_a_replica_that_has_lost_a_part_ends_with_all_that_it_started() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDING], stdout=subprocess.PIPE, timeout=60, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 1
    pid = int(ended.stdout)
    # Killed it is; that it is gone takes the kernel a moment where others are busy.
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (("its engine ended with -9", "look there"), "its engine ended with -9"),
        (RayError("The actor died unexpectedly\nmore"), "The actor died unexpectedly"),
    ],
    ids=["its engine", "its machine"],
)
def test_whichever_way_a_part_ends_the_replica_is_told(
    answer: object, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    told: queue.Queue[PartEndedError] = queue.Queue()
    parts = Parts("/home", RUN, fetch=False)
    parts._parts = [(1, "10.0.0.4", Mock())]
    monkeypatch.setattr("serving.runtime.parts.ray.get", get)
    parts.watch(told.put)
    assert told.get(timeout=10).message == (
        f"stage 1 of the replica, on 10.0.0.4, has ended: {why}"
    )


def test_a_part_and_all_below_it_end_with_who_started_it() -> None:
    part = subprocess.Popen(
        [sys.executable, "-c", OWNED], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        start_new_session=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert part.stdin is not None
    assert part.stdout is not None
    child = psutil.Process(int(part.stdout.readline()))
    try:
        assert child.is_running()
        part.stdin.close()
        assert part.wait(10) < 0
        deadline = time.monotonic() + 10
        while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, "what it started goes on"
            time.sleep(0.02)
    finally:
        part.kill()
        if child.is_running():
            child.kill()


@pytest.mark.parametrize("stopped", ["itself", "a worker"])
def test_a_stage_that_is_stopped_is_over(stopped: str) -> None:
    worker = "import time; print('here', flush=True); time.sleep(60)"
    head = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}])"
    process = subprocess.Popen(
        [sys.executable, "-c", head], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        told: queue.Queue[int | None] = queue.Queue()
        waiting = threading.Thread(target=lambda: told.put(outlast(process, 0.02)))
        waiting.start()
        with pytest.raises(queue.Empty):
            told.get(timeout=0.5)  # it works, and nothing is expected of it
        [child] = psutil.Process(process.pid).children()
        (child if stopped == "a worker" else psutil.Process(process.pid)).suspend()
        assert told.get(timeout=30) is None
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_stage_that_ends_by_itself_says_with_what() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as process:
        assert outlast(process, 0.02) == 7
