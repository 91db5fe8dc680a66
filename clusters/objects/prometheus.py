"""The Prometheus Operator's objects, as far as they are used: typed, and no more."""

from __future__ import annotations

from dataclasses import dataclass

from lightkube.models import meta_v1


@dataclass(frozen=True, slots=True)
class MetricsEndpoint:
    """A port of the pods to scrape, by its name, and where its figures are."""

    port: str
    path: str
    interval: str


@dataclass(frozen=True, slots=True)
class PodMonitorSpec:
    """Of a PodMonitor; labels in `pod_target_labels` become labels of every figure."""

    selector: meta_v1.LabelSelector
    pod_metrics_endpoints: tuple[MetricsEndpoint, ...]
    pod_target_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PodMonitor:
    """Which pods Prometheus scrapes."""

    metadata: meta_v1.ObjectMeta
    spec: PodMonitorSpec
    api_version: str = "monitoring.coreos.com/v1"
    kind: str = "PodMonitor"


@dataclass(frozen=True, slots=True)
class Annotations:
    """What an alert tells whoever is woken."""

    summary: str
    description: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule; `for_` is the API's `for`."""

    alert: str
    expr: str
    for_: str
    labels: dict[str, str]
    annotations: Annotations


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that are evaluated together."""

    name: str
    rules: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class PrometheusRuleSpec:
    """Of a PrometheusRule."""

    groups: tuple[RuleGroup, ...]


@dataclass(frozen=True, slots=True)
class PrometheusRule:
    """Alerts."""

    metadata: meta_v1.ObjectMeta
    spec: PrometheusRuleSpec
    api_version: str = "monitoring.coreos.com/v1"
    kind: str = "PrometheusRule"
