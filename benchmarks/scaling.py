"""What scaling costs: our decision, fixed numbers, Ray Serve's policy, and the optimum.

    python -m benchmarks.scaling [MINUTES] [SEEDS] [LOAD ...]

Traces that are made up, from seeds that no figure of the decision was chosen by (`FIRST_SEED` on).
Ours runs with its defaults, and tuned as a user would tune it by `llmops policy simulate`: the
cheapest of some settings with which all traces of other seeds (`TRAINING`) attain the objective, or
else those that attain most. Ray is given as much choice, and so is a fixed number of replicas.

The optimum is a clairvoyant schedule that meets the objective, beside the bound that no policy
stays below. What ours costs above it is taken apart by what it is spared: one that is told the
arrivals of the time that a start takes, and decides by the same rule, has no error of foresight;
with starts of 5 s there is hardly anything to foresee. What is left is room and patience.
Losses are printed like wins. Nothing is measured on a machine: a replica is a model.
"""

from __future__ import annotations

import math
import statistics
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from llmops.policies.scaling import Observation, ScalingSettings, staffed
from llmops.policies.simulation import (
    Bounds,
    Figures,
    Load,
    Profile,
    RayDefault,
    RaySettings,
    Rules,
    Scaler,
    Shape,
    Timeline,
    Trace,
    figures,
    fixed,
    generate,
    lower_bound,
    ours,
    replay,
    rules_of,
    schedule,
)

TRAINING = (1, 2, 3)
"""Seeds that settings are chosen by, and that were looked at while the decision was made."""
FIRST_SEED = 101
"""Held out: with this one and those after it everything is measured, and nothing is chosen."""

PROFILE = Profile()
QUICK_START = 5.0
SETTINGS = ScalingSettings(
    low=1, high=60, target_in_flight=16, capacity=PROFILE.most, ttft=2.0, tpot=0.06,
    startup_seconds=PROFILE.startup,
)  # fmt: skip
LOWS = (0.5, 0.7, 0.85, 1.0)
"""Fewest replicas that the tuned ones choose of, as shares of the fixed number that would do; and
one."""
TARGETS = (15.0, 12.0, 9.0)
"""Requests in flight per replica that Ray's chooses of; ours is told what a replica takes."""
OVER = 30.0
"""As noisy an average as the decision's quick one, for starts of a minute."""
AIM = 1.05
LOADS = {
    "steady": Load(shape=Shape.STEADY, rate=6.0, spread=0.05),
    "diurnal": Load(shape=Shape.DIURNAL, rate=6.0, spread=0.1),
    "bursty": Load(shape=Shape.BURSTY, rate=3.0),
    "on-off": Load(shape=Shape.ON_OFF, rate=4.0),
    "steady x8": Load(shape=Shape.STEADY, rate=48.0, spread=0.05),
    "diurnal x8": Load(shape=Shape.DIURNAL, rate=48.0, spread=0.1),
}

OURS, TUNED, RAY, RAY_TUNED, SAME, HINDSIGHT, TOLD, OPTIMUM, BOUND = (
    "ours", "ours tuned", "ray default", "ray tuned", "fixed tuned", "fixed hindsight",
    "ours told", "optimum", "bound",
)  # fmt: skip

Make = Callable[[Rules], Scaler]
"""A policy, for rules that say how many replicas there are at first."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A policy on a trace."""

    hours: float
    attained: float | None
    starts: int | None


def lasting(load: Load, minutes: float) -> Load:
    """The same for so long, which is also its day."""
    return replace(load, seconds=60 * minutes, day=60 * minutes)


def ours_with(settings: ScalingSettings) -> Make:
    """Our decision."""
    return lambda _rules: ours(settings)


def ray_with(settings: RaySettings) -> Make:
    """Ray's."""
    return lambda rules: RayDefault(settings, rules.initial)


def run(make: Make, low: int, trace: Trace, profile: Profile) -> Timeline:
    """A policy on a trace; it begins with what the first minute needs, as a deploy would."""
    rules = rules_of(replace(SETTINGS, low=low), trace, profile)
    return replay(trace, profile, rules, make(rules))


def measured(timeline: Timeline) -> Figures:
    """The figures by the objectives."""
    return figures(timeline, Rules(ttft=SETTINGS.ttft, tpot=SETTINGS.tpot))


