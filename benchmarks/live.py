"""A trace against a live service, and the simulator beside it.

The trace is made for the replica that was measured: its length and its rates follow from how long a
replica takes to start and to answer, so that a slow machine gets the same trace, only longer. It
goes from one replica to two and back: calm; then a rush that is more than a replica takes at once,
so that requests wait, and after it a steady load for two replicas that lasts longer than a start;
then calm again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation import (
    Moment,
    Observed,
    Profile,
    Request,
    Rules,
    Timeline,
    Tolerance,
    Trace,
    made,
    simulate,
)

SHAPE: dict[str, int] = {
    "layers": 6, "heads": 12, "kv_heads": 4, "hidden": 768, "vocabulary": 8192, "positions": 2048,
}  # fmt: skip
"""Of the tiny model that such a trace is for: large enough that the engine's own work takes the
time, and not the way of each token through the API, the gateway and the client, which on few cores
get in the way of each other."""
CALM = 12.0
"""Seconds before the rush."""
LOADED = 20.0
"""Seconds that two replicas are needed, beyond half as long again as a start takes."""
AFTER = 20.0
"""Seconds after that and the settle time; and half of a start, of which `tolerance` takes half."""
RUSH = 5.0
"""Seconds that one replica needs for the rush; the steady load begins after twice as many."""
TIMES = 1.6
"""The steady load on two replicas, in requests at a time, as a multiple of what one is to have."""
ANSWER = 0.5
"""Seconds of an answer then."""
PROMPT = 16
"""Tokens of each prompt."""
LAST_TOKEN = 250
"""Prompts are made of tokens from 2 to this one, which every vocabulary has."""
DEADLINE = 600.0


def trace_for(profile: Profile, settings: ScalingSettings, most_tokens: int, seed: int) -> Trace:
    """The trace for a replica.

    Args:
        profile: The replica, with what it takes at once.
        settings: The policy: what it aims at, and its settle time.
        most_tokens: Of one answer.
        seed: Moves the arrivals a little.
    """
    draw = random.Random(seed)
    at_once = TIMES * settings.target_in_flight
    step = profile.step_of(round(at_once / 2))
    tokens = max(4, min(most_tokens, round(ANSWER / step)))
    loaded = CALM + 1.5 * profile.startup + LOADED
    end = loaded + settings.settle_seconds + AFTER + profile.startup / 2
    full = tokens * profile.step_of(profile.most)
    rush = round(profile.most * (1 + RUSH / full))
    arrivals = [
        *_steady(draw, 1.0, CALM, 5.0),
        *(CALM + draw.uniform(0.0, 0.2) for _ in range(rush)),
        *_steady(draw, CALM + 2 * RUSH, loaded, tokens * step / at_once),
        *_steady(draw, loaded, end, 5.0),
    ]
    return made(f"rush {seed}", [Request(at, PROMPT, tokens) for at in arrivals])


def _steady(draw: random.Random, begin: float, end: float, every: float) -> Iterator[float]:
    """Requests that are so many seconds apart, more or less."""
    at = begin
    while at < end:
        yield at
        at += every * draw.uniform(0.8, 1.2)


@dataclass(frozen=True, slots=True)
class Service:
    """A live service, and who asks it."""

    name: str
    url: str
    """The endpoint's base, ending in `/v1`."""
    state: str
    """Where its gateway tells its state."""
    key: str


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a trace."""

    observed: tuple[Observed, ...]
    statuses: tuple[int, ...]
    """HTTP status of each request; 0 for an answer that was cut."""

    @property
    def lost(self) -> int:
        """Requests without a whole answer."""
        return sum(status != 200 for status in self.statuses)


def play(service: Service, trace: Trace) -> Run:
    """Send a trace to a service, each request at its time, and look once a second."""
    return asyncio.run(_play(service, trace))


async def _play(service: Service, trace: Trace) -> Run:
    draw = random.Random(time.time_ns())
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=DEADLINE, trust_env=False, limits=limits) as client:
        began = asyncio.get_running_loop().time()
        watching = asyncio.create_task(_watch(client, service, began))
        asked = [_send(client, service, request, began, draw) for request in trace.requests]
        statuses = await asyncio.gather(*asked)
        await asyncio.sleep(max(0.0, began + trace.seconds - asyncio.get_running_loop().time()))
        watching.cancel()
        observed = await asyncio.gather(watching, return_exceptions=True)
    return Run(_looks(observed[0]), tuple(statuses))


def _looks(found: Any) -> tuple[Observed, ...]:
    if isinstance(found, BaseException):
        raise found
    return tuple(found)


async def _send(
    client: httpx.AsyncClient, service: Service, request: Request, began: float, draw: random.Random
) -> int:
    await asyncio.sleep(began + request.arrival - asyncio.get_running_loop().time())
    body = {
        "model": service.name,
        "prompt": [draw.randint(2, LAST_TOKEN) for _ in range(request.input_tokens)],
        "max_tokens": request.output_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
    }
    headers = {"authorization": f"Bearer {service.key}"}
    try:
        answer = await client.post(f"{service.url}/completions", json=body, headers=headers)
    except httpx.TransportError:
        return 0
    whole = answer.status_code != 200 or answer.text.rstrip().endswith("data: [DONE]")
    return answer.status_code if whole else 0


async def _watch(client: httpx.AsyncClient, service: Service, began: float) -> list[Observed]:
    """Look once a second until cancelled."""
    seen: list[Observed] = []
    loop = asyncio.get_running_loop()
    try:
        while True:
            seen.append(await look(client, service, loop.time() - began))
            await asyncio.sleep(1.0)
    except asyncio.CancelledError:
        return seen


async def look(client: httpx.AsyncClient, service: Service, at: float) -> Observed:
    """Replicas and waiting requests now, as the gateway tells them."""
    told = (await client.get(service.state)).json()["services"][service.name]
    counts = told["replicas"].values()
    running = sum(count["running"] for count in counts)
    return Observed(at, running, told["waiting"] + told["held"])


def tolerance(profile: Profile) -> Tolerance:
    """What may differ, for a trace of `trace_for`.

    In time a quarter of a start, since starts on one machine differ by as much, and 5 s at least;
    a tenth of the moments beyond that; one waiting request on the average; and a third of the
    longest queue, whose top falls between two looks.
    """
    return Tolerance(seconds=max(5.0, profile.startup / 4), apart=0.1, waiting=1.0, longest=0.35)


def simulated(settings: ScalingSettings, trace: Trace, profile: Profile) -> Timeline:
    """The same trace in the simulator, which begins with the one replica that runs."""
    settings = replace(settings, startup_seconds=profile.startup)
    return simulate(settings, trace, profile, Rules(initial=1))


def wrong(
    settings: ScalingSettings, profile: Profile
) -> dict[str, tuple[ScalingSettings, Profile]]:
    """Simulators that are wrong, by what is wrong: none of them may be within the tolerance."""
    slow = replace(profile, step=5 * profile.step, step_each=5 * profile.step_each)
    return {
        "a start of 0 s": (settings, replace(profile, startup=0.001)),
        "a start three times as long": (settings, replace(profile, startup=3 * profile.startup)),
        "another aim": (replace(settings, target_in_flight=100, capacity=200), profile),
        "a settle time of 2 min": (replace(settings, settle_seconds=120), profile),
        "steps five times as long": (settings, slow),
        "a replica that takes 64 at once": (settings, replace(profile, takes=64)),
    }


def observed_of(timeline: Timeline) -> tuple[Observed, ...]:
    """A simulation as it would have been seen."""
    return tuple(Observed(m.at, m.running, m.queued + m.held) for m in timeline.moments)


def changes(observed: Sequence[Observed]) -> str:
    """When the number of replicas changed: `0 s: 1, 31 s: 2`."""
    told, last = [], None
    for one in observed:
        if one.running != last:
            told.append(f"{one.at:.0f} s: {one.running}")
            last = one.running
    return ", ".join(told)


def timeline_of(run: Run, simulated: Timeline) -> Timeline:
    """A live run in place of a simulation, so that another run can be held against it: how far
    those are apart is the noise that no simulator can stay below."""
    moments = tuple(
        Moment(one.at, one.running, one.running, 0, 0, 0, one.waiting, 0, "seen")
        for one in run.observed
    )
    return replace(simulated, moments=moments)
