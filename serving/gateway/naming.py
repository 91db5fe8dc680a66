"""Model names: a service's own, and those of the adapters that its releases have beside it.

A name chooses inside of a release; which release answers is chosen by shares among those that have
the name. While two releases share the traffic, a name that only one of them has is that one's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.gateway.config import Service, Share


def holders(services: Mapping[str, Service]) -> dict[str, str]:
    """Every model name, and the service that it is of.

    Plans see to it that a name is one service's alone. Where two hold it all the same, because both
    were planned at once, a service's own name is its own, and any other is the first's.
    """
    found = {name: name for name in services}
    for service, table in sorted(services.items()):
        for share in table.releases:
            for model in share.models:
                found.setdefault(model, service)
    return found


def answering(table: Service, model: str) -> list[Share]:
    """The releases that answer to a name; empty stands for the service's own, which all have."""
    return [share for share in table.releases if not model or model in share.models]


def served(table: Service, name: str) -> bool:
    """Whether a name is answered to now: an adapter's is, where a release with traffic has it."""
    having = [share for share in table.releases if name in share.models]
    return not having or any(share.share for share in having)


def entry(model: str, holder: str, table: Service) -> dict[str, Any]:
    """A model as `/v1/models` lists it; the adapter of a service has it as its parent."""
    return {
        "id": model,
        "object": "model",
        "created": 0,
        "owned_by": "llmops",
        "root": holder,
        "parent": None if model == holder else holder,
        "max_model_len": table.context,
    }


__all__ = ["answering", "entry", "holders", "served"]
