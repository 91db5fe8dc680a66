"""Server-side apply of many objects: looked at first, then written in order, or not at all.

Everything is dry-run by the server before anything is written, so that one refused object leaves
the others as they were. What is already as it should be is not written. It refuses to write over
what others own, and over what has changed since it was shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeVar

from clusters import names
from clusters.difference import FieldChange, differences, fingerprint
from clusters.model import Manifest
from clusters.ownership import has_our_mark, ours
from clusters.ports import Reader, Writer
from clusters.resources import resource
from clusters.trouble import Changed, Conflicted, Forbidden, NotServed, Owned
from llmops.errors import LlmopsError, RefusedError
from llmops.releases import Conflict

Key = tuple[str, str, str]
"""Kind, namespace and name of an object."""

Verb = Literal["create", "update", "unchanged", "prune"]

THREADS = 8
"""Requests at a time: enough to hide the way to the server, few enough not to press it."""

TRIES = 5
"""How often a write is made again because only the object's status was written in between."""

PROTECTED = frozenset({"ConfigMap", "Lease", "PersistentVolumeClaim", "Secret"})
"""Kinds that hold state: never pruned, only deleted by name."""

_RANKS = (
    {"Namespace", "PriorityClass"},
    {"ResourceQuota", "NetworkPolicy", "ServiceAccount", "Role"},
    {"ConfigMap", "LocalQueue", "PersistentVolumeClaim", "PodDisruptionBudget", "RoleBinding",
     "Secret"},
    {"RayService"},
)  # fmt: skip
"""What is written before what: bounds and rights before pods, everything else at last."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes, or became, of one object."""

    kind: str
    namespace: str
    name: str
    verb: Verb
    fields: tuple[FieldChange, ...] = ()
    """What differs, of an update."""
    conflicts: tuple[Owned, ...] = ()
    """Fields that others own and that it would set to other values."""
    seen: str = ""
    """Fingerprint of the object as it was, whatever its status; empty when there was none."""

    @property
    def key(self) -> Key:
        return self.kind, self.namespace, self.name

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Look:
    """An object as it should be, as it is, and what would become of it."""

    wanted: Manifest
    before: Manifest | None
    change: Change
    retake: bool = False
    """Whether fields have to be taken over from llmops' own writes of another way (`Update`)."""


def key_of(manifest: Manifest) -> Key:
    """The key of a manifest's object."""
    meta = manifest["metadata"]
    namespace = meta.get("namespace", "") if resource(manifest["kind"]).namespaced else ""
    return str(manifest["kind"]), str(namespace), str(meta["name"])


def preview(client: Reader, manifests: Sequence[Manifest]) -> tuple[Change, ...]:
    """What `apply_all` would do, as the server itself says it; nothing is changed.

    Raises:
        RefusedError: When the server refuses objects; all of them are named.
    """
    return tuple(look.change for look in _looks(client, manifests))


def apply_all(
    client: Writer,
    manifests: Sequence[Manifest],
    *,
    expected: Mapping[Key, str] | None = None,
    force: bool = False,
) -> tuple[Change, ...]:
    """Make every object as its manifest says; the second time, nothing is written.

    Args:
        client: Where to.
        manifests: The objects, in any order.
        expected: `seen` of the objects as a preview showed them, by key; those that are not in it
            are not compared.
        force: Whether fields that others own are taken over.

    Raises:
        Conflicted: When others own fields that would be set, without `force`.
        Changed: When an object is not as `expected`, or changed while this ran.
        RefusedError: When the server refuses an object. Nothing was written then.
    """
    looks = _looks(client, manifests)
    _check_expected(looks, expected or {})
    if not force:
        changes = [look.change for look in looks]
        refuse_conflicts(changes, _service(manifests))
    waiting = [look for look in looks if look.change.verb != "unchanged"]
    waiting.sort(key=lambda look: _rank(look.change.kind))
    for _, rank in groupby(waiting, key=lambda look: _rank(look.change.kind)):
        each(lambda look: _write(client, look, force=force), list(rank))
    return tuple(look.change for look in looks)


