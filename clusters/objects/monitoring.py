"""What Prometheus is told: whom to scrape, and when to wake somebody.

Alerts stand on figures that exist: the gateways' own (serving/gateway/metrics.py), Prometheus' `up`
of their scrape, and kube-state-metrics' of the disruption budgets, which know how many pods are
needed. A rule without its figures never fires, and so needs nothing that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightkube.models import meta_v1

from clusters import names
from clusters.model import Manifest, ServiceState
from clusters.objects import labels, prometheus
from clusters.objects.about import described, leading
from clusters.objects.documents import document

COMPONENT = "monitoring"
OPS_PORT_NAME = "ops"
"""Name of the gateway pods' port 9090."""
ERRORS_AT_MOST = 0.05
"""Share of requests that may be answered 5xx: one in twenty is more than single bad requests."""


def monitoring(state: ServiceState) -> Iterator[Manifest]:
    """PodMonitor and PrometheusRule, when the serving runtime's target wants them."""
    runtime = leading(state)
    if runtime and runtime.shape.target.monitoring:
        yield document(_monitor(state))
        yield document(_rules(state))


def _monitor(state: ServiceState) -> prometheus.PodMonitor:
    why = "Figures of the gateways, of every runtime."
    return prometheus.PodMonitor(
        described(state, state.service, COMPONENT, why),
        prometheus.PodMonitorSpec(
            selector=meta_v1.LabelSelector(
                matchLabels=labels.selector(state.service, names.GATEWAY)
            ),
            pod_metrics_endpoints=(
                prometheus.MetricsEndpoint(port=OPS_PORT_NAME, path="/metrics", interval="15s"),
            ),
            pod_target_labels=(names.RUNTIME,),
        ),
    )


def _rules(state: ServiceState) -> prometheus.PrometheusRule:
    why = "When to wake somebody for this service."
    alerts = (_no_gateway(state), _errors(state), _stuck(state), _too_few(state))
    return prometheus.PrometheusRule(
        described(state, state.service, COMPONENT, why),
        prometheus.PrometheusRuleSpec((prometheus.RuleGroup(f"llmops-{state.service}", alerts),)),
    )


def _no_gateway(state: ServiceState) -> prometheus.Alert:
    up = f'up{{job="{state.namespace}/{state.service}"}}'
    return _alert(
        state,
        "LlmopsNoGateway",
        f"(sum({up}) or vector(0)) == 0",
        "2m",
        "critical",
        "no gateway answers",
        "Clients are not answered.",
    )


def _errors(state: ServiceState) -> prometheus.Alert:
    failed = _rate(state, "llmops_requests_total", "5m", 'status=~"5.."')
    return _alert(
        state,
        "LlmopsErrors",
        f"{failed} / {_rate(state, 'llmops_requests_total', '5m')} > {ERRORS_AT_MOST}",
        "5m",
        "critical",
        "{{ $value | humanizePercentage }} of requests fail",
        "Answers with a status of 5xx; streams that were cut count among them.",
    )


def _stuck(state: ServiceState) -> prometheus.Alert:
    """Requests are counted when they end, so this is a service where everything only begins."""
    flying = f"sum(llmops_in_flight{{{_of(state)}}})"
    return _alert(
        state,
        "LlmopsStuck",
        f"{flying} > 0 unless {_rate(state, 'llmops_requests_total', '15m')} > 0",
        "15m",
        "critical",
        "requests are in flight, and none ends",
        "An engine may hang.",
    )


def _too_few(state: ServiceState) -> prometheus.Alert:
    budgets = (
        f'namespace="{state.namespace}",'
        f'poddisruptionbudget=~"{state.service}-[0-9a-f]{{8}}-(head|gateway|replica)"'
    )
    healthy = f"kube_poddisruptionbudget_status_current_healthy{{{budgets}}}"
    needed = f"kube_poddisruptionbudget_status_desired_healthy{{{budgets}}}"
    return _alert(
        state,
        "LlmopsTooFewPods",
        f"{healthy} < {needed}",
        "15m",
        "warning",
        "fewer pods of {{ $labels.poddisruptionbudget }} are ready than are needed",
        "A pod does not start, or its node is gone; longer than an update takes.",
    )


def _alert(
    state: ServiceState,
    name: str,
    expression: str,
    lasting: str,
    severity: str,
    summary: str,
    what: str,
) -> prometheus.Alert:
    service = f"{state.namespace}/{state.service}"
    return prometheus.Alert(
        alert=name,
        expr=expression,
        for_=lasting,
        labels={"severity": severity, "service": state.service, "namespace": state.namespace},
        annotations=prometheus.Annotations(
            summary=f"{service}: {summary}",
            description=f"{what} Ask `llmops status {state.service}`.",
        ),
    )


def _rate(state: ServiceState, metric: str, window: str, more: str = "") -> str:
    chosen = ",".join(filter(None, (_of(state), more)))
    return f"sum(rate({metric}{{{chosen}}}[{window}]))"


def _of(state: ServiceState) -> str:
    return f'namespace="{state.namespace}",service="{state.service}"'
