"""Who set which field of an object, and when: what `metadata.managedFields` says. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.difference import Path, key
from clusters.model import Manifest
from clusters.names import MANAGER


@dataclass(frozen=True, slots=True)
class Owner:
    """One writer of an object. `time` is RFC 3339, of its last change."""

    manager: str
    operation: str
    """`Apply` or `Update`."""
    time: str
    paths: frozenset[Path]
    """The fields it owns, in segments."""

    @property
    def ours(self) -> bool:
        """Whether it is what llmops applies; what llmops writes whole is not."""
        return self.manager == MANAGER and self.operation == "Apply"

    def owns(self, path: Path) -> bool:
        """Whether it owns the field, or all that the field is a part of."""
        return any(path[:length] in self.paths for length in range(len(path), 0, -1))


def owners(manifest: Manifest) -> tuple[Owner, ...]:
    """Everybody who set fields of the object itself; writers of its status are left out."""
    return tuple(
        Owner(
            str(entry.get("manager", "")),
            str(entry.get("operation", "")),
            str(entry.get("time", "")),
            frozenset(_paths((), entry.get("fieldsV1") or {})),
        )
        for entry in manifest["metadata"].get("managedFields") or ()
        if not entry.get("subresource")
    )


def ours(manifest: Manifest) -> frozenset[Path]:
    """The fields that llmops has applied; empty for an object that it never applied."""
    return frozenset(path for owner in owners(manifest) if owner.ours for path in owner.paths)


def has_our_mark(manifest: Manifest) -> bool:
    """Whether llmops has ever written the object, in whichever way."""
    entries = manifest["metadata"].get("managedFields") or ()
    return any(entry.get("manager") == MANAGER for entry in entries)


def _paths(above: Path, fields: Mapping[str, Any]) -> Iterator[Path]:
    """Leaves of a `fieldsV1` set, and what is owned as a whole (`.`)."""
    for name, inner in fields.items():
        if name == ".":
            continue
        path = (*above, _segment(name))
        if not inner:
            yield path
        else:
            yield from _paths(path, inner)


def _segment(name: str) -> str:
    form, _, said = name.partition(":")
    if form == "f":
        return said
    if form == "k":
        item = json.loads(said)
        return key(item, tuple(item))
    return f"[{said}]" if form == "i" else f"[={said}]"
