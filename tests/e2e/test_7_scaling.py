"""Replicas that follow the load, on the real runtime: 1, 2, 1, none, and 1 again, nothing lost; and
the simulator of scaling held against them.

A stage of its own: the service goes to sleep, and tests that share one would wake it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks import live
from llmops.policies.simulation import compare, read_profile, replica_of, settings_for
from llmops.spec import load
from tests.e2e.stage import Stage, free_port, until
from tests.support.tiny_model import make_tiny_model

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

NAME = "scales"
SCALING = (
    "{replicas: 0..2, target_in_flight: 2, settle: 5s, idle: 30s, hold: {requests: 4, wait: 2min}}"
)
SIMULATED = "{replicas: 1..2, target_in_flight: 1, max_in_flight: 16, settle: 14s}"
CONTEXT = 512
TRIES = 3
"""Live runs that the simulator may be held against: starts on a busy machine vary by more than the
tolerance. A wrong simulator is outside of it in each."""
START = 300.0
"""Seconds that a replica may take to start on two busy cores."""


@dataclass
class Answer:
    """One streamed answer, as its client saw it."""

    status: int
    text: str
    headers: httpx.Headers

    @property
    def whole(self) -> bool:
        return self.status == 200 and self.text.rstrip().endswith("data: [DONE]")

    @property
    def comments(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.startswith(":")]


@dataclass
class Scales:
    """The deployed service, and a client of it."""

    stage: Stage
    key: str
    spec: Path
    timeline: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    # One for all: making a client of its own for each request takes longer than the answer.
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=START))

    def __post_init__(self) -> None:
        self.told_at = self.stage.status(NAME)["metrics_url"] + "state"

    def told(self) -> Any:
        """What the gateway tells of the service, on the port of its metrics."""
        return httpx.get(self.told_at, timeout=60).json()["services"][NAME]

    def service(self) -> Any:
        """The same with the replicas of its one release, which the timeline keeps."""
        told = self.told()
        counts = next(iter(told["replicas"].values()))
        text = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "none"
        if not self.timeline or not self.timeline[-1].endswith(f"  {text}"):
            self.timeline.append(f"{time.monotonic() - self.began:6.1f} s  {text}")
        return told | {"counts": counts}

    def has(self, replicas: int) -> bool:
        counts = self.service()["counts"]
        return bool(counts["running"] == replicas and not counts["starting"])

    def why(self) -> str:
        """Why there are as many replicas as there are."""
        release = self.release()
        return f"{release['wanted']}: {release['scaling']}"

    def release(self) -> Any:
        """What `status` tells of the release."""
        [release] = self.stage.status(NAME)["releases"]
        return release

    def ask(self, tokens: int = 300, **fields: Any) -> Answer:
        body = {"model": NAME, "prompt": "one two", "max_tokens": tokens, "ignore_eos": True,
                "stream": True}  # fmt: skip
        answer = self.client.post(
            f"{self.stage.url}/v1/completions",
            json=body | fields,
            headers={"authorization": f"Bearer {self.key}"},
        )
        return Answer(answer.status_code, answer.text, answer.headers)


class Load:
    """Clients that ask again as soon as they are answered, until told to stop."""

    def __init__(self, scales: Scales, clients: int) -> None:
        self.answers: list[Answer] = []
        self._scales = scales
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._running = [self._pool.submit(self._loop) for _ in range(clients)]

    def _loop(self) -> None:
        while not self._stop.is_set():
            self.answers.append(self._scales.ask())

    def stop(self) -> list[Answer]:
        self._stop.set()
        for one in self._running:
            one.result(timeout=START)
        self._pool.shutdown()
        return self.answers


@pytest.fixture(scope="module")
def scales(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Scales]:
    home = tmp_path_factory.mktemp("scales-home")
    home.chmod(0o700)
    stage = Stage(home, tmp_path_factory.mktemp("scales-specs"), free_port())
    try:
        spec = stage.spec(NAME, f"file://{model}", scaling=SCALING)
        done = stage.deploy(spec)
        assert done.code == 0, done.text
        made = Scales(stage, stage.key(NAME, "tests"), spec)
        yield made
        print("\n".join(made.timeline))
    finally:
        stage.end()


def test_a_new_release_has_a_replica_though_none_may_be_left_later(scales: Scales) -> None:
    assert scales.has(1)
    assert httpx.get(f"{scales.stage.url}/health").status_code == 200


def test_load_adds_a_replica_and_less_load_takes_it_with_every_stream_whole(
    scales: Scales,
) -> None:
    high = Load(scales, clients=6)
    until(lambda: scales.has(2), START)
    answers = high.stop()
    assert answers
    assert all(answer.whole for answer in answers), "a request was lost on the way up"
    low = Load(scales, clients=2)  # one replica takes two, and each of the two replicas has one
    until(lambda: scales.has(1), START)
    answers = low.stop()
    assert answers
    assert all(answer.whole for answer in answers), "a stream was cut on the way down"


def test_an_idle_service_sleeps_and_is_well(scales: Scales) -> None:
    until(lambda: scales.has(0), 120)
    assert scales.why() == "0: no request for 30 s"
    status = scales.stage.status(NAME)
    assert status["healthy"]
    assert [release["phase"] for release in status["releases"]] == ["ready"]
    assert "asleep" in scales.stage.run("status", NAME).out
    assert httpx.get(f"{scales.stage.url}/health").status_code == 200
    again = scales.stage.deploy(scales.spec)
    assert again.code == 0, again.text
    assert scales.has(0), "looking at it, or deploying what runs, must not wake it"


def test_who_asks_a_sleeping_service_waits_and_sees_why(scales: Scales) -> None:
    with ThreadPoolExecutor(8) as pool:
        held: list[Future[Answer]] = [pool.submit(scales.ask, 20) for _ in range(4)]
        until(lambda: scales.service()["held"] == 4, 15)
        fifth = scales.ask(20)
        assert fifth.status == 503, "four may wait"
        assert fifth.headers["retry-after"] == "15"
        answers = [one.result(timeout=START) for one in held]
    assert all(answer.whole for answer in answers), [a.text[-200:] for a in answers]
    for answer in answers:
        assert answer.comments, "a stream shows that it waits"
        assert answer.comments[0].startswith(": waiting for a replica, ")
    assert scales.service()["counts"]["running"] >= 1


# The simulator


def release_another_policy(scales: Scales, tmp_path: Path) -> Path:
    """The service with the policy and the model that a trace is for; it begins with one replica."""
    model = make_tiny_model(tmp_path / "model", **live.SHAPE)
    spec = scales.stage.spec(NAME, f"file://{model}", scaling=SIMULATED)
    done = scales.stage.deploy(spec)
    assert done.code == 0, done.text
    number = str(scales.release()["number"])
    until(lambda: list(scales.told()["replicas"]) == [number])
    return spec


def measure(scales: Scales, file: Path) -> None:
    """A replica's profile; after a start, if scaling has measured none yet."""
    until(lambda: scales.has(1), START)
    if scales.release()["startup"] is None:
        high = Load(scales, clients=6)
        until(lambda: scales.has(2), START)
        high.stop()
        until(lambda: scales.has(1), START)
    done = scales.stage.run("bench", NAME, "--profile", str(file))
    assert done.code == 0, done.text
    until(lambda: scales.has(1), START)


