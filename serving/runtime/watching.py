"""What a gateway learns of the replicas behind it, and what it posts for the autoscaler.

Serve tells its handles which replicas there are, but not those who use a handle. So the gateway
asks Serve's controller, which costs that some milliseconds: seldom where numbers are fixed, and
often only while a request waits for a replica.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from grpc.aio import AioRpcError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from serving.gateway import App, ReleaseRef, Replicas
from serving.runtime import board
from serving.serve_config import GATEWAY, application_name

FIXED = 2.0
"""Seconds between looks where every number of replicas is fixed."""
FOLLOWED = 1.0
"""Seconds between looks where one follows the load."""
WAITED_FOR = 0.25
"""Seconds between looks while a request waits for a replica."""

log = logging.getLogger("llmops.gateway")

Applications = Callable[[], Mapping[str, Any]]


def applications() -> Mapping[str, Any]:
    """Serve's applications as it tells of them."""
    from ray.serve.context import _get_global_client

    found: Mapping[str, Any] = _get_global_client().get_serve_details()["applications"]
    return found


class Watch:
    """Keeps one gateway's app informed.

    Args:
        app: The gateway.
        gateway: Its name on the board.
        ask: Gives Serve's applications; may take its time.
    """

    def __init__(self, app: App, gateway: str, ask: Applications = applications) -> None:
        self._app = app
        self._gateway = gateway
        self._ask = ask

    async def run(self) -> None:
        """Look again and again. A controller that is away is asked again: what was known holds."""
        while True:
            await asyncio.sleep(self.pause())
            try:
                await self.look()
            except (RayError, RayServeException, AioRpcError, ConnectionError) as error:
                log.info("replicas are not known now: %s", type(error).__name__)

    def pause(self) -> float:
        """Seconds until the next look."""
        if self._app.scaling.somebody_waits:
            return WAITED_FOR
        return FOLLOWED if self._app.scaling.followed else FIXED

    async def look(self) -> None:
        """Look once: tell the app, and post its figures."""
        found = await asyncio.to_thread(self._ask)
        known = {
            release: replicas_of(found, self._app.engine_of(release))
            for release in self._app.releases()
        }
        gateways = max(1, _counts(found.get(GATEWAY, {}))["RUNNING"])
        self._app.know(known, gateways)
        now = time.time()
        decided = {}
        for release, figures in self._app.figures().items():
            name = application_name(release.service, release.number)
            await asyncio.to_thread(board.post_load, name, self._gateway, figures | {"at": now})
            if (decision := await asyncio.to_thread(board.decision, name)) is not None:
                decided[release] = decision
        self._app.scaling.decided(decided)
        if gateways > 1:
            await self._share(now)

    async def _share(self, now: float) -> None:
        """Tell the other gateways which requests end engines, and hear it of them."""
        told = self._app.quarantine.told()
        await asyncio.to_thread(board.post_quarantine, self._gateway, told | {"at": now})
        found = await asyncio.to_thread(board.quarantines, now)
        self._app.quarantine.hear(one for name, one in found.items() if name != self._gateway)


def replicas_of(found: Mapping[str, Any], release: ReleaseRef) -> Replicas:
    """A release's replicas, as Serve's applications show them."""
    counts = _counts(found.get(application_name(release.service, release.number), {}))
    return Replicas(
        running=counts["RUNNING"],
        starting=counts["STARTING"] + counts["UPDATING"] + counts["RECOVERING"],
        stopping=counts["STOPPING"],
    )


def _counts(application: Mapping[str, Any]) -> Counter[str]:
    return Counter(
        str(getattr(replica.get("state"), "value", replica.get("state")))
        for deployment in application.get("deployments", {}).values()
        for replica in deployment.get("replicas", [])
    )
