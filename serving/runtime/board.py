"""A board in Ray's own store: gateways post what is asked for, the autoscaler what it decides.

Serve's controller asks the autoscaler ten times a second, in the loop that keeps all applications
alive; so nothing there may wait for another actor. A look into this store takes a millisecond. What
is posted is small and holds no text of a client. Figures of the load are worth nothing after some
seconds. How long a replica takes to start is kept by service: it outlives the autoscaler's memory,
which Serve drops with its controller and begins anew for each release.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from ray.experimental import internal_kv

NAMESPACE = b"llmops"
FRESH = 5.0
"""Seconds after which a gateway's figures say nothing any more."""
SECRET = 32
"""Bytes of a secret."""


def post_load(application: str, gateway: str, figures: dict[str, Any]) -> None:
    """Post what a gateway knows of the load of a release's application; `at` in Unix seconds."""
    _put(f"load/{application}/{gateway}", figures)


def loads(application: str, now: float) -> dict[str, dict[str, Any]]:
    """Fresh figures by gateway."""
    return _fresh(f"load/{application}/", now)


def post_quarantine(gateway: str, told: dict[str, Any]) -> None:
    """Post the digests of what a gateway suspects and refuses; `at` in Unix seconds."""
    _put(f"quarantine/{gateway}", told)


def quarantines(now: float) -> dict[str, dict[str, Any]]:
    """What was posted so lately, by gateway."""
    return _fresh("quarantine/", now)


def _fresh(prefix: str, now: float) -> dict[str, dict[str, Any]]:
    found = {}
    for key in internal_kv._internal_kv_list(prefix, namespace=NAMESPACE):  # noqa: SLF001 - Ray's only way
        figures = _get(key)
        if figures is not None and abs(now - figures["at"]) <= FRESH:
            found[key.decode().removeprefix(prefix)] = figures
    return found


def post_decision(application: str, decision: dict[str, Any]) -> None:
    """Post how many replicas there are to be, and why."""
    _put(f"decision/{application}", decision)


def decision(application: str) -> dict[str, Any] | None:
    """The last decision on a release's application; None when there was none."""
    return _get(f"decision/{application}".encode())


def post_startup(service: str, seconds: float) -> None:
    """Post how long a replica of the service takes to start, as it was measured last."""
    _put(f"startup/{service}", {"seconds": seconds})


def startup(service: str) -> float | None:
    """How long a replica of the service takes to start; None before it was ever measured here."""
    found = _get(f"startup/{service}".encode())
    return None if found is None else float(found["seconds"])


def secret(name: str) -> bytes:
    """Random bytes that all processes of the runtime share, and that go no further: made by whoever
    asks for the name first."""
    key = f"secret/{name}"
    internal_kv._internal_kv_put(  # noqa: SLF001
        key, secrets.token_bytes(SECRET), overwrite=False, namespace=NAMESPACE
    )
    found: bytes = internal_kv._internal_kv_get(  # noqa: SLF001
        key.encode(), namespace=NAMESPACE
    )
    return found


def _put(key: str, document: dict[str, Any]) -> None:
    value = json.dumps(document).encode()
    internal_kv._internal_kv_put(key, value, overwrite=True, namespace=NAMESPACE)  # noqa: SLF001


def _get(key: bytes) -> dict[str, Any] | None:
    value = internal_kv._internal_kv_get(key, namespace=NAMESPACE)  # noqa: SLF001
    if not value:
        return None
    document: dict[str, Any] = json.loads(value)
    return document
