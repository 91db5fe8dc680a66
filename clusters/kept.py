"""Objects that hold llmops' own state: what is asked of a cluster for them, and how they look.

They are written whole, by compare-and-swap of resourceVersion, because two writers that merge a
history or a lock would both believe that they won. What others put on the same object (labels,
annotations, owners) stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from clusters import names
from clusters.model import Manifest
from llmops.errors import InputError
from llmops.spec import DNS_LABEL


class Keeper(Protocol):
    """The part of a cluster's client that keeping state takes (see `clusters.ports.Writer`)."""

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None: ...

    def list(
        self, kind: str, namespace: str = "", labels: Mapping[str, str] = ...
    ) -> list[Manifest]: ...

    def create(self, manifest: Manifest) -> Manifest:
        """Raises `Conflict` when there is one of that name."""
        ...

    def replace(self, manifest: Manifest) -> Manifest:
        """Raises `Conflict` when somebody else wrote or deleted it."""
        ...


def labels(service: str, component: str) -> dict[str, str]:
    """Labels of an object with state of `service`."""
    return {
        names.NAME: names.MANAGER,
        names.INSTANCE: service,
        names.COMPONENT: component,
        names.MANAGED_BY: names.MANAGER,
        names.SERVICE: service,
    }


def blank(kind: str, name: str, namespace: str) -> Manifest:
    """An object that does not exist yet, without content."""
    group = {"Lease": "coordination.k8s.io/v1"}.get(kind, "v1")
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": namespace}}


def marked(
    found: Manifest, service: str, component: str, annotations: Mapping[str, str] | None = None
) -> Manifest:
    """The object with our labels and `annotations` beside those that others gave it."""
    metadata = found["metadata"]
    ours = {"labels": {**(metadata.get("labels") or {}), **labels(service, component)}}
    if annotations:
        ours["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    return {**found, "metadata": {**metadata, **ours}}


def version_of(found: Manifest) -> str:
    """The object's resourceVersion: opaque, another after every write."""
    return str(found["metadata"]["resourceVersion"])


def checked_name(service: str) -> str:
    """The name, when it can be a part of an object's name: it may come from a command line.

    Raises:
        InputError: When it cannot.
    """
    if not re.fullmatch(DNS_LABEL, service):
        raise InputError(
            f"{service!r} is no name of a service",
            hint="lower-case letters, digits and hyphens, at most 40, a letter first",
        )
    return service
