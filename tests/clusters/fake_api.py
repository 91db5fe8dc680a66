"""Objects with resourceVersions, as an API server keeps them: no defaults, no admission.

Enough for what is written by compare-and-swap. Real servers are asked in tests/kubernetes.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping

from clusters.model import Manifest
from llmops.releases import Conflict

NOTHING: Mapping[str, str] = {}


class FakeApi:
    """Implements `clusters.kept.Keeper`. Threads may use it at once."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Manifest] = {}
        self.writes = 0
        self.before_write: Callable[[], None] = lambda: None
        """Called before a write takes the lock: another writer, or a failure."""
        self._lock = threading.Lock()
        self._version = 0

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        with self._lock:
            return copy.deepcopy(self.objects.get((kind, namespace, name)))

    def list(
        self, kind: str, namespace: str = "", labels: Mapping[str, str] = NOTHING
    ) -> list[Manifest]:
        with self._lock:
            return [
                copy.deepcopy(found)
                for (of, where, _), found in self.objects.items()
                if of == kind
                and where == namespace
                and labels.items() <= (found["metadata"].get("labels") or {}).items()
            ]

    def create(self, manifest: Manifest) -> Manifest:
        self.before_write()
        with self._lock:
            if _key(manifest) in self.objects:
                raise Conflict("it exists")
            if manifest["metadata"].get("resourceVersion"):
                raise ValueError("resourceVersion should not be set on objects to be created")
            return self._store(manifest)

    def replace(self, manifest: Manifest) -> Manifest:
        self.before_write()
        with self._lock:
            found = self.objects.get(_key(manifest))
            version = manifest["metadata"]["resourceVersion"]
            if found is None or found["metadata"]["resourceVersion"] != version:
                raise Conflict("somebody else wrote or deleted it")
            return self._store(manifest)

    def delete(self, kind: str, name: str, namespace: str = "") -> bool:
        self.before_write()
        with self._lock:
            return self.objects.pop((kind, namespace, name), None) is not None

    def edit(
        self, kind: str, name: str, namespace: str, change: Callable[[Manifest], None]
    ) -> None:
        """What somebody does with kubectl behind our back."""
        with self._lock:
            found = self.objects[(kind, namespace, name)]
            change(found)
            self._store(found)

    def _store(self, manifest: Manifest) -> Manifest:
        self._version += 1
        self.writes += 1
        stored = copy.deepcopy(manifest)
        stored["metadata"]["resourceVersion"] = str(self._version)
        self.objects[_key(manifest)] = stored
        return copy.deepcopy(stored)


def _key(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["namespace"], metadata["name"]
