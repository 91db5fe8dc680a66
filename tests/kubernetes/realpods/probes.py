"""A pod's own probes, asked as a kubelet asks them: HTTP at the pod's address.

Left out: every other kind of probe (refused), thresholds, delays and periods (they are asked each
second), and what a failed liveness probe leads to: nothing is restarted here.
"""

from __future__ import annotations

from typing import Any

import httpx

Object = dict[str, Any]
KINDS = ("startupProbe", "readinessProbe", "livenessProbe")


async def passes(client: httpx.AsyncClient, pod: Object, kind: str, address: str) -> bool:
    """Whether a probe of the pod's container succeeds now; so does one that is not there.

    Raises ValueError for a probe that is not by HTTP.
    """
    [container, *_] = pod["spec"]["containers"]
    probe = container.get(kind)
    if probe is None:
        return True
    if "httpGet" not in probe:
        raise ValueError(f"{kind} of {pod['metadata']['name']} is not by HTTP: {probe}")
    request = probe["httpGet"]
    url = f"http://{address}:{_port(container, request['port'])}{request.get('path', '/')}"
    try:
        answer = await client.get(url, timeout=probe.get("timeoutSeconds", 1))
    except httpx.HTTPError:
        return False
    return 200 <= answer.status_code < 400


def _port(container: Object, named: int | str) -> int:
    if isinstance(named, int):
        return named
    ports = container.get("ports", [])
    return next(int(port["containerPort"]) for port in ports if port["name"] == named)
