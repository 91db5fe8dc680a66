"""What llmops did, told where people of the cluster look: as events of the objects it did it to.

`kubectl describe rayservice` and `kubectl get events` then tell the story of a release. An event is
only told: nothing depends on one, and a user who may make none loses nothing else.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

from clusters import names
from clusters.model import Manifest
from clusters.ports import Writer
from llmops.errors import LlmopsError

MOST = 1000
"""Characters of a message; the API takes 1,024 bytes."""


def note(client: Writer, regarding: Manifest, reason: str, message: str) -> None:
    """Tell one thing about an object.

    Args:
        client: Where to.
        regarding: The object.
        reason: One word for machines, such as `Shifted`.
        message: For people.
    """
    try:
        client.create(event(regarding, reason, message, time.time()))
    except LlmopsError:  # what was done is done, told or not
        return


def event(regarding: Manifest, reason: str, message: str, now: float) -> Manifest:
    """The event as an object of the API."""
    meta = regarding["metadata"]
    when = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meta['name']}.{secrets.token_hex(8)}",
            "namespace": meta["namespace"],
            "labels": {names.MANAGED_BY: names.MANAGER},
        },
        "involvedObject": {
            "apiVersion": regarding["apiVersion"],
            "kind": regarding["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta.get("uid", ""),
        },
        "reason": reason,
        "message": message[:MOST],
        "type": "Normal",
        "source": {"component": names.MANAGER},
        "firstTimestamp": when,
        "lastTimestamp": when,
        "count": 1,
    }
