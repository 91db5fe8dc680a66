"""What Ray Serve's controller asks how many replicas a release should have.

It only translates: what is seen becomes an Observation, `llmops.policies.scaling` decides, and the
memory is kept in the state that Serve keeps for a policy. The gateways' figures are believed first:
Serve's own counts can stay above zero when requests end badly, which would keep replicas, and keep
a service awake, for nobody. Without a gateway's word Serve's counts are all there is.

Serve pickles this module by value, so it holds nothing but the class and what it translates.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from llmops.policies.scaling import Decision, Memory, Observation, ScalingSettings
from serving.runtime import board
from serving.runtime.deciding import decided
from serving.runtime.handover import Handover

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
        before = Memory.of(state.get("memory", {}))
        ceiling = _ceiling(loads, state)
        handover = Handover.of(state.get("handover", {}))
        handover = handover.told((one["follows"] for one in loads.values()), seen.running, now)
        known = before.startup or board.startup(_service(context.app_name))
        settings = self._settings
        if known is not None:  # by an earlier release, or before Serve's controller began anew
            settings = replace(settings, startup_seconds=known)
        decision = decided(settings, seen, before, handover, ceiling)
        after = {
            "asked_at": now,
            "told_at": state.get("told_at", 0.0),
            "counts": counts,
            "arrived": arrived,
            "ceiling": ceiling,
            "handover": handover.document(),
            "memory": decision.memory.document(),
        }
        startup = decision.memory.startup
        if startup is not None and startup != before.startup:
            board.post_startup(_service(context.app_name), startup)
        self._tell(context, decision, startup or known, after)
        return decision.replicas, after

    def _tell(
        self, context: Any, decision: Decision, startup: float | None, after: dict[str, Any]
    ) -> None:
        """Post the decision where it is new, or was not told for a while."""
        now = after["asked_at"]
        changed = decision.replicas != context.target_num_replicas
        if changed:
            self._log.info(
                "%s: %d -> %d replicas: %s",
                context.app_name, context.target_num_replicas, decision.replicas, decision.reason,
            )  # fmt: skip
        if changed or not 0 <= now - after["told_at"] < TOLD_EVERY:
            after["told_at"] = now
            told = {"replicas": decision.replicas, "reason": decision.reason, "at": now,
                    "startup": startup}  # fmt: skip
            board.post_decision(context.app_name, told)


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


def _ceiling(loads: dict[str, dict[str, Any]], state: dict[str, Any]) -> dict[str, Any] | None:
    """What a budget pays for: what the gateways tell, and while none does what they told last."""
    if not loads:
        return state.get("ceiling")
    told = [one["ceiling"] for one in loads.values() if one["ceiling"] is not None]
    return min(told, key=lambda one: one["replicas"], default=None)


def _service(application: str) -> str:
    """The service that an application, such as `chat-r3`, is a release of."""
    return application.rpartition("-r")[0]


def _of_replicas(context: Any, name: str, default: float | None) -> float | None:
    """The sum of a figure that replicas tell of themselves; `default` when none does."""
    figures = (context.aggregated_metrics or {}).get(name) or {}
    return sum(figures.values()) if figures else default


def _mean(context: Any, name: str) -> float | None:
    figures = (context.aggregated_metrics or {}).get(name) or {}
    return sum(figures.values()) / len(figures) if figures else None
