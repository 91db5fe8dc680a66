"""Ray Serve's own default policy, as a rule of three parts, to compare with.

Modelled on `ray/serve/autoscaling_policy.py` of Ray 2.60.0 (`_core_replica_queue_length_policy`,
`_apply_scaling_factors`, `_apply_delay_logic`), and on the bounds and the window's mean of
`ray/serve/_private/autoscaling_state.py`. Its defaults are those of `AutoscalingConfig`. A test
compares it with Ray's own functions where Ray is installed.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from llmops.policies.scaling import Observation

EPSILON = 1e-6
"""Seconds by which a delay may fall short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaySettings:
    """Fields of Ray Serve's `autoscaling_config`, with its defaults; times in seconds."""

    min_replicas: int = 1
    max_replicas: int = 100
    target_ongoing_requests: float = 2.0
    upscale_delay: float = 30.0
    downscale_delay: float = 600.0
    downscale_to_zero_delay: float | None = None
    upscaling_factor: float = 1.0
    downscaling_factor: float = 1.0
    look_back: float = 30.0


class RayDefault:
    """The policy and its state; asked like ours."""

    def __init__(self, settings: RaySettings, initial: int = 1) -> None:
        self._settings = settings
        self._target = initial
        self._samples: deque[tuple[float, float]] = deque()
        self._direction = 0
        self._since: float | None = None

    def __call__(self, seen: Observation) -> tuple[int, str]:
        """How many replicas there should be."""
        requests = self._mean(seen.now, seen.demand)
        self._target = self.decide(seen.now, requests, seen.running, self._target)
        return self._target, f"{requests:.1f} requests on the average"

    def decide(self, now: float, requests: float, running: int, target: int) -> int:
        """One decision.

        Args:
            now: Seconds.
            requests: In flight and queued, averaged over the window.
            running: Replicas that answer.
            target: What was decided before.
        """
        settings = self._settings
        if running == 0 and requests > 0:
            wanted = max(math.ceil(settings.upscaling_factor), target)
        elif running == 0:
            wanted = target if target > 0 else self._delayed(now, 0, target)
        else:
            wanted = self._delayed(now, max(0, self._factored(requests, running)), target)
        return max(settings.min_replicas, min(settings.max_replicas, wanted))

    def _factored(self, requests: float, running: int) -> int:
        settings = self._settings
        # In Ray's own order of operations: rounding up would show another one's last digit.
        desired = running * (requests / (settings.target_ongoing_requests * running))
        delta = desired - running
        factor = settings.upscaling_factor if delta > 0 else settings.downscaling_factor
        scaled = math.ceil(running + factor * delta)
        stuck = math.ceil(desired) < running and scaled == running
        return scaled - 1 if stuck else scaled

    def _delayed(self, now: float, desired: int, target: int) -> int:
        """A change only when it has been wanted for as long as its delay."""
        direction = (desired > target) - (desired < target)
        if direction != self._direction or self._since is None:
            self._direction, self._since = direction, now
        if not direction or now - self._since + EPSILON < self._delay(direction, target):
            return target
        self._since = None
        return desired if direction > 0 or target == 1 else max(1, desired)

    def _delay(self, direction: int, target: int) -> float:
        settings = self._settings
        if direction > 0:
            return settings.upscale_delay
        if target == 1 and settings.downscale_to_zero_delay is not None:
            return settings.downscale_to_zero_delay
        return settings.downscale_delay

    def _mean(self, now: float, requests: float) -> float:
        self._samples.append((now, requests))
        while self._samples[0][0] <= now - self._settings.look_back:
            self._samples.popleft()
        return sum(value for _, value in self._samples) / len(self._samples)