def refuse_conflicts(changes: Sequence[Change], service: str) -> None:
    """Refuse what would write over others' fields.

    Raises:
        Conflicted: Naming each field and its owner.
    """
    held = [change for change in changes if change.conflicts]
    if not held:
        return
    told = "; ".join(
        f"{change}: "
        + ", ".join(f"{one.field} is set by {one.manager}" for one in change.conflicts)
        for change in held
    )
    raise Conflicted(
        f"others have set fields that llmops would set to other values: {told}",
        hint=f"`llmops diff {service}` shows them; `--take-ownership` sets them all the same",
        owned=tuple(one for change in held for one in change.conflicts),
    )


def extra(
    client: Reader, namespace: str, service: str, keep: Iterable[Key], kinds: Iterable[str]
) -> tuple[Manifest, ...]:
    """Objects of the service that llmops made and that are not in `keep`; protected kinds never.

    Without our labels, or without our field manager, an object is somebody else's.
    """
    kept, asked = set(keep), [kind for kind in kinds if kind not in PROTECTED]
    found = each(lambda kind: _listed(client, kind, namespace, service), asked)
    return tuple(
        one
        for objects in found
        for one in objects
        if key_of(one) not in kept and _prunable(one, service)
    )


def prune(
    client: Writer, namespace: str, service: str, keep: Iterable[Key], kinds: Iterable[str]
) -> tuple[Change, ...]:
    """Delete what `extra` finds, each only if it is still ours."""
    gone = extra(client, namespace, service, keep, kinds)
    done = each(lambda one: _prune(client, one, service), gone)
    return tuple(change for change in done if change is not None)


def pruned(manifest: Manifest) -> Change:
    """The change that the deletion of an object is."""
    return Change(*key_of(manifest), "prune", seen=fingerprint(manifest))


# Looking.


def _looks(client: Reader, manifests: Sequence[Manifest]) -> list[_Look]:
    known = _known(client, manifests)
    errors: list[LlmopsError] = []

    def look(wanted: Manifest) -> _Look | None:
        try:
            return _look(client, wanted, known.get(key_of(wanted)))
        except RefusedError as error:
            errors.append(error)
            return None

    found = each(look, manifests)
    if errors:
        raise _refused(errors)
    return [one for one in found if one is not None]


def _known(client: Reader, manifests: Sequence[Manifest]) -> dict[Key, Manifest]:
    """What is there already, by one list for each kind where there are several of it.

    Only to save requests: what is not found here is asked for by name.
    """
    places = [key_of(manifest)[:2] for manifest in manifests]
    often = sorted({place for place in places if places.count(place) > 1})

    def listed(place: tuple[str, str]) -> list[Manifest]:
        try:
            return client.list(*place, {names.MANAGED_BY: names.MANAGER})
        except (Forbidden, NotServed):
            return []

    return {key_of(one): one for objects in each(listed, often) for one in objects}


def _look(client: Reader, wanted: Manifest, known: Manifest | None) -> _Look:
    owned: tuple[Owned, ...] = ()
    try:
        after = client.dry_run(wanted)
    except Conflicted as error:
        owned = error.owned
        after = client.dry_run(wanted, force=True)
    conflicts = tuple(one for one in owned if one.manager != names.MANAGER)
    before = _before(client, wanted, known, after)
    if before is None:
        return _Look(wanted, None, Change(*key_of(wanted), "create"))
    fields = differences(before, after)
    same = not fields and ours(before) == ours(after)
    verb: Verb = "unchanged" if same else "update"
    change = Change(*key_of(wanted), verb, fields, conflicts, fingerprint(before))
    return _Look(wanted, before, change, retake=bool(owned) and not conflicts)


def _before(
    client: Reader, wanted: Manifest, known: Manifest | None, after: Manifest
) -> Manifest | None:
    """The object that a dry run started from."""
    version = after["metadata"].get("resourceVersion")
    if not version:
        return None  # A dry run that creates gives no version.
    if known and known["metadata"]["resourceVersion"] == version:
        return known
    kind, namespace, name = key_of(wanted)
    return client.get(kind, name, namespace)


