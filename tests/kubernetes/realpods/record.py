"""A pod's object at the API server, as a kubelet writes it: its status, and that it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kubernetes.standin.api import Api, ApiError

Object = dict[str, Any]
CONFLICT, GONE = 409, 404
TRIES = 5


class Record:
    """The object of one pod. A write is made anew when another was quicker, and none is made when
    the object has gone."""

    def __init__(self, api: Api, namespace: str, name: str) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{namespace}/pods/{name}"

    async def tell(self, make: Callable[[Object], Object]) -> None:
        """Write the status that `make` makes of the pod as it is."""
        await self._edit("/status", lambda pod: {**pod, "status": make(pod)})

    async def let_go(self) -> None:
        """Let the API server forget the pod: its process has ended."""
        await self._edit("", _without_finalizers)
        try:
            await self._api.delete(f"{self._path}?gracePeriodSeconds=0")
        except ApiError as error:
            if error.status != GONE:
                raise

    async def _edit(self, part: str, edit: Callable[[Object], Object]) -> None:
        for _ in range(TRIES):
            try:
                await self._api.replace(self._path + part, edit(await self._api.get(self._path)))
            except ApiError as error:
                if error.status == GONE:
                    return
                if error.status != CONFLICT:
                    raise
            else:
                return


def _without_finalizers(pod: Object) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "finalizers": []}}
