"""Alerts stand on figures that exist, and the monitor on a port that does."""

from __future__ import annotations

import re
from typing import Any

from clusters.model import Manifest
from serving.gateway.metrics import Metrics
from tests.clusters.objects import states
from tests.clusters.objects.made import found, of_kind, with_target

OTHERS = {
    "up",
    "kube_poddisruptionbudget_status_current_healthy",
    "kube_poddisruptionbudget_status_desired_healthy",
}
"""Figures of Prometheus itself and of kube-state-metrics."""


def _rules() -> list[dict[str, Any]]:
    (group,) = found(states.state("production"), "PrometheusRule")["spec"]["groups"]
    return list(group["rules"])


def _exported() -> set[str]:
    collected = Metrics().registry.collect()
    names = {f"{metric.name}_total" if metric.type == "counter" else metric.name
             for metric in collected}  # fmt: skip
    return names | {f"{name}_{part}" for name in names for part in ("bucket", "count", "sum")}


def test_every_figure_of_an_alert_exists() -> None:
    for rule in _rules():
        named = set(re.findall(r"([a-z_:]+)\{", rule["expr"]))
        assert named
        assert named <= _exported() | OTHERS, rule["alert"]


def test_alerts_are_of_this_service_only() -> None:
    for rule in _rules():
        for chosen in re.findall(r"[a-z_]+\{(.*?)\}(?=[\[\s)]|$)", rule["expr"]):
            assert "models-rdma" in chosen, rule["alert"]
            assert "support" in chosen, rule["alert"]


def test_alerts_wait_and_say_what_to_do() -> None:
    for rule in _rules():
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert "llmops status support" in rule["annotations"]["description"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_budgets_that_an_alert_looks_at_are_those_that_are_made() -> None:
    state = states.state("production")
    (rule,) = (rule for rule in _rules() if rule["alert"] == "LlmopsTooFewPods")
    (pattern,) = set(re.findall(r'poddisruptionbudget=~"([^"]*)"', rule["expr"]))
    budgets = of_kind(state, "PodDisruptionBudget")
    assert budgets
    assert all(re.fullmatch(pattern, budget["metadata"]["name"]) for budget in budgets)


def test_the_monitor_scrapes_a_port_that_the_gateways_have() -> None:
    monitor = found(states.state("production"), "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ports = {port["name"]: port["containerPort"] for port in _gateway_ports()}
    assert ports[endpoint["port"]] == 9090


def _gateway_ports() -> list[dict[str, Any]]:
    (service,) = (m for m in states.tree_of("production") if m["kind"] == "RayService")
    groups: list[Manifest] = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (gateway,) = (group for group in groups if group["groupName"] == "gateway")
    return list(gateway["template"]["spec"]["containers"][0]["ports"])


def test_without_a_wish_nothing_is_made() -> None:
    state = with_target(states.state("production"), monitoring=False)
    assert of_kind(state, "PodMonitor") == of_kind(state, "PrometheusRule") == []
    assert of_kind(state, "NetworkPolicy", "-monitoring") == []