def _refused(errors: list[LlmopsError]) -> LlmopsError:
    if len({error.message for error in errors}) == 1:
        return errors[0]
    told = "\n".join(f"- {error.message}" for error in errors)
    return RefusedError(
        f"the API server refuses {len(errors)} objects:\n{told}",
        hint=next((error.hint for error in errors if error.hint), ""),
    )


def _check_expected(looks: list[_Look], expected: Mapping[Key, str]) -> None:
    moved = [
        str(look.change)
        for look in looks
        if expected.get(look.change.key, look.change.seen) != look.change.seen
    ]
    if moved:
        raise Changed(
            f"changed since the plan was shown: {', '.join(moved)}",
            hint="look at the plan again; nothing was changed",
        )


def _service(manifests: Sequence[Manifest]) -> str:
    """The service's name, for messages."""
    labels = (manifest["metadata"].get("labels") or {} for manifest in manifests)
    return next((one[names.SERVICE] for one in labels if names.SERVICE in one), "NAME")


# Writing.


def _rank(kind: str) -> int:
    return next((at for at, kinds in enumerate(_RANKS) if kind in kinds), len(_RANKS))


def _write(client: Writer, look: _Look, *, force: bool) -> Manifest:
    """Write an object if it is still as it was looked at; its status may have moved on."""
    now, take = look.before, force or look.retake
    for _ in range(TRIES):
        try:
            return client.apply(_pinned(look.wanted, now), force=take)
        except Changed:
            kind, namespace, name = look.change.key
            now = client.get(kind, name, namespace)
            if now is None or fingerprint(now) != look.change.seen:
                raise
    raise Changed(
        f"{look.change} is written all the time by somebody else",
        hint="run it again; `kubectl get --show-managed-fields` tells who writes it",
    )


def _pinned(wanted: Manifest, now: Manifest | None) -> Manifest:
    """The manifest for this state of the object only: changed or deleted since, it is refused."""
    if now is None:
        return wanted
    pins = {name: now["metadata"][name] for name in ("uid", "resourceVersion")}
    return {**wanted, "metadata": {**wanted["metadata"], **pins}}


def _listed(client: Reader, kind: str, namespace: str, service: str) -> list[Manifest]:
    labels = {names.MANAGED_BY: names.MANAGER, names.SERVICE: service}
    try:
        if resource(kind).namespaced:
            return client.list(kind, namespace, labels)
        # A service of this name may be in another namespace too: the object's name tells.
        own = f"{names.MANAGER}-{namespace}-{service}-"
        return [o for o in client.list(kind, "", labels) if o["metadata"]["name"].startswith(own)]
    except (Forbidden, NotServed):
        # Whoever may not see a kind has made none of it for the service.
        return []


def _prunable(found: Manifest, service: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    marked = labels.get(names.MANAGED_BY) == names.MANAGER and labels.get(names.SERVICE) == service
    ending = "deletionTimestamp" in found["metadata"]
    return marked and not ending and has_our_mark(found)


def _prune(client: Writer, found: Manifest, service: str) -> Change | None:
    kind, namespace, name = key_of(found)
    now: Manifest | None = found
    for _ in range(TRIES):
        if now is None or not _prunable(now, service):
            return None
        meta = now["metadata"]
        try:
            client.delete(
                kind,
                name,
                namespace,
                uid=meta["uid"],
                resource_version=meta["resourceVersion"],
            )
        except Conflict:
            now = client.get(kind, name, namespace)
        else:
            return pruned(now)
    raise Changed(f"{kind}/{name} is written all the time by somebody else")


def each(act: Callable[[_In], _Out], items: Sequence[_In]) -> list[_Out]:
    """Results in the order of `items`. All are tried before an error of one is raised."""
    if len(items) < 2:
        return [act(item) for item in items]
    with ThreadPoolExecutor(min(THREADS, len(items))) as pool:
        return list(pool.map(act, items))
