"""An update under load, on the real runtime: the new release begins with as many replicas as the
old one runs, and what was measured of a start outlives Serve's controller and the release.

A stage of its own: its load would be in the way of tests that share one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from tests.e2e.stage import Stage, free_port, until

pytestmark = [pytest.mark.engines, pytest.mark.long, pytest.mark.timeout(1500)]

NAME = "hands"
SCALING = "{replicas: 1..2, target_in_flight: 2, settle: 20s}"
START = 400.0
"""Seconds that replicas may take to start on two busy cores."""


@dataclass
class Hands:
    """The deployed service."""

    stage: Stage
    model: Path
    key: str
    state: str

    def spec(self, seed: int) -> Path:
        engine = f"{{kv_cache: 256MiB, args: {{seed: {seed}}}}}"
        return self.stage.spec(NAME, f"file://{self.model}", scaling=SCALING, engine=engine)

    def told(self) -> Any:
        """What the gateway tells of the service."""
        return httpx.get(self.state, timeout=60).json()["services"][NAME]

    def running(self, release: int) -> int:
        count = self.told()["replicas"].get(str(release), {"running": 0})
        return int(count["running"])

    def release(self, number: int) -> Any:
        shown = self.stage.status(NAME)["releases"]
        return next(one for one in shown if one["number"] == number)

    def controllers(self) -> list[psutil.Process]:
        """Processes of Serve's controller."""
        return [p for p in self.stage.processes() if "ServeController" in " ".join(p.cmdline())]


class Load:
    """Clients that ask again as soon as they are answered, while it is entered."""

    def __init__(self, hands: Hands, clients: int) -> None:
        self.statuses: list[int] = []
        self.broken: list[str] = []
        self._hands = hands
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._clients = clients
        self._http = httpx.Client(timeout=START)

    def __enter__(self) -> Self:
        self._asking = [self._pool.submit(self._loop) for _ in range(self._clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._asking:
            one.result(timeout=START)
        self._pool.shutdown()

    def _loop(self) -> None:
        body = {"model": NAME, "prompt": "one two", "max_tokens": 300, "ignore_eos": True,
                "stream": True}  # fmt: skip
        headers = {"authorization": f"Bearer {self._hands.key}"}
        while not self._stop.is_set():
            url = f"{self._hands.stage.url}/v1/completions"
            answer = self._http.post(url, json=body, headers=headers)
            self.statuses.append(answer.status_code)
            if not answer.text.rstrip().endswith("data: [DONE]"):
                self.broken.append(answer.text[-200:])


@pytest.fixture(scope="module")
def hands(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Hands]:
    home = tmp_path_factory.mktemp("hands-home")
    home.chmod(0o700)
    stage = Stage(home, tmp_path_factory.mktemp("hands-specs"), free_port())
    made = Hands(stage, model, "", "")
    try:
        done = stage.deploy(made.spec(1))
        assert done.code == 0, done.text
        made.key = stage.key(NAME, "tests")
        made.state = stage.status(NAME)["metrics_url"] + "state"
        yield made
    finally:
        stage.end()


def test_an_update_under_load_begins_with_the_number_that_runs(hands: Hands) -> None:
    moments: list[tuple[int, int, int]] = []
    with Load(hands, clients=4) as load:
        until(lambda: hands.running(1) == 2, START)
        deploying = hands.stage.start("deploy", "-f", str(hands.spec(2)), "--yes")

        def ended() -> bool:
            shares = hands.told()["releases"]
            moments.append((shares.get("2", 0), hands.running(2), hands.running(1)))
            return deploying.poll() is not None

        until(ended, START)
        printed = deploying.communicate()[0]
    assert deploying.returncode == 0, printed
    assert not load.broken, "an answer was cut by the update"
    assert set(load.statuses) == {200}
    first = next(one for one in moments if one[0] == 100)
    assert first[1] == 2, f"(share, replicas, those of the old one) when it took over: {first}"
    [begun] = [one for one in hands.stage.run("history", NAME, "-o", "json").json()["releases"]
               if one["number"] == 2]  # fmt: skip
    assert begun["begins"] == 2


def test_what_was_measured_of_a_start_outlives_serves_controller(hands: Hands) -> None:
    before = hands.release(2)["startup"]
    assert before is not None
    [controller] = hands.controllers()
    controller.kill()
    until(lambda: [p.pid for p in hands.controllers()] not in ([], [controller.pid]), 120)
    told = hands.told()["decisions"]["2"]["at"]
    until(lambda: hands.told()["decisions"]["2"]["at"] > told + 10, 120)
    assert hands.release(2)["startup"] == before
