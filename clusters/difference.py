"""How two states of an object differ, field by field. Pure.

What the server keeps for itself (versions, status, who owns which field) is no difference, and what
is in a Secret is never shown: only that it differs. Paths are written as the API server writes them
in conflicts: `.spec.ports[port=8000,protocol="TCP"].name`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clusters.model import Manifest

Path = tuple[str, ...]
"""Segments of a path: `spec`, `[name="a"]`, `[0]`."""

SERVERS_OWN = frozenset({
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
    "managedFields", "resourceVersion", "selfLink", "uid",
})  # fmt: skip
"""Fields of `metadata` that the server writes."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

_KEYS = (
    ("containerPort", "protocol"), ("port", "protocol"), ("mountPath",), ("name",), ("groupName",),
    ("topologyKey", "whenUnsatisfiable"), ("key", "operator", "effect"), ("type",),
)  # fmt: skip
"""By what the items of a list are told apart, as the server does where it merges lists; the first
that is unique in both lists."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field and its two values; None where it is not set."""

    path: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class _Hidden:
    """Stands for a value of a Secret while two are compared."""

    digest: str


def differences(before: Manifest, after: Manifest) -> tuple[FieldChange, ...]:
    """Every field in which two states of an object differ, in the order of the paths."""
    return tuple(FieldChange(text(path), old, new) for path, old, new in split(before, after))


def split(before: Manifest, after: Manifest) -> Iterator[tuple[Path, object, object]]:
    """The same, with paths in segments."""
    for path, old, new in _walk((), cleaned(before), cleaned(after)):
        yield path, shown(old), shown(new)


def shown(value: object) -> object:
    """A value without what must not be seen."""
    if isinstance(value, _Hidden):
        return "(hidden)"
    if isinstance(value, dict):
        return {name: shown(inner) for name, inner in value.items()}
    return value


def cleaned(manifest: Manifest) -> Manifest:
    """An object without what the server keeps for itself, and without a Secret's values."""
    meta = {k: v for k, v in manifest.get("metadata", {}).items() if k not in SERVERS_OWN}
    notes = {k: v for k, v in (meta.pop("annotations", None) or {}).items() if k != LAST_APPLIED}
    if notes:
        meta["annotations"] = notes
    rest = {k: v for k, v in manifest.items() if k not in {"metadata", "status"}}
    if manifest.get("kind") == "Secret":
        rest = {k: _hidden(v) if k in {"data", "stringData"} else v for k, v in rest.items()}
    return {**rest, "metadata": meta}


def fingerprint(manifest: Manifest | None) -> str:
    """Tells whether an object is still as it was seen, whatever its status; empty for none."""
    if manifest is None:
        return ""
    said = {"uid": manifest["metadata"].get("uid"), "object": cleaned(manifest)}
    told = json.dumps(said, sort_keys=True, default=lambda hidden: hidden.digest)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def text(path: Path) -> str:
    """A path as the API server writes it."""
    return "".join(part if part.startswith("[") else f".{part}" for part in path)


def _hidden(values: object) -> object:
    if not isinstance(values, Mapping):
        return values
    return {k: _Hidden(hashlib.sha256(str(v).encode()).hexdigest()) for k, v in values.items()}


def _walk(path: Path, old: Any, new: Any) -> Iterator[tuple[Path, object, object]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _walk((*path, key), old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list):
        before, after = _paired(old, new)
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _walk((*path, key), before.get(key), after.get(key))
    elif old or new or isinstance(old, int) or isinstance(new, int):
        yield path, old, new


def _paired(old: list[Any], new: list[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    for names in _KEYS:
        before, after = (_named(items, names) for items in (old, new))
        if before is not None and after is not None:
            return before, after
    return {f"[{at}]": v for at, v in enumerate(old)}, {f"[{at}]": v for at, v in enumerate(new)}


def _named(items: list[Any], names: tuple[str, ...]) -> dict[str, Any] | None:
    """Items by the fields that tell them apart; None when these do not."""
    if not all(isinstance(item, dict) and names[0] in item for item in items):
        return None
    found = {key(item, names): item for item in items}
    return found if len(found) == len(items) else None


def key(item: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The segment of a list's item, such as `[port=8000,protocol="TCP"]`."""
    said = (f"{name}={json.dumps(item[name])}" for name in sorted(names) if name in item)
    return f"[{','.join(said)}]"
