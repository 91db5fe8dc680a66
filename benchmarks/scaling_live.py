"""The simulator of scaling held against the live runtime, on a short trace with a tiny model.

    .venv/bin/python -m benchmarks.scaling_live [SEED] [RUNS]

A tiny random Llama is deployed on the real Ray Serve and vLLM. Load makes it start a second
replica once, which measures the start; then `llmops bench --profile` measures a replica. The same
trace is sent RUNS times (2), and simulated once with the same policy, the measured profile and the
same decision; `benchmarks/live.py` says what the trace is like. Printed is Markdown: how far the
simulation is from each live run, how far the live runs are from each other, which is the noise, and
how far wrong simulators are, to show that the tolerance finds them; then the timelines.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx

from benchmarks import live
from benchmarks.sides import free_port, llmops
from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation import (
    Differences,
    Profile,
    Timeline,
    Trace,
    compare,
    read_profile,
    replica_of,
    settings_for,
)
from llmops.spec import load
from tests.support.tiny_model import make_tiny_model

NAME = "scales"
CONTEXT = live.SHAPE["positions"]
SPEC = """\
name: {name}
model: {{source: 'file://{model}', context: {context}}}
engine: {{kv_cache: 1GiB}}
target: {{kind: local, port: {port}}}
scaling: {{replicas: 1..2, target_in_flight: 1, max_in_flight: 16, settle: 14s}}
security: {{requests_per_minute: 1000000}}
maintenance: {{drain: 20s}}
"""
PATIENCE = 900.0
"""Seconds for a replica to come or go."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """The tiny service, and how llmops is run there."""

    service: live.Service
    spec: Path
    environment: dict[str, str]

    def run(self, *arguments: str) -> str:
        """Run llmops; its standard output."""
        return llmops(*arguments, env=self.environment)

    def has(self, replicas: int) -> bool:
        """Whether so many replicas run now, and none starts."""
        told = httpx.get(self.service.state, timeout=60).json()["services"][NAME]["replicas"]
        counts = [sum(int(one[what]) for one in told.values()) for what in ("running", "starting")]
        return counts == [replicas, 0]


@contextlib.contextmanager
def deployed() -> Iterator[Deployed]:
    """The service, from nothing to one replica, and away again."""
    with tempfile.TemporaryDirectory(prefix="l", dir="/tmp") as folder:
        place, port = Path(folder), free_port()
        model = make_tiny_model(place / "model", **live.SHAPE)
        spec = place / "llmops.yaml"
        spec.write_text(SPEC.format(name=NAME, model=model, context=CONTEXT, port=port))
        environment = os.environ | {"LLMOPS_HOME": str(place / "home"), "NO_COLOR": "1"}
        llmops("deploy", "-f", str(spec), "--yes", env=environment)
        try:
            made = json.loads(llmops("keys", "create", NAME, "-k", "trace", "-o", "json",
                                     env=environment))  # fmt: skip
            status = json.loads(llmops("status", NAME, "-o", "json", env=environment))
            state = status["metrics_url"] + "state"
            yield Deployed(live.Service(NAME, status["url"], state, made["key"]), spec, environment)
        finally:
            llmops("destroy", NAME, "--yes", env=environment)


def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            raise SystemExit(f"it was not so within {PATIENCE:g} s")
        time.sleep(0.5)


def start_another(where: Deployed) -> None:
    """Load the service until it has a second replica, and let it go again."""
    stop = threading.Event()
    threads = [threading.Thread(target=_ask, args=(where, stop)) for _ in range(6)]
    for one in threads:
        one.start()
    try:
        until(lambda: where.has(2))
    finally:
        stop.set()
        for one in threads:
            one.join()
    until(lambda: where.has(1))


def _ask(where: Deployed, stop: threading.Event) -> None:
    headers = {"authorization": f"Bearer {where.service.key}"}
    body = {"model": NAME, "prompt": "one two", "max_tokens": 64, "ignore_eos": True}
    with httpx.Client(timeout=PATIENCE, headers=headers, trust_env=False) as client:
        while not stop.is_set():
            client.post(f"{where.service.url}/completions", json=body)


def measured(where: Deployed) -> tuple[ScalingSettings, Profile, str]:
    """The policy that runs, and a replica as it was measured: read, and as its file."""
    file = where.spec.with_name("profile.yaml")
    where.run("bench", NAME, "--profile", str(file))
    until(lambda: where.has(1))  # what it asked may have begun to start another
    deployment = load([where.spec])
    profile = replica_of(deployment, read_profile(file))
    return settings_for(deployment, profile.startup), profile, file.read_text()


def seconds(runs: Sequence[live.Run], simulated: Timeline) -> Iterator[str]:
    """The timelines side by side, each second in which something changes."""
    sides = [*(run.observed for run in runs), live.observed_of(simulated)]
    heads = [*("live: replicas, waiting" for _ in runs), "simulated"]
    yield f"\n| second | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}"
    last: list[str] = []
    for second in range(int(simulated.seconds)):
        near = [min(side, key=lambda one: abs(one.at - second)) for side in sides]
        cells = [f"{one.running}, {one.waiting}" for one in near]
        if cells != last:
            yield f"| {second} | {' | '.join(cells)} |"
        last = cells


def row(name: str, found: Differences) -> str:
    """A line of the comparison."""
    verdict = "within" if found.within else "**outside**"
    return f"| {name} | {found.apart:.1%} | {found.waiting:.2f} | {found.longest:.0%} | {verdict} |"


def told(where: Deployed, seed: int, count: int) -> Iterator[str]:
    """Measure, replay as often as said, compare; gives Markdown."""
    start_another(where)
    settings, profile, file = measured(where)
    yield f"```yaml\n{file}```\n"
    trace = live.trace_for(profile, settings, CONTEXT // 2, seed)
    simulated, allowed = live.simulated(settings, trace, profile), live.tolerance(profile)
    runs = []
    for _ in range(count):
        runs.append(live.play(where.service, trace))
        until(lambda: where.has(1))
    yield about(trace, runs)
    yield from (f"- replicas, live: {live.changes(run.observed)}" for run in runs)
    yield f"- replicas, simulated: {live.changes(live.observed_of(simulated))}"
    yield (f"\nTolerance: {allowed.seconds:.1f} s, {allowed.apart:.0%} of the moments,"
           f" {allowed.waiting:g} waiting requests on the average, {allowed.longest:.0%} of the"
           " longest queue.\n")  # fmt: skip
    yield "| against a live run | replicas apart | waiting apart | longest queue | |"
    yield "|---|---|---|---|---|"
    yield from (row("simulated", compare(simulated, run.observed, allowed)) for run in runs)
    for one, other in pairwise(runs):
        noise = compare(live.timeline_of(other, simulated), one.observed, allowed)
        yield row("the next live run (A/A)", noise)
    for name, (policy, replica) in live.wrong(settings, profile).items():
        found = live.simulated(policy, trace, replica)
        yield row(f"wrong: {name}", compare(found, runs[0].observed, allowed))
    yield from seconds(runs, simulated)


def about(trace: Trace, runs: Sequence[live.Run]) -> str:
    """What was asked, and of which machine."""
    lost = ", ".join(f"{run.lost}" for run in runs)
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    return (
        f"{len(trace.requests)} requests of {trace.requests[0].output_tokens} tokens in"
        f" {trace.seconds:.0f} s; lost: {lost}; {os.cpu_count()} cores"
        f" ({platform.machine()}), load {load}\n"
    )


def main() -> None:
    """Deploy, and print what came of it."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    with deployed() as where:
        for line in told(where, seed, runs):
            print(line, flush=True)


if __name__ == "__main__":
    main()
