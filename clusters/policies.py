"""The policies of a namespace: one ConfigMap, written by compare-and-swap.

It is made to be read with kubectl too: `summary` is a table for people, and each version of a
policy has a key of its own. One that somebody damaged is reported by object and key; nothing in it
is guessed, because a shelf that is taken for an empty one checks nothing. An object of the API is
bounded, so old versions are dropped; policies that fit even so no more are refused.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

from clusters import names
from clusters.kept import Keeper, blank, version_of
from clusters.model import Manifest
from llmops.errors import RefusedError, TargetError
from llmops.policies import Applied, Shelf, dumps, loads
from llmops.releases import Conflict

COMPONENT = "policies"
NAME = "llmops-policies"
SUMMARY = "summary"

MOST_BYTES = 700 * 1024
"""Bytes of all versions as JSON. The API takes 1 MiB for a ConfigMap's data, and etcd 1.5 MiB for
the whole object; the rest is left for the summary and for what others put on it."""

_KEY = re.compile(r"(?P<order>[0-9]{6})-(?P<name>[a-z][-a-z0-9]*)-v(?P<version>[1-9][0-9]*)\.json")


class ConfigMapPolicyStore:
    """Implements `llmops.policies.PolicyStore` in a namespace.

    A version is the ConfigMap's resourceVersion, so that any edit of it is a change.
    """

    def __init__(self, client: Keeper, namespace: str) -> None:
        self._client = client
        self._namespace = namespace

    def read(self) -> tuple[Shelf, str]:
        """The shelf and its version; an empty one and `''` when there is none.

        Raises:
            TargetError: When the ConfigMap is damaged; names the key.
        """
        found = self._found()
        if found is None:
            return Shelf(), ""
        data = found.get("data") or {}
        keys = sorted(key for key in data if key != SUMMARY)
        return Shelf(tuple(self._entry(key, data[key]) for key in keys)), version_of(found)

    def write(self, shelf: Shelf, version: str) -> str:
        """Store the shelf if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
            RefusedError: When what must be kept of it is larger than an object may be.
        """
        data = _data(shelf)
        found = self._found()
        if (version_of(found) if found else "") != version:
            raise Conflict("the record of policies was written by somebody else")
        before = found or blank("ConfigMap", NAME, self._namespace)
        send = self._client.replace if found else self._client.create
        return version_of(send(_marked(before) | {"data": data}))

    def _found(self) -> Manifest | None:
        return self._client.get("ConfigMap", NAME, self._namespace)

    def _entry(self, key: str, text: str) -> Applied:
        """The version of a policy that a key holds."""
        try:
            shelf = loads(json.dumps({"entries": [json.loads(text)]}))
            entry = shelf.entries[0]
            match = _KEY.fullmatch(key)
            if match is None or (match["name"], match["version"]) != _names(entry):
                raise ValueError(f"it is version {entry.version} of {entry.name}")
        except ValueError as error:
            raise self._damaged(key) from error
        return entry

    def _damaged(self, key: str) -> TargetError:
        return TargetError(
            f"the record of policies is damaged: key '{key}' of ConfigMap {NAME} in namespace"
            f" {self._namespace} does not hold that version",
            hint=f"kubectl -n {self._namespace} edit configmap {NAME}: mend the key, or take it out"
            " and apply the policy again",
        )


def _names(entry: Applied) -> tuple[str, str]:
    return entry.name, str(entry.version)


def _marked(found: Manifest) -> Manifest:
    """The object with our labels beside those that others gave it."""
    metadata = found["metadata"]
    ours = {
        names.NAME: names.MANAGER,
        names.COMPONENT: COMPONENT,
        names.MANAGED_BY: names.MANAGER,
    }
    return {**found, "metadata": {**metadata, "labels": {**(metadata.get("labels") or {}), **ours}}}


def _data(shelf: Shelf) -> dict[str, str]:
    """What the ConfigMap holds.

    Raises:
        RefusedError: When it would be too large.
    """
    kept = shelf.within(MOST_BYTES)
    texts = {_key(at, entry): _text(entry) for at, entry in enumerate(kept.entries, 1)}
    size = sum(len(text.encode()) for text in texts.values())
    if size > MOST_BYTES:
        raise RefusedError(
            f"the policies that hold do not fit into a ConfigMap: they have {-(-size // 1024)} KiB,"
            f" at most {MOST_BYTES // 1024} KiB are taken",
            hint="make them shorter, or remove one",
        )
    return {SUMMARY: _summary(kept), **texts}


def _key(at: int, entry: Applied) -> str:
    return f"{at:06}-{entry.name}-v{entry.version}.json"


def _text(entry: Applied) -> str:
    """One version as the codec's JSON."""
    return json.dumps(json.loads(dumps(Shelf((entry,))))["entries"][0], indent=1)


def _summary(shelf: Shelf) -> str:
    """A table for people, newest first. No line ends in a space: kubectl would show it quoted."""
    rows = [("POLICY", "VERSION", "APPLIED", "BY", "")]
    holding = shelf.holding()
    for entry in reversed(shelf.entries):
        applied = datetime.fromtimestamp(entry.applied_at, UTC)
        ended = "removed" if entry.removed_at is not None else "replaced"
        state = "holds" if entry in holding else ended
        by = " ".join(entry.applied_by.split())
        rows.append((*_names(entry), f"{applied:%Y-%m-%d %H:%M} UTC", by, state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)
