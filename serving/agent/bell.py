"""The bell: rung after a write that the agent should look at, so that a look costs one read.

It may fail to ring, when its ringer dies in between: the agent looks without it now and then.
"""

from __future__ import annotations

import contextlib
import json
import secrets

from llmops.releases import Conflict
from serving.agent import names
from serving.agent.blobs import NEW, Blobs


def ring(blobs: Blobs) -> None:
    """Ring it.

    Who was quicker has rung it after this caller's own write, since the version was read after
    that: one ring is enough.
    """
    before = blobs.get(names.BELL)
    text = json.dumps({"rung": secrets.token_hex(8)}).encode()
    with contextlib.suppress(Conflict):
        blobs.put(names.BELL, text, before.version if before else NEW)


def heard(blobs: Blobs) -> str:
    """Its version: another one when it was rung."""
    found = blobs.get(names.BELL)
    return found.version if found else NEW
