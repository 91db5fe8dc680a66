"""A trace under several policies: ours, a fixed number, Ray Serve's, one that knows it all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from llmops.policies.scaling import ScalingSettings
from llmops.policies.simulation.baseline import RayDefault, RaySettings
from llmops.policies.simulation.figures import Figures, figures
from llmops.policies.simulation.optimum import Bounds, lower_bound, schedule
from llmops.policies.simulation.profile import Profile
from llmops.policies.simulation.scalers import fixed, ours
from llmops.policies.simulation.simulator import Rules, Scaler, replay
from llmops.policies.simulation.timeline import Timeline
from llmops.policies.simulation.trace import Trace

OURS, FIXED, RAY, TUNED, OPTIMUM = "ours", "fixed", "ray default", "ray tuned", "optimum"
"""Names of the policies, in their order."""

SLACK = 0.8
"""Share of a replica that the load of the beginning is to take, where nothing says how many
replicas there are then."""

Progress = Callable[[str, float], None]
"""Told what is being done, and the share of it that is done."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy."""

    name: str
    figures: Figures
    timeline: Timeline
    ratio: float | None
    """Its GPU hours over those of the optimum; None without one."""


@dataclass(frozen=True, slots=True)
class Study:
    """All of them."""

    rows: tuple[Row, ...]
    bound: float | None
    """GPU hours that no policy stays below that meets the objective; None when not asked for."""

    def row(self, name: str) -> Row | None:
        """A policy's."""
        return next((row for row in self.rows if row.name == name), None)


def simulate(
    settings: ScalingSettings,
    trace: Trace,
    profile: Profile,
    rules: Rules | None = None,
    begins: float = 0.0,
) -> Timeline:
    """A trace under the decision that runs live.

    Args:
        settings: What holds for the service.
        trace: The requests.
        profile: What a replica can do.
        rules: How the service is run; by default with the settings' objectives.
        begins: Unix time at which the trace begins, for schedules.
    """
    rules = rules or rules_of(settings, trace, profile)
    return replay(trace, profile, rules, ours(_told(settings, profile), begins))


def _told(settings: ScalingSettings, profile: Profile) -> ScalingSettings:
    """With what a replica is given at once: a deploy knows it from its plan."""
    return replace(settings, capacity=settings.capacity or profile.most)


def rules_of(settings: ScalingSettings, trace: Trace, profile: Profile) -> Rules:
    """How a service with these settings is run, where nothing else is said.

    It begins with the replicas that the first minute's work needs.
    """
    first = [one for one in trace.requests if one.arrival < 60.0]
    work = sum(profile.work(one.input_tokens, one.output_tokens) for one in first)
    need = math.ceil(work / 60.0 / SLACK)
    initial = max(settings.low, min(settings.high, need))
    return Rules(initial=initial, ttft=settings.ttft, tpot=settings.tpot)


def study(
    settings: ScalingSettings,
    trace: Trace,
    profile: Profile,
    rules: Rules,
    *,
    begins: float = 0.0,
    usd_per_hour: float | None = None,
    optimum: bool = True,
    progress: Progress = lambda _what, _share: None,
) -> Study:
    """Every policy on a trace.

    Args:
        settings: What holds for the service.
        trace: The requests.
        profile: What a replica can do.
        rules: How the service is run.
        begins: Unix time at which the trace begins.
        usd_per_hour: Price of one replica.
        optimum: Whether to look for the clairvoyant optimum, which takes longest.
        progress: Told what is being done.
    """
    settings = replace(_told(settings, profile), startup_seconds=profile.startup)
    timelines = {
        name: replay(trace, profile, rules, scaler, lambda share, name=name: progress(name, share))  # type: ignore[misc]
        for name, scaler in scalers(settings, rules, begins).items()
    }
    bound = None
    if optimum:
        bounds = Bounds(low=settings.low, high=settings.high, share=settings.percent / 100)
        progress("bound", 0.0)
        bound = lower_bound(trace, profile, rules, bounds) / 3600 * profile.devices
        best = schedule(trace, profile, rules, bounds, list(timelines.values()),
                        lambda share: progress(OPTIMUM, share))  # fmt: skip
        timelines |= {OPTIMUM: best} if best is not None else {}
    return Study(_rows(timelines, rules, usd_per_hour), bound)


def scalers(settings: ScalingSettings, rules: Rules, begins: float = 0.0) -> dict[str, Scaler]:
    """The policies that are compared, by their names."""
    ray = RaySettings(min_replicas=settings.low, max_replicas=settings.high)
    tuned = replace(ray, target_ongoing_requests=settings.target_in_flight)
    return {
        OURS: ours(settings, begins),
        FIXED: fixed(settings.high),
        RAY: RayDefault(ray, rules.initial),
        TUNED: RayDefault(tuned, rules.initial),
    }


def _rows(
    timelines: Mapping[str, Timeline], rules: Rules, usd_per_hour: float | None
) -> tuple[Row, ...]:
    made = {name: figures(one, rules, usd_per_hour) for name, one in timelines.items()}
    best = made.get(OPTIMUM)
    return tuple(
        Row(name, one, timelines[name], one.gpu_hours / best.gpu_hours if best else None)
        for name, one in made.items()
    )
