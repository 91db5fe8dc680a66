"""Prometheus metrics of the endpoint, by service, release, key name and model name.

They are served on a loopback port of their own, never on the endpoint's. Buckets follow what
language models take: a first token in 5 ms to 60 s, a further one in 1 ms to 2.5 s.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app

WHO = ("service", "release", "key", "model")
TTFT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 30, 60)
TPOT = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5)


class Metrics:
    """The registry and its metrics; times in seconds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter(
            "llmops_requests", "Requests answered, by status", (*WHO, "status"), registry=r
        )
        self.prompt_tokens = Counter("llmops_prompt_tokens", "Prompt tokens", WHO, registry=r)
        self.completion_tokens = Counter(
            "llmops_completion_tokens", "Generated tokens", WHO, registry=r
        )
        self.ttft = Histogram(
            "llmops_ttft_seconds", "Time to first token", WHO, buckets=TTFT, registry=r
        )
        self.tpot = Histogram(
            "llmops_tpot_seconds", "Time per output token", WHO, buckets=TPOT, registry=r
        )
        self.limited = Counter(
            "llmops_limited",
            "Requests refused for a limit of their key",
            ("service", "key", "limit"),
            registry=r,
        )
        self.shadows = Counter(
            "llmops_shadows",
            "Requests that another release was sent too, by what became of that",
            ("service", "release", "outcome"),
            registry=r,
        )
        self.retries = Counter(
            "llmops_retries",
            "Requests whose replica died before it answered: sent once more, or not",
            ("service", "outcome"),
            registry=r,
        )
        self.quarantine = Counter(
            "llmops_quarantine",
            "Requests that were in flight when an engine died, by what was made of that",
            ("service", "event"),
            registry=r,
        )
        self.audit_lost = Gauge(
            "llmops_audit_lost", "Audit lines that could not be written", registry=r
        )
        self.in_flight = Gauge("llmops_in_flight", "Requests in flight", WHO, registry=r)

    def app(self) -> Any:
        """An ASGI app that answers a scrape."""
        return make_asgi_app(self.registry)
