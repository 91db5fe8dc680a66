"""What Ray Serve's controller asks how many replicas a release should have.

It only translates: what is seen becomes an Observation, `llmops.policies.scaling` decides, and the
memory is kept in the state that Serve keeps for a policy. The gateways' figures are believed first:
Serve's own counts can stay above zero when requests end badly, which would keep replicas, and keep
a service awake, for nobody. Without a gateway's word Serve's counts are all there is.

Serve pickles this module by value, so it holds nothing but the class and what it translates.
"""

from __future__ import annotations

import logging
from typing import Any

from llmops.policies.scaling import Memory, Observation, ScalingSettings, decide
from serving.runtime import board

EVERY = 0.5
"""Seconds between decisions; Serve asks more often."""
TOLD_EVERY = 5.0
"""Seconds between posts of a decision that has not changed."""


class Autoscaler:
    """Serve's policy for one release. Serve makes one for each, and calls it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = ScalingSettings.of(settings)
        self._log = logging.getLogger("ray.serve.llmops")

    def __call__(self, context: Any) -> tuple[int, dict[str, Any]]:
        """The number of replicas, and the state for the next call."""
        state = context.policy_state
        now = float(context.current_time)
        if 0 <= now - state.get("asked_at", 0.0) < EVERY:
            return context.target_num_replicas, state
        try:
            return self._decide(context, state, now)
        except Exception:  # noqa: BLE001 - it would end the loop that keeps all applications alive
            self._log.exception("no decision on %s", context.app_name)
            return context.target_num_replicas, state | {"asked_at": now}

    def _decide(
        self, context: Any, state: dict[str, Any], now: float
    ) -> tuple[int, dict[str, Any]]:
        loads = board.loads(context.app_name, now)
        counts, arrived = _arrivals(loads, state)
        seen = observation(context, loads, arrived, now)
        decision = decide(self._settings, seen, Memory.of(state.get("memory", {})))
        after = {
            "asked_at": now,
            "told_at": state.get("told_at", 0.0),
            "counts": counts,
            "arrived": arrived,
            "memory": decision.memory.document(),
        }
        changed = decision.replicas != context.target_num_replicas
        if changed:
            self._log.info(
                "%s: %d -> %d replicas: %s",
                context.app_name, context.target_num_replicas, decision.replicas, decision.reason,
            )  # fmt: skip
        if changed or not 0 <= now - after["told_at"] < TOLD_EVERY:
            after["told_at"] = now
            told = {"replicas": decision.replicas, "reason": decision.reason, "at": now,
                    "startup": decision.memory.startup}  # fmt: skip
            board.post_decision(context.app_name, told)
        return decision.replicas, after


def observation(
    context: Any, loads: dict[str, dict[str, Any]], arrived: float | None, now: float
) -> Observation:
    """What is seen of a release: by the gateways, or else by Serve."""
    running, target = context.current_num_replicas, context.target_num_replicas
    told = list(loads.values())
    judged = sum(one["judged"] for one in told)
    return Observation(
        now=now,
        running=running,
        starting=max(0, target - running),
        draining=max((one["stopping"] for one in told), default=0),
        in_flight=sum(one["in_flight"] for one in told) if told else context.total_num_requests,
        queued=_of_replicas(context, "queued", 0.0) or 0.0,
        waiting=sum(one["waiting"] for one in told),
        oldest_wait=max((one["oldest_wait"] for one in told), default=0.0),
        kv_use=_mean(context, "kv_use"),
        tokens_per_second=sum(one["tokens_per_second"] for one in told),
        arrived=arrived,
        missed=sum(one["missed"] for one in told) / judged if judged else None,
    )


def _arrivals(
    loads: dict[str, dict[str, Any]], state: dict[str, Any]
) -> tuple[dict[str, int], float | None]:
    """Each gateway's count, and one that grows by what is new in any of them."""
    if not loads:
        return state.get("counts", {}), None
    before: dict[str, int] = state.get("counts", {})
    counts = {gateway: figures["arrived"] for gateway, figures in loads.items()}
    new = sum(max(0, count - before.get(gateway, count)) for gateway, count in counts.items())
    return before | counts, (state.get("arrived") or 0.0) + new


def _of_replicas(context: Any, name: str, default: float | None) -> float | None:
    """The sum of a figure that replicas tell of themselves; `default` when none does."""
    figures = (context.aggregated_metrics or {}).get(name) or {}
    return sum(figures.values()) if figures else default


def _mean(context: Any, name: str) -> float | None:
    figures = (context.aggregated_metrics or {}).get(name) or {}
    return sum(figures.values()) / len(figures) if figures else None
