"""The release store of a cluster: one ConfigMap per service, written by compare-and-swap.

It is made to be read with kubectl too: `summary` is a table for people, and each release has a key
of its own. One that somebody damaged is reported by object and key; nothing in it is guessed, and
it is not overwritten by a writer that has not read it. An object of the API is bounded, so old
releases are dropped; a history that fits even so no more is refused before anything is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from clusters import names
from clusters.kept import Keeper, blank, checked_name, marked, version_of
from clusters.model import Manifest
from clusters.pruning import pruned
from llmops.errors import RefusedError, TargetError
from llmops.releases import Conflict, History, Release, dumps, loads

COMPONENT = "history"
SUMMARY = "summary"

MOST_BYTES = 700 * 1024
"""Bytes of all releases as JSON. The API takes 1 MiB for a ConfigMap's data, and etcd 1.5 MiB for
the whole object; the rest is left for the summary and for what others put on it."""

REASON_LENGTH = 80
_KEY = re.compile(r"release-([1-9][0-9]*)\.json")


class ConfigMapReleaseStore:
    """Implements `llmops.releases.ReleaseStore` in a namespace.

    A version is the ConfigMap's resourceVersion, so that any edit of it is a change.
    """

    def __init__(self, client: Keeper, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def read(self, service: str) -> tuple[History, str]:
        """The history and its version; an empty one and `''` when there is none.

        Raises:
            InputError: When `service` is no name of a service.
            TargetError: When the ConfigMap is damaged; names the key.
        """
        found = self._found(service)
        if found is None:
            return History(service), ""
        data = found.get("data") or {}
        releases = [self._release(service, key, data[key]) for key in data if _KEY.fullmatch(key)]
        ordered = tuple(sorted(releases, key=lambda release: release.number))
        return History(service, ordered), version_of(found)

    def write(self, history: History, version: str) -> str:
        """Store the history if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
            RefusedError: When what must be kept of it is larger than an object may be.
        """
        data = _data(history)
        service = history.service
        found = self._found(service)
        if (version_of(found) if found else "") != version:
            raise Conflict(f"the record of {service} was written by somebody else")
        before = found or blank("ConfigMap", names.history_map(service), self._namespace)
        manifest = marked(before, service, COMPONENT) | {"data": data}
        send = self._client.replace if found else self._client.create
        return version_of(send(manifest))

    def services(self) -> tuple[str, ...]:
        """Names of the services that have a history, sorted."""
        ours = {names.MANAGED_BY: names.MANAGER, names.COMPONENT: COMPONENT}
        found = self._client.list("ConfigMap", self._namespace, ours)
        services = (item["metadata"]["labels"].get(names.SERVICE) for item in found)
        return tuple(sorted(name for name in services if name))

    def _found(self, service: str) -> Manifest | None:
        name = names.history_map(checked_name(service))
        return self._client.get("ConfigMap", name, self._namespace)

    def _release(self, service: str, key: str, text: str) -> Release:
        """The release that a key holds."""
        try:
            document = {"service": service, "releases": [json.loads(text)]}
            release = loads(json.dumps(document)).releases[0]
            if (release.service, _key(release)) != (service, key):
                raise ValueError(f"it is release {release.number} of {release.service}")
        except ValueError as error:
            raise self._damaged(service, key) from error
        return release

    def _damaged(self, service: str, key: str) -> TargetError:
        name, where = names.history_map(service), f"-n {self._namespace}"
        return TargetError(
            f"the release record is damaged: key '{key}' of ConfigMap {name} in namespace"
            f" {self._namespace} does not hold that release",
            hint=f"kubectl {where} edit configmap {name}: mend the key, or take it out if the"
            " release runs no more",
        )


def _data(history: History) -> dict[str, str]:
    """What the ConfigMap holds.

    Raises:
        RefusedError: When it would be too large.
    """
    texts = {release.number: _text(release) for release in history.releases}
    lengths = {number: len(text.encode()) for number, text in texts.items()}
    kept = pruned(history, MOST_BYTES, lengths)
    sizes = {_key(release): lengths[release.number] for release in kept.releases}
    if sum(sizes.values()) > MOST_BYTES:
        largest = max(sizes, key=lambda key: sizes[key])
        raise RefusedError(
            f"the record of {history.service} does not fit into a ConfigMap: the"
            f" {len(sizes)} releases that must be kept have {_kib(sum(sizes.values()))},"
            f" at most {_kib(MOST_BYTES)} are taken; the largest is {largest} with"
            f" {_kib(sizes[largest])}",
            hint="make the spec smaller (engine.args), or end a release that runs",
        )
    data = {_key(release): texts[release.number] for release in kept.releases}
    return {SUMMARY: _summary(kept.releases), **data}


def _kib(size: int) -> str:
    return f"{-(-size // 1024)} KiB"


def _key(release: Release) -> str:
    return f"release-{release.number}.json"


def _text(release: Release) -> str:
    """One release as the codec's JSON."""
    history = json.loads(dumps(History(release.service, (release,))))
    return json.dumps(history["releases"][0], indent=1, allow_nan=False)


def _summary(releases: Iterable[Release]) -> str:
    """A table for people, newest first. No line ends in a space: kubectl would show it quoted."""
    rows = [("RELEASE", "STATE", "MODEL", "CREATED", "REASON")]
    rows += [_row(release) for release in reversed(tuple(releases))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _row(release: Release) -> tuple[str, str, str, str, str]:
    reason = " ".join(release.reason.split())
    if release.rollback_of is not None:
        reason = f"rollback to {release.rollback_of}{f'; {reason}' if reason else ''}"
    created = datetime.fromtimestamp(release.created_at, UTC)
    return (
        str(release.number),
        release.state.value,
        release.plan.model.source,
        f"{created:%Y-%m-%d %H:%M} UTC",
        reason if len(reason) <= REASON_LENGTH else f"{reason[: REASON_LENGTH - 1]}…",
    )