@pytest.mark.clocked
@pytest.mark.timeout(2400)
def test_the_simulator_shows_what_the_live_service_does(scales: Scales, tmp_path: Path) -> None:
    deployment = load([release_another_policy(scales, tmp_path)])
    service = live.Service(NAME, f"{scales.stage.url}/v1", scales.told_at, scales.key)
    for seed in range(TRIES):
        measure(scales, tmp_path / "profile.yaml")
        profile = replica_of(deployment, read_profile(tmp_path / "profile.yaml"))
        settings = settings_for(deployment, profile.startup)
        trace = live.trace_for(profile, settings, CONTEXT // 2, seed)
        run, allowed = live.play(service, trace), live.tolerance(profile)
        simulated = live.simulated(settings, trace, profile)
        found = compare(simulated, run.observed, allowed)
        scales.timeline.append(
            f"live {live.changes(run.observed)}; lost {run.lost}\nsimulated"
            f" {live.changes(live.observed_of(simulated))}\n{found}\n{allowed}\n{profile}"
        )
        if found.within and run.lost == 0:
            break
    assert found.within, "\n".join(scales.timeline)
    assert run.lost == 0
    for name, (other, replica) in live.wrong(settings, profile).items():
        found = compare(live.simulated(other, trace, replica), run.observed, allowed)
        assert not found.within, f"{name} would not be found: {found}"
