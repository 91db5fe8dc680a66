"""The real Ray Serve of one cluster, asked at its head's dashboard as KubeRay's operator asks it.

It takes the place of the stand-in's simulated Serve: the same two calls, answered by Ray. What the
dashboard says is handed on in the field names of a RayService's status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from tests.kubernetes.standin.serve import Serve

PORT = 8265
PATH = "/api/serve/applications/"
FRESH = 1.0
"""Seconds that an answer is good for; KubeRay asks every two."""
TIMEOUT = 20.0
"""Seconds for an answer: the dashboard's first one starts Serve's controller."""


class RealServe(Serve):
    """Serve behind a dashboard.

    Args:
        address: Of the head's pod.
        token: Ray's.
    """

    def __init__(self, address: str, token: str) -> None:
        super().__init__()
        self._told: dict[str, Any] = {}
        self._asked_at = float("-inf")
        headers = {"authorization": f"Bearer {token}"}
        url = f"http://{address}:{PORT}"
        self._client = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=TIMEOUT)

    def submit(self, config: Mapping[str, Any], now: float) -> None:
        """Hand Serve the whole config. Raises ValueError with its words when it refuses."""
        self._asked_at = float("-inf")
        answer = self._client.put(PATH, json=config)
        if answer.is_error:
            raise ValueError(f"{answer.status_code}: {answer.text[:2000]}")

    def statuses(self, now: float) -> dict[str, Any]:
        """Every application and its deployments, with their messages. Raises httpx.HTTPError."""
        if now >= self._asked_at + FRESH:
            answer = self._client.get(PATH).raise_for_status()
            applications = answer.json().get("applications", {})
            self._told = {name: _document(app) for name, app in applications.items()}
            self._asked_at = now
        return self._told

    def close(self) -> None:
        self._client.close()


def _document(app: Mapping[str, Any]) -> dict[str, Any]:
    deployments = {
        name: {"status": deployment["status"], "message": deployment.get("message", "")}
        for name, deployment in app.get("deployments", {}).items()
    }
    return {
        "status": app["status"],
        "message": app.get("message", ""),
        "serveDeploymentStatuses": deployments,
    }
