"""What the agent keeps as it should be between orders: keys, the last status, and what serves.

A machine that was restarted, or that took the place of another, brings back every release that is
recorded as live; one that will not start is tried again at growing intervals.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from llmops import workflow
from llmops.errors import LlmopsError
from llmops.events import Flow
from llmops.reconciling import desired_of
from llmops.releases import Conflict, Done, Observed, next_step
from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.keys import SEEN as TAKEN_OVER
from serving.agent.keys import read_keys
from serving.agent.machine.answering import status_of
from serving.agent.target import STATUS
from serving.agent.words import Seen, Snapshot
from serving.gateway import adopt_keys
from serving.local import LocalTarget

log = logging.getLogger("llmops.agent")

FIRST, LONGEST = 30.0, 900.0
"""Seconds between a release that would not start and the next try; twice as many each time."""


class Keeping:
    """Keeps this machine as the store says.

    Args:
        blobs: The store.
        target: This machine.
        clock: Unix seconds.
        elapsed: Seconds on a clock that nobody sets.
    """

    def __init__(
        self,
        blobs: Blobs,
        target: LocalTarget,
        clock: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs, self._target = blobs, target
        self._clock, self._elapsed = clock, elapsed
        self._keys, self._turn = "", threading.Lock()
        self._retry: dict[str, tuple[float, float]] = {}

    def keys(self) -> None:
        """Have the gateways use the store's keys, and say which."""
        with self._turn:
            held, version = read_keys(self._blobs)
            if version == self._keys:
                return
            runtime = self._target.runtime
            if adopt_keys(runtime.paths.keys, held):
                runtime.reload_keys()
            _, before = TAKEN_OVER.read(self._blobs, names.SEEN)
            TAKEN_OVER.write(self._blobs, names.SEEN, Seen(str(held.version)), before)
            self._keys = version

    def status(self, service: str) -> None:
        """Write down how the service is, for who asks when no agent is there."""
        if not self._target.store.read(service)[0].releases:
            return
        with contextlib.suppress(Conflict):  # another look was quicker: it is as good
            snapshot = Snapshot(self._clock(), status_of(self._target, service))
            _, version = STATUS.read(self._blobs, names.status(service))
            STATUS.write(self._blobs, names.status(service), snapshot, version)

    def lost(self) -> tuple[str, ...]:
        """Services whose live release does not stand as it should, and that are due for a look."""
        return tuple(s for s in self._target.store.services() if self._due(s) and self._is_lost(s))

    def _due(self, service: str) -> bool:
        return self._retry.get(service, (0.0, 0.0))[0] <= self._elapsed()

    def _is_lost(self, service: str) -> bool:
        history = self._target.store.read(service)[0]
        live = history.live
        if live is None:
            return False
        observed = Observed(history, self._target.observe(service))
        step = next_step(observed, desired_of(live.plan, live.number), self._clock())
        return not isinstance(step, Done)

    def settle(self, service: str) -> Flow[None]:
        """Bring the live release back, and have it answer.

        Raises:
            LlmopsError: When it would not; it is tried again later.
        """
        try:
            with self._target.lock(service, "brought back"):
                live = self._target.store.read(service)[0].live
                if live is not None:
                    yield from workflow.settle(self._target, live, clock=self._clock)
        except LlmopsError:
            pause = min(LONGEST, self._retry.get(service, (0.0, FIRST / 2))[1] * 2)
            self._retry[service] = (self._elapsed() + pause, pause)
            raise
        self._retry.pop(service, None)