def choose(choices: Iterable[tuple[int, Make]], traces: Sequence[Trace]) -> tuple[int, Make]:
    """The cheapest that attains the objective on all traces, or else what attains most."""
    share = SETTINGS.percent / 100
    best, rank = None, (2.0, 0.0)
    for low, make in choices:
        made = [measured(run(make, low, trace, PROFILE)) for trace in traces]
        missing = max(0.0, *(share - one.attained for one in made))
        mine = (missing, sum(one.gpu_hours for one in made))
        if mine < rank:
            best, rank = (low, make), mine
    assert best is not None
    return best


def tuned(traces: Sequence[Trace]) -> dict[str, tuple[int, Make]]:
    """What is chosen by the training traces of a load."""
    least = max(fewest(trace) for trace in traces)
    same = next(
        count for count in range(least, SETTINGS.high + 1)
        if count == SETTINGS.high or all(enough(count, trace) for trace in traces)
    )  # fmt: skip
    lows = sorted({1, *(max(1, round(share * same)) for share in LOWS)})
    rays = [
        RaySettings(min_replicas=low, max_replicas=SETTINGS.high, target_ongoing_requests=target)
        for low in lows
        for target in TARGETS
    ]
    return {
        TUNED: choose(((low, ours_with(replace(SETTINGS, low=low))) for low in lows), traces),
        RAY_TUNED: choose(((one.min_replicas, ray_with(one)) for one in rays), traces),
        SAME: (same, constant(same)),
    }


def fewest(trace: Trace) -> int:
    """Below it nine tenths of the work cannot be done within the trace: nobody need try."""
    work = sum(PROFILE.work(one.input_tokens, one.output_tokens) for one in trace.requests)
    return max(SETTINGS.low, math.ceil(0.9 * work / trace.seconds))


def enough(count: int, trace: Trace) -> bool:
    """Whether so many replicas, always, attain the objective."""
    made = measured(run(constant(count), count, trace, PROFILE))
    return made.attained >= SETTINGS.percent / 100


def constant(count: int) -> Make:
    """So many, always; `low` lets it begin with them."""
    return lambda _rules: fixed(count)


def told(trace: Trace, profile: Profile) -> Make:
    """Decides by our staffing rule and patience, for the arrivals that it is told: at each moment
    those until a replica that is asked for then has started, averaged over `OVER` seconds, less
    the noise that requests even out which may wait."""
    times = [one.arrival for one in trace.requests]
    cost = sum(profile.work(one.input_tokens, one.output_tokens) for one in trace.requests)
    cost /= len(times)

    def need(at: float) -> int:
        arrived = bisect_left(times, at + OVER / 2) - bisect_left(times, at - OVER / 2)
        rate = arrived / OVER
        evened = min(rate * (SETTINGS.ttft or 0.0) / OVER, math.sqrt(rate / OVER))
        return staffed((rate - evened) * cost, profile.slots)

    needed = [need(float(at)) for at in range(int(trace.seconds + profile.startup) + 2)]

    def scale(seen: Observation) -> tuple[int, str]:
        now = int(seen.now)
        window = needed[max(0, now - int(SETTINGS.settle_seconds)) : now + int(profile.startup) + 1]
        return max(1, min(SETTINGS.high, max(window))), "told"

    return lambda _rules: scale


def cells(trace: Trace, chosen: dict[str, tuple[int, Make]]) -> dict[str, Cell]:
    """Every policy on a held-out trace."""
    makes = {
        OURS: (SETTINGS.low, ours_with(SETTINGS)),
        **chosen,
        RAY: (SETTINGS.low, ray_with(RaySettings(max_replicas=SETTINGS.high))),
        TOLD: (SETTINGS.low, told(trace, PROFILE)),
    }
    timelines = {name: run(make, low, trace, PROFILE) for name, (low, make) in makes.items()}
    hindsight = cheapest_fixed(trace)
    timelines |= {HINDSIGHT: hindsight} if hindsight else {}
    best, bound = optimum(trace, PROFILE, list(timelines.values()))
    timelines |= {OPTIMUM: best} if best else {}
    made = {name: cell(one) for name, one in timelines.items()}
    return made | {BOUND: Cell(bound, None, None)}


def cell(timeline: Timeline) -> Cell:
    """What a timeline comes to."""
    made = measured(timeline)
    return Cell(made.gpu_hours, made.attained, made.started)


