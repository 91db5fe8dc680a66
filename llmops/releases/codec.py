"""Releases as JSON: strict in what is written, tolerant in what is read.

A record written by a later version may have fields that this one does not know; they are ignored,
because a history that cannot be read is a service that cannot be rolled back.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from llmops.releases.model import History, Release

_ADAPTER: TypeAdapter[History] = TypeAdapter(History)
_RELEASE: TypeAdapter[Release] = TypeAdapter(Release)


def dumps(history: History) -> str:
    """A history as JSON text."""
    return json.dumps(_ADAPTER.dump_python(history, mode="json"), indent=1, allow_nan=False)


def loads(text: str) -> History:
    """A history from JSON text.

    Raises:
        ValueError: When it is not one.
    """
    return _ADAPTER.validate_json(text)


def release_document(release: Release) -> dict[str, Any]:
    """A release as plain data, for `history -o json`. Times are Unix seconds; `model.adapter`,
    `model.adapters` and `hosted_by` are there only where there are adapters, or another release's
    engine."""
    document: dict[str, Any] = _RELEASE.dump_python(release, mode="json")
    plan = document.pop("plan")
    document["model"] = {"source": plan["model"]["source"], "revision": plan["model"]["revision"]}
    document["identity"] = plan["identity"]
    for name in ("adapter", "adapters"):
        if found := plan["model"][name]:
            document["model"][name] = found
    if release.hosted_by is None:
        del document["hosted_by"]
    return document
