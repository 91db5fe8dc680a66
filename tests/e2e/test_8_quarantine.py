"""A request that really ends vLLM ends two engines and no more; who kills one makes no suspects.

A plugin of vLLM's, in the engine's own process, plays the fault: it ends that process, as a failed
assertion of a library's would, when a request has a certain seed. It also takes its time for each
token, so that others are in flight then.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.stage import Stage, free_port, until

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

NAME = "ended"
SEED = 66_666_666
PLUGIN = f"""\
import os
import time

def register():
    from vllm.v1.engine.core import EngineCore

    for name in ("step", "step_with_batch_queue"):
        setattr(EngineCore, name, slowly(getattr(EngineCore, name)))
    add = EngineCore.add_request

    def add_request(self, request, *rest, **more):
        params = request.sampling_params
        if params is not None and params.seed == {SEED}:
            os.abort()
        return add(self, request, *rest, **more)

    EngineCore.add_request = add_request

def slowly(step):
    def slow(self):
        time.sleep(0.02)
        return step(self)

    return slow
"""
LONG: dict[str, Any] = {"max_tokens": 150, "ignore_eos": True}


@pytest.fixture
def alone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A runtime whose engines can be ended by a request."""
    home = tmp_path_factory.mktemp("ended")
    home.chmod(0o700)
    made = Stage(home, tmp_path, free_port())
    plugin = tmp_path / "plugin"
    told = plugin / "ended-0.dist-info"
    told.mkdir(parents=True)
    (plugin / "ended_plugin.py").write_text(PLUGIN)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: ended\nVersion: 0\n")
    (told / "entry_points.txt").write_text(
        "[vllm.general_plugins]\nended = ended_plugin:register\n"
    )
    made.environment["PYTHONPATH"] = str(plugin)
    yield made
    made.run("destroy", NAME, "--yes")
    made.end()


def cores(stage: Stage) -> list[int]:
    """Pids of all engines that were ever begun, oldest first, as the log names them."""
    log = (stage.home / "logs" / NAME / "r1" / "engine.log").read_text(errors="replace")
    return list(dict.fromkeys(int(pid) for pid in re.findall(r"\(EngineCore pid=(\d+)\)", log)))


def asked(stage: Stage, key: str, **fields: Any) -> httpx.Response:
    body = {"model": NAME, "prompt": "one two three"} | fields
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{stage.url}/v1/completions", json=body, headers=headers, timeout=400)


def flying(ops: str) -> int:
    """Requests in flight, as the gateway's ops port tells."""
    told = httpx.get(f"{ops}state", timeout=60).json()["services"][NAME]["in_flight"]
    return sum(told.values())


def audit(stage: Stage) -> list[dict[str, Any]]:
    lines = (stage.home / "logs" / "audit.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line.get("key") == "tests"]


def test_a_request_that_ends_the_engine_ends_two_and_a_kill_makes_no_suspects(
    alone: Stage, model: Path
) -> None:
    done = alone.deploy(alone.spec(NAME, f"file://{model}"))
    assert done.code == 0, done.text
    key, ops = alone.key(NAME, "tests"), alone.status(NAME)["metrics_url"]
    with ThreadPoolExecutor(4) as pool:
        innocent = [
            pool.submit(asked, alone, key, prompt=f"number {number}", **LONG) for number in range(3)
        ]
        until(lambda: flying(ops) == 3, 60)
        killer = pool.submit(asked, alone, key, seed=SEED)
        answers = [one.result() for one in innocent]
        ended = killer.result()
    print("engines:", cores(alone), file=sys.stderr)
    beside_it = [answer.text for answer in answers if answer.status_code != 200]
    assert not beside_it, f"who was beside it lost: {beside_it}, {audit(alone)}"
    assert ended.status_code == 422, ended.text
    assert ended.json()["error"]["code"] == "request_quarantined"
    until(lambda: len(cores(alone)) >= 3, 120)  # the one that follows is on its way
    assert len(cores(alone)) == 3, "it ended more than two engines"
    again = asked(alone, key, seed=SEED, stream=True)
    assert (again.status_code, len(cores(alone))) == (422, 3)
    assert alone.status(NAME)["quarantined"] == 1
    assert "1 request refused that ended the engine twice" in alone.run("status", NAME).text

    engine = psutil.Process(cores(alone)[-1])
    with ThreadPoolExecutor(1) as pool:
        beside = pool.submit(asked, alone, key, prompt="beside a kill", **LONG)
        until(lambda: flying(ops) == 1, 60)
        engine.send_signal(signal.SIGKILL)
        until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE, 30)
        assert beside.result().status_code == 200
    assert len(cores(alone)) == 4, "the fault did not land"
    assert "fingerprint" not in audit(alone)[-1], "a kill from outside was laid to a request"
    suspected = [line for line in audit(alone) if "fingerprint" in line]
    assert len(suspected) == 5, "three beside it, and twice itself"
    assert len({line["fingerprint"] for line in suspected}) == 4
