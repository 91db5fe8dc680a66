"""How the cluster differs from the release: what others changed, who and when; what is missing.

The server itself says what applying the release would change, so defaults are no drift. Text is the
command line's business.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clusters.apply import each, extra, key_of
from clusters.difference import Path, cleaned, key, shown, split, text
from clusters.model import Manifest
from clusters.names import MANAGER
from clusters.ownership import Owner, owners
from clusters.ports import Reader

State = Literal["changed", "missing", "extra"]

_NOT_TOLD = frozenset({("finalizers",), ("ownerReferences",)})
"""Fields of `metadata` that controllers add to what they look after."""

_NOBODY = frozenset(
    {"cloud-controller-manager", "kube-controller-manager", "kube-scheduler", "kubelet"}
)
"""Parts of Kubernetes itself: what they add to an object is their work, and no edit."""


@dataclass(frozen=True, slots=True)
class FieldDrift:
    """A field that is not as the release says. None stands for a field that is not set."""

    path: str
    wanted: object
    found: object
    manager: str
    """Who set it; empty when nobody can be told, as after a field was taken away."""
    operation: str
    """`Apply` or `Update`."""
    time: str
    """When, in RFC 3339; of the manager's last change of the object."""
    ours: bool
    """Whether the release sets the field too, so that applying it would change it back."""


@dataclass(frozen=True, slots=True)
class Drift:
    """An object that is not as the release says. `extra` ones are ours, and in no release."""

    kind: str
    namespace: str
    name: str
    state: State
    fields: tuple[FieldDrift, ...] = ()


def drift(
    client: Reader,
    manifests: Sequence[Manifest],
    *,
    service: str,
    namespace: str,
    kinds: Iterable[str] = (),
) -> tuple[Drift, ...]:
    """How the cluster differs from the manifests of a service; extra objects among `kinds`."""
    found = each(lambda wanted: _compared(client, wanted), manifests)
    keep = [key_of(manifest) for manifest in manifests]
    more = extra(client, namespace, service, keep, kinds)
    return (*(d for d in found if d), *(Drift(*key_of(one), "extra") for one in more))


def compare(
    desired: Manifest, live: Manifest | None, dry_run_result: Manifest | None
) -> Drift | None:
    """How one object differs; None when it does not.

    Args:
        desired: As the release says.
        live: As it is; None when it is missing.
        dry_run_result: What applying `desired` by force would make of it.
    """
    if live is None or dry_run_result is None:
        return Drift(*key_of(desired), "missing")
    writers = owners(live)
    # Others first: a field that is still ours alone was set by an earlier release.
    ordered = sorted(writers, key=lambda owner: owner.ours)
    changed = {
        path: _field(path, found, wanted, ordered, ours=True)
        for path, found, wanted in split(live, dry_run_result)
    }
    told = [*changed.values(), *_added(desired, live, writers, set(changed))]
    return Drift(*key_of(desired), "changed", tuple(told)) if told else None


def _compared(client: Reader, wanted: Manifest) -> Drift | None:
    kind, namespace, name = key_of(wanted)
    live = client.get(kind, name, namespace)
    return compare(wanted, live, client.dry_run(wanted, force=True) if live else None)


def _added(
    desired: Manifest, live: Manifest, writers: Sequence[Owner], changed: set[Path]
) -> list[FieldDrift]:
    """Fields that others set and that the release leaves open."""
    mine = [owner for owner in writers if owner.ours]
    visible = cleaned(live)
    found: dict[Path, FieldDrift] = {}
    for owner in writers:
        if owner.manager in _NOBODY or owner.manager == MANAGER:
            continue
        for path in sorted(owner.paths - changed):
            value = _at(visible, path)
            stated = any(one.owns(path) for one in mine) or _at(desired, path) is not None
            if value is None or stated or _below(path, changed) or path[1:2] in _NOT_TOLD:
                continue
            found[path] = _field(path, value, None, [owner], ours=False)
    return [found[path] for path in sorted(found)]


def _field(
    path: Path, found: object, wanted: object, writers: Sequence[Owner], *, ours: bool
) -> FieldDrift:
    owner = next((one for one in writers if one.owns(path)), None) or _inside(path, writers)
    return FieldDrift(
        path=text(path),
        wanted=wanted,
        found=shown(found),
        manager=owner.manager if owner else "",
        operation=owner.operation if owner else "",
        time=owner.time if owner else "",
        ours=ours,
    )


def _inside(path: Path, writers: Sequence[Owner]) -> Owner | None:
    """The owner of something within the field, when nobody owns all of it."""
    within = (o for o in writers if any(p[: len(path)] == path for p in o.paths))
    return next(within, None)


def _below(path: Path, above: set[Path]) -> bool:
    return any(path[:length] in above for length in range(1, len(path)))


def _at(value: Any, path: Path) -> Any:
    """The value at a path; None when there is none, or the path leads into a plain list."""
    for segment in path:
        if isinstance(value, dict):
            value = value.get(segment)
        elif isinstance(value, list):
            value = _item(value, segment)
        else:
            return None
    return value


def _item(items: list[Any], segment: str) -> Any:
    if segment.startswith("[="):
        return next((one for one in items if f"[={json.dumps(one)}]" == segment), None)
    names = tuple(part.partition("=")[0] for part in segment[1:-1].split(","))
    return next((o for o in items if isinstance(o, dict) and key(o, names) == segment), None)
