"""Which replica takes a request: always the same one for a session, else the less loaded of two.

Serve's handles ask this in place of their own router, where a service keeps sessions together. A
session takes the replica whose weight for it is highest (rendezvous hashing: Thaler and
Ravishankar, 1998), so every handle of every gateway comes to the same one without having been told,
nothing of a session is kept, and where a replica goes only its own sessions move. One that works on
as much as it takes well is passed over: another answers sooner, and one busy session does not make
the others wait. Requests of no session are dealt as Serve deals them.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

from ray.serve.request_router import (
    LocalityMixin,
    PendingRequest,
    ReplicaID,
    RequestRouter,
    RunningReplica,
)


class SessionRouter(LocalityMixin, RequestRouter):  # type: ignore[misc]
    """What chooses a replica for each request of one handle."""

    _at_once: int | None = None

    def initialize_state(self, **kwargs: Any) -> None:
        """Told by Serve before the first request.

        Args:
            kwargs: `at_once` is how many requests a replica takes well; without it, any number.
        """
        self._at_once = kwargs.get("at_once")

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Replicas by rank: Serve takes the first that answers and is not full, of those of one
        rank the least loaded."""
        session = pending_request.metadata.session_id if pending_request else ""
        if pending_request is None or not session:
            ids = list(self.apply_locality_routing(pending_request))
            return [[self.curr_replicas[one] for one in random.sample(ids, min(2, len(ids)))]]
        pending_request.routing_context.should_backoff = True
        ranked = sorted(
            candidate_replicas, key=lambda one: weight(session, one.replica_id), reverse=True
        )
        roomy = [[one] for one in ranked if not self._busy(one)]
        return [*roomy, [one for one in ranked if self._busy(one)]]

    def _busy(self, replica: RunningReplica) -> bool:
        """Whether a replica works on as much as it takes well, as far as this handle knows."""
        known = self.replica_queue_len_cache.get(replica.replica_id)
        return self._at_once is not None and known is not None and known >= self._at_once


def weight(session: str, replica: ReplicaID) -> bytes:
    """What a replica weighs for a session."""
    return hashlib.blake2b(f"{session}{replica.unique_id}".encode(), digest_size=8).digest()
