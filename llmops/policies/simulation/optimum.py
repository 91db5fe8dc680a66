"""The clairvoyant optimum: what a policy would cost that knows the trace beforehand.

Two figures, one on each side of it, both by dynamic programming (`dynamic`):

- **bound**: no policy that meets the objective for as many requests costs less. It counts only what
  cannot be done without. Each request takes at least `Profile.work` of a replica, by no later than
  the objective and the engine's slowest step allow; the largest requests are those given up; a
  start costs the start-up time. A replica that comes or goes within a step counts as working
  through the step and as costing nothing in it. Rounding is allowed for in full.
- **schedule**: numbers of replicas over time that a clairvoyant could have set, replayed by the
  simulator with the objective met. The program plans it with a share of a replica's capacity for
  each step, which is lowered where requests were late and raised where there is room, turn by turn.

The optimum lies between the two. Where they are close, both are known; ratios are told of both.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from llmops.policies.simulation.dynamic import Problem, Solution, solve
from llmops.policies.simulation.figures import figures
from llmops.policies.simulation.profile import Profile
from llmops.policies.simulation.scalers import planned
from llmops.policies.simulation.simulator import Rules, meets, replay
from llmops.policies.simulation.timeline import Timeline
from llmops.policies.simulation.trace import Trace

MOST_STEPS = 1500
LEAST_STEP = 5.0
"""Seconds; longer where the trace has more than `MOST_STEPS` of them."""
UNITS = 10
"""Of work, that a replica does in a step of the schedule."""
MOST_WAITING = 160
"""Units that may wait, about: coarser units keep the bound's program small."""
TURNS = 16
"""Schedules that are tried."""
BEGIN, LEAST_LOAD, MOST_LOAD, GAIN, NEAR = 0.85, 0.4, 1.0, 0.08, 4
"""Share of a replica's capacity that is planned with: at first, at least, at most; how much it
changes from one try to the next; and for how many steps around one."""
LONGEST = 10.0
"""Seconds that work may wait in a schedule's plan, before it is begun and once it is."""
DEAR = 64.0
"""Price of a unit of late work in schedules: none, where there is another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a schedule may be, and what it must attain."""

    low: int
    high: int
    share: float = 0.99
    """Of all requests, those that must meet the objective."""


def lower_bound(trace: Trace, profile: Profile, rules: Rules, bounds: Bounds) -> float:
    """Seconds of replicas that no policy on this trace stays below.

    Args:
        trace: The requests.
        profile: What a replica can do.
        rules: With the objectives. Without one of TTFT requests have all the time of the trace.
        bounds: Fewest and most replicas, and the share of requests.
    """
    step = _step(trace, profile)
    works = [profile.work(one.input_tokens, one.output_tokens) for one in trace.requests]
    spare = len(works) - bounds_needed(len(works), bounds.share)
    given_up = sum(sorted(works, reverse=True)[:spare])
    come, due = _come(trace, works, step), _due(trace, works, profile, rules, step)
    waiting = max(c - d for c, d in zip(come, due, strict=True))
    units = max(1, min(4 * UNITS, int(MOST_WAITING * step / max(waiting, step))))
    unit = step / units
    problem = Problem(
        come=_whole(come, unit), due=_whole(due, unit), units=units, step=step,
        low=bounds.low, high=max(bounds.high, rules.initial), initial=rules.initial,
        up=max(0.0, profile.startup - step), down=step,
    )  # fmt: skip
    # Each spell of overdue work gives up a request at least, and is rounded by less than a unit.
    allowed = given_up / unit + spare
    low = bounds.low * trace.seconds
    return max(low, _best_dual(problem, allowed))