def cheapest_fixed(trace: Trace) -> Timeline | None:
    """The best of the fixed numbers, which nobody knows beforehand."""
    counts = range(fewest(trace), SETTINGS.high + 1)
    count = next((count for count in counts if enough(count, trace)), None)
    return run(constant(count), count, trace, PROFILE) if count else None


def optimum(
    trace: Trace, profile: Profile, others: Sequence[Timeline]
) -> tuple[Timeline | None, float]:
    """The clairvoyant schedule, and the bound in GPU hours."""
    rules = rules_of(SETTINGS, trace, profile)
    peak = max(most(one) for one in others) if others else SETTINGS.high
    bounds = Bounds(low=SETTINGS.low, high=max(peak, rules.initial), share=SETTINGS.percent / 100)
    best = schedule(trace, profile, rules, bounds, others)
    return best, lower_bound(trace, profile, rules, bounds) / 3600


def most(timeline: Timeline) -> int:
    """Most replicas at once: enough for the program, whose time grows with what it may use."""
    return max(one.running + one.starting for one in timeline.moments)


def quick(trace: Trace) -> float | None:
    """Our ratio to the optimum where replicas start in `QUICK_START`, and go as soon."""
    profile = replace(PROFILE, startup=QUICK_START)
    soon = replace(SETTINGS, startup_seconds=QUICK_START, settle_seconds=2 * QUICK_START)
    mine = run(ours_with(soon), soon.low, trace, profile)
    same = cheapest_fixed(trace)
    best, _ = optimum(trace, profile, [mine, *([same] if same else [])])
    return measured(mine).gpu_hours / measured(best).gpu_hours if best else None


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Median, least and most."""
    known = [value for value in values if value is not None]
    if not known:
        return "none"
    middle = statistics.median(known)
    return f"{middle:.{digits}f} ({min(known):.{digits}f}..{max(known):.{digits}f})"


def show(name: str, results: Sequence[dict[str, Cell]], quicks: Sequence[float | None]) -> None:
    """The table of a load: ratios are to the schedule that was found."""
    print(f"\n{name}: {len(results)} traces")
    print(f"{'POLICY':16} {'GPU HOURS':>22} {'OF OPTIMUM':>20} {'ATTAINED %':>24} {'STARTS':>14}")
    for policy in (OURS, TUNED, RAY, RAY_TUNED, SAME, HINDSIGHT, TOLD, OPTIMUM, BOUND):
        rows = [(one[policy], one.get(OPTIMUM)) for one in results if policy in one]
        print(
            f"{policy:16} {spread([row.hours for row, _ in rows]):>22}"
            f" {spread([row.hours / best.hours for row, best in rows if best]):>20}"
            f" {spread([100 * row.attained for row, _ in rows if row.attained is not None]):>24}"
            f" {spread([row.starts for row, _ in rows], 0):>14}"
        )
    print(f"ours of the optimum where a replica starts in {QUICK_START:g} s: {spread(quicks)}",
          flush=True)  # fmt: skip


def judge(results: Sequence[dict[str, Cell]]) -> None:
    """Against the aims, over all traces."""
    share = SETTINGS.percent / 100
    for policy in (OURS, TUNED):
        kept = [one for one in results if (one[policy].attained or 0.0) >= share]
        near = [
            one for one in kept if OPTIMUM in one and one[policy].hours <= AIM * one[OPTIMUM].hours
        ]
        cheaper = [one for one in results if one[policy].hours < one[RAY].hours]
        print(
            f"{policy}: of {len(results)} traces {len(kept)} attain {share:.0%}, {len(near)} of"
            f" these within {AIM} of the optimum; {len(cheaper)} cheaper than Ray's default"
        )


def main() -> None:
    """Simulate and print."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    everything = []
    for name in sys.argv[3:] or LOADS:
        load = lasting(LOADS[name], minutes)
        chosen = tuned([generate(load, seed) for seed in TRAINING])
        traces = [generate(load, seed) for seed in range(FIRST_SEED, FIRST_SEED + seeds)]
        results = [cells(trace, chosen) for trace in traces]
        show(name, results, [quick(trace) for trace in traces])
        everything += results
    print()
    judge(everything)


if __name__ == "__main__":
    main()
