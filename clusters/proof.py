"""Proof that a release generates, asked through the API server: nothing of the cluster's network
needs to be reachable from where the command runs.

A release whose runtime clients reach already is asked through the Service, as they ask. One that is
still beside it is asked at each of its own gateways.
"""

from __future__ import annotations

import json
from pathlib import Path

from clusters import names
from clusters.ports import Connection, Reader
from clusters.resources import pod_proxy, service_proxy
from clusters.steps import Steps
from clusters.trouble import About, refusal
from llmops import __version__
from llmops.errors import LlmopsError, TargetError
from llmops.releases import Release
from serving.client import TOKENS, Endpoint, Line, Probe

MOST_GATEWAYS = 4
"""Gateways of a runtime that are asked one by one, at most."""

FORBIDDEN = "cannot create resource"
"""What the API server says, of its proxy, to whoever may not ask through it."""


def line(connection: Connection) -> Line:
    """How requests to the endpoint pass through the API server."""
    return Line(verify=connection.tls, headers=connection.headers, proxied=True)


def door(connection: Connection, namespace: str, service: str) -> str:
    """Base URL of the service's endpoint, by the API server's proxy of its Service."""
    return connection.base_url + service_proxy(namespace, service, names.HTTP_NAME, "/v1")


def endpoint(client: Reader, namespace: str, service: str, key: str) -> Endpoint:
    """The service's endpoint as llmops' own commands reach it."""
    connection = client.connection()
    return Endpoint(door(connection, namespace, service), key, service, line(connection))


def ask(
    client: Reader, namespace: str, steps: Steps, release: Release, model: Path, key: str
) -> None:
    """Ask a release for generations that only it can give.

    Raises:
        TargetError: When one of its doors gives another answer, or it has none.
        Forbidden: When this user may not ask through the API server.
    """
    connection = client.connection()
    for url in _doors(connection, namespace, steps, release):
        probe = Probe(
            url=url,
            key=key,
            service=release.service,
            release=release.number,
            model=model,
            tokens=min(TOKENS, release.plan.limits.max_tokens),
            line=line(connection),
        )
        try:
            probe.ask()
        except TargetError as error:
            if FORBIDDEN in error.message:
                raise _forbidden(error.message, namespace) from error
            raise


def _forbidden(said: str, namespace: str) -> LlmopsError:
    """The API server let no request through, and its words are those of the failed proof."""
    said = said.replace('\\"', '"')
    status = json.dumps({"kind": "Status", "message": said}).encode()
    return refusal(403, status, About("create", "the endpoint", namespace=namespace))


def _doors(connection: Connection, namespace: str, steps: Steps, release: Release) -> list[str]:
    live = steps.live()
    holder = live.holding(release.number)
    if holder is None:
        raise TargetError(f"release {release.number} is in no runtime", hint="deploy again")
    if holder.id == live.active:
        return [door(connection, namespace, release.service)]
    ready = [gateway.pod for gateway in steps.gateways(holder.id).ready]
    if not ready:
        raise TargetError(f"no gateway of {holder.name} is ready", hint="deploy again")
    return [
        connection.base_url + pod_proxy(namespace, pod, names.HTTP_PORT, "/v1")
        for pod in ready[:MOST_GATEWAYS]
    ]


def versions(steps: Steps, release: Release) -> None:
    """Refuse a runtime whose image is not what the plan was made for.

    Raises:
        TargetError: Naming what differs.
    """
    holder = steps.live().holding(release.number)
    if holder is None:
        return
    wanted = {"llmops": __version__, "engine": release.plan.engine.version}
    for state in steps.gateways(holder.id).answering:
        runs = state.get("versions", {})
        for name, version in wanted.items():
            if runs.get(name) != version:
                raise TargetError(
                    f"the image has {name} {runs.get(name, 'unknown')}, and the plan is for"
                    f" {version}",
                    hint="llmops image build makes one that matches; llmops image check compares",
                )