def bounds_needed(requests: int, share: float) -> int:
    """Requests that must meet the objective."""
    return -int(-requests * share // 1)


def _best_dual(problem: Problem, allowed: float) -> float:
    """The best of the prices: cost less what may be given up, which is concave in the price."""

    def dual(price: float) -> float:
        return solve(problem, price).cost - price * allowed

    unit = problem.step / problem.units
    prices = [unit * 2.0**power for power in range(-1, 5)]
    values = [dual(price) for price in prices]
    at = max(range(len(prices)), key=values.__getitem__)
    between = [prices[at] * factor for factor in (0.7, 1.4)]
    return max([*values, *(dual(price) for price in between), dual(0.0)])


def schedule(
    trace: Trace,
    profile: Profile,
    rules: Rules,
    bounds: Bounds,
    others: Iterable[Timeline] = (),
    progress: Callable[[float], None] = lambda _share: None,
) -> Timeline | None:
    """The cheapest timeline found that meets the objective; None when nothing meets it.

    Args:
        trace: The requests.
        profile: What a replica can do.
        rules: How the service is run.
        bounds: Fewest and most replicas, and the share of requests.
        others: Timelines of policies: a clairvoyant could have done the same.
        progress: Told the share that is done.
    """
    found = [one for one in others if _good(one, rules, bounds)]
    step = _step(trace, profile)
    loads = [BEGIN] * int(-(-trace.seconds // step))
    for turn in range(TURNS):
        problem = _planning(trace, profile, rules, bounds, loads)
        solution = solve(problem, DEAR)
        one = replay(trace, profile, rules, planned(_steps(solution, problem, profile)))
        late = _late(one, rules, step, len(loads))
        if _good(one, rules, bounds):
            found.append(one)
        loads = _loaded(loads, late, len(trace.requests) * (1 - bounds.share), turn)
        progress((turn + 1) / TURNS)
    return min(found, key=lambda one: one.replica_seconds, default=None)


def _loaded(loads: list[float], late: list[int], allowed: float, turn: int) -> list[float]:
    """The next capacities to plan with: less where most requests were late, or more everywhere."""
    gain = GAIN / (1 + turn / 6)
    over = sum(late) - allowed
    if over <= 0:
        return [min(MOST_LOAD, load * (1 + gain / 2)) for load in loads]
    made = list(loads)
    for at in sorted(range(len(late)), key=lambda at: -late[at]):
        if over <= 0 or not late[at]:
            break
        over -= late[at]
        for near in range(max(0, at - NEAR), min(len(loads), at + NEAR + 1)):
            made[near] = max(LEAST_LOAD, loads[near] * (1 - gain))
    return made


def _late(one: Timeline, rules: Rules, step: float, steps: int) -> list[int]:
    """Requests of each step that missed the objective."""
    counts = [0] * steps
    for number, (request, fate) in enumerate(zip(one.trace.requests, one.fates, strict=True)):
        if not meets(one.trace, number, fate, rules):
            counts[min(steps - 1, int(request.arrival / step))] += 1
    return counts


def _planning(
    trace: Trace, profile: Profile, rules: Rules, bounds: Bounds, loads: Sequence[float]
) -> Problem:
    step = _step(trace, profile)
    unit = step / UNITS
    works = [
        profile.work(one.input_tokens, one.output_tokens) / loads[int(one.arrival / step)]
        for one in trace.requests
    ]
    usual = profile.step_of(profile.slots)
    wait = min(rules.ttft or LONGEST, LONGEST)
    ends = [
        (one.arrival + wait + min(usual * one.output_tokens, LONGEST), work)
        for one, work in zip(trace.requests, works, strict=True)
    ]
    come = _whole(_come(trace, works, step), unit)
    busiest = max(after - before for before, after in pairwise([0, *come]))
    return Problem(
        come=come,
        due=_whole(_by(ends, step, trace.seconds), unit),
        units=UNITS, step=step, low=bounds.low,
        high=max(min(bounds.high, -(-busiest // UNITS)), rules.initial, bounds.low),
        initial=rules.initial, up=profile.startup, down=0.0,
    )  # fmt: skip


def _steps(solution: Solution, problem: Problem, profile: Profile) -> list[tuple[float, int]]:
    """What is to be wanted, and when: replicas are asked for by the start-up time ahead."""
    steps = [(0.0, problem.initial)]
    counts = solution.replicas
    for at in range(len(counts)):
        begin = at * problem.step
        ahead = at + int(-(-profile.startup // problem.step))
        # Whoever is asked for now is there when the highest number until then is due.
        steps.append((begin, max(counts[at : ahead + 1])))
    return steps[1:]


def _good(one: Timeline, rules: Rules, bounds: Bounds) -> bool:
    made = figures(one, rules)
    return round(made.attained * made.requests) >= bounds_needed(made.requests, bounds.share)


def _step(trace: Trace, profile: Profile) -> float:
    least = min(LEAST_STEP, max(1.0, profile.startup / 2))
    return max(least, -(-trace.seconds // MOST_STEPS))


def _come(trace: Trace, works: Sequence[float], step: float) -> list[float]:
    """Work that has come by the end of each step: what comes in a step is there from its start."""
    ends = [(one.arrival, work) for one, work in zip(trace.requests, works, strict=True)]
    return _by(ends, step, trace.seconds)


def _due(
    trace: Trace, works: Sequence[float], profile: Profile, rules: Rules, step: float
) -> list[float]:
    """Work that must be done by the end of each step."""
    if rules.ttft is None:
        return [0.0] * len(_come(trace, works, step))
    slowest = profile.slowest_step if rules.tpot is None else min(profile.slowest_step, rules.tpot)
    ends = [
        (one.arrival + rules.ttft + max(slowest, profile.slowest_step * (one.output_tokens < 2))
         * one.output_tokens, work)
        for one, work in zip(trace.requests, works, strict=True)
    ]  # fmt: skip
    return _by(ends, step, trace.seconds)


def _by(ends: list[tuple[float, float]], step: float, seconds: float) -> list[float]:
    """The sum of what ends by the end of each step."""
    ends.sort()
    times = [end for end, _ in ends]
    sums = [0.0]
    for _, work in ends:
        sums.append(sums[-1] + work)
    count = int(-(-seconds // step))
    return [sums[bisect_left(times, (at + 1) * step)] for at in range(count)]


def _whole(values: Sequence[float], unit: float) -> list[int]:
    return [int(value / unit) for value in values]
