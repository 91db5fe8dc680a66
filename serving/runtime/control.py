"""The client of a host's control API: HTTP over a Unix socket that only its user can open.

It imports no Ray, so a command that only asks starts in a fraction of a second.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from llmops.errors import TargetError


class Control:
    """What can be asked of a running host."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def alive(self) -> bool:
        """Whether a host answers."""
        try:
            return self._call("GET", "/alive", timeout=2.0).status_code == 200
        except TargetError:
            return False

    def state(self) -> dict[str, Any]:
        """Applications, their deployments and replicas, the endpoint, and the gateway's figures.

        Raises:
            TargetError: When the host does not answer.
        """
        document: dict[str, Any] = self._call("GET", "/state", timeout=30.0).json()
        return document

    def inside(self) -> dict[str, Any]:
        """What an audit compares: `applications`, the config of each as Serve holds it, and
        `replicas`, what one replica of each says of its engine, null where it does not answer.

        Raises:
            TargetError: When the host does not answer, or is of before there was this.
        """
        answer = self._call("GET", "/inside", timeout=30.0)
        if answer.status_code != 200:
            raise TargetError(
                f"the runtime does not tell what it runs: {answer.status_code}",
                hint="llmops upgrade restarts it with what is installed",
            )
        document: dict[str, Any] = answer.json()
        return document

    def apply(self, config: dict[str, Any]) -> None:
        """Make `config` (see `serve_config.render`) what Serve should run; returns when accepted.

        Raises:
            TargetError: When Serve refuses it, or the host does not answer.
        """
        answer = self._call("PUT", "/config", json=config, timeout=60.0)
        if answer.status_code != 200:
            raise TargetError(f"Ray Serve refused the config: {answer.text[:500]}")

    def _call(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self._socket))
        try:
            with httpx.Client(transport=transport, base_url="http://host") as client:
                return client.request(method, path, **options)
        except (httpx.HTTPError, OSError) as error:
            raise TargetError(
                f"the runtime does not answer on {self._socket}: {error}",
                hint="llmops doctor; deploying again starts it",
            ) from error
