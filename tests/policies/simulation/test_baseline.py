"""Ray Serve's default policy, beside Ray's own functions where Ray is installed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from llmops.policies.scaling import Observation
from llmops.policies.simulation import RayDefault, RaySettings

CONFIGS: list[dict[str, Any]] = [
    {},
    {"min_replicas": 0, "max_replicas": 10},
    {"min_replicas": 2, "max_replicas": 9, "target_ongoing_requests": 7.5},
    {"upscale_delay_s": 0.0, "downscale_delay_s": 0.0, "max_replicas": 50},
    {"upscaling_factor": 0.5, "downscaling_factor": 0.3, "max_replicas": 20},
    {"min_replicas": 0, "downscale_delay_s": 20.0, "downscale_to_zero_delay_s": 60.0},
]


def settings_of(config: dict[str, Any]) -> RaySettings:
    """Our names of Ray's fields."""
    return RaySettings(**{name.removesuffix("_s"): value for name, value in config.items()})


class Theirs:
    """Ray's own policy, asked as its controller asks it."""

    def __init__(self, config: dict[str, Any]) -> None:
        from ray.serve.autoscaling_policy import (
            _apply_autoscaling_config,
            replica_queue_length_autoscaling_policy,
        )
        from ray.serve.config import AutoscalingConfig

        self._config = AutoscalingConfig(**{"max_replicas": 100, **config})
        self._policy = _apply_autoscaling_config(replica_queue_length_autoscaling_policy)
        self._state: dict[str, Any] = {}

    def decide(self, requests: float, running: int, target: int) -> int:
        """One decision."""
        from ray.serve._private.common import DeploymentID
        from ray.serve.config import AutoscalingContext

        config = self._config
        context = AutoscalingContext(
            deployment_id=DeploymentID("one", "app"), deployment_name="one", app_name="app",
            current_num_replicas=running, target_num_replicas=target, running_replicas=[],
            total_num_requests=requests, capacity_adjusted_min_replicas=config.min_replicas,
            capacity_adjusted_max_replicas=config.max_replicas, policy_state=self._state,
            current_time=None, config=config, total_queued_requests=0.0, aggregated_metrics={},
            raw_metrics={}, last_scale_up_time=None, last_scale_down_time=None,
        )  # fmt: skip
        wanted, self._state = self._policy(context)
        decided: int = max(config.min_replicas, min(config.max_replicas, int(wanted)))
        return decided


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_it_decides_as_rays_own_function_does(
    config: dict[str, Any], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray.serve", reason="needs ray[serve], to compare with it")
    clock = [1_000_000.0]
    monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: clock[0])
    theirs, mine = Theirs(config), RayDefault(settings_of(config))
    draw = random.Random(seed)
    target, running, load = 1, 1, 2.0
    for _ in range(3000):
        clock[0] += 1.0
        load = max(0.0, load + draw.choice((-1, 0, 1)) * draw.choice((0.3, 3.0, 30.0)))
        requests = 0.0 if draw.random() < 0.05 or draw.random() < 0.5 * (load < 3) else load
        running = max(0, min(target, running + draw.choice((-1, 0, 1, 1))))
        expected = theirs.decide(requests, running, target)
        assert mine.decide(clock[0], requests, running, target) == expected
        target = expected


def test_its_defaults_are_rays() -> None:
    pytest.importorskip("ray.serve", reason="needs ray[serve], to compare with it")
    from ray.serve.config import AutoscalingConfig

    theirs, mine = AutoscalingConfig(), RaySettings()
    assert mine.target_ongoing_requests == theirs.target_ongoing_requests
    assert mine.upscale_delay == theirs.upscale_delay_s
    assert mine.downscale_delay == theirs.downscale_delay_s
    assert mine.downscale_to_zero_delay == theirs.downscale_to_zero_delay_s
    assert mine.look_back == theirs.look_back_period_s
    assert mine.min_replicas == theirs.min_replicas


def test_it_answers_to_the_mean_of_half_a_minute_after_half_a_minute() -> None:
    policy = RayDefault(RaySettings(max_replicas=10), initial=1)
    wanted = [policy(Observation(now=float(at), running=1, in_flight=20.0))[0] for at in range(32)]
    assert wanted[:30] == [1] * 30
    assert wanted[31] == 10
