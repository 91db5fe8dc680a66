"""What makes two plans the same release, and two sets of facts the same facts. Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from llmops.planning.model import Facts
from llmops.spec import Deployment


def digest(value: Any) -> str:
    """SHA-256 over canonical JSON, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(deployment: Deployment, facts: Facts) -> str:
    """Digest of what the user asked for, the model's revision and the engine's version.

    What was free on the machine is left out: the same file deployed twice is the same release.
    """
    asked = deployment.model_dump(mode="json")
    return digest([asked, facts.model.revision, facts.engine_version])


def facts_digest(facts: Facts) -> str:
    """Digest of the facts that a plan depends on, less those that move by themselves.

    Free memory and disk change from second to second, so only what has been installed counts; the
    live releases count, because a plan made beside them holds only while they are there.
    """
    model, machine = facts.model, facts.machine
    return digest(
        {
            "model": [model.source, model.revision, model.parameters, model.weight_bytes],
            "machine": [machine.cores, machine.memory, [gpu.name for gpu in machine.gpus]],
            "port": [machine.port_owner == "", machine.endpoint_port, machine.endpoint_host],
            "live": sorted([r.service, r.number, r.identity] for r in facts.live),
            "engine": facts.engine_version,
        }
    )
