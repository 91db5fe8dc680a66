"""What the API server wrote down: every write that it answered, in its own order."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Write:
    """One answered write."""

    user: str
    verb: str
    """create, update, patch, delete or deletecollection."""
    resource: str
    """Plural, with its subresource: `pods/eviction`."""
    namespace: str
    name: str
    code: int
    """HTTP status of the answer."""
    uri: str
    at: str

    @property
    def is_dry_run(self) -> bool:
        return "dryRun=All" in self.uri


class Audit:
    """Reads the API server's audit log.

    `fence` makes a write of its own that carries the given audit id: once that one is in the log,
    so is everything that was answered before.
    """

    def __init__(self, log: Path, fence: Callable[[str], None]) -> None:
        self._log = log
        self._fence = fence

    def mark(self) -> int:
        """A place in the log, for `writes(since=…)`."""
        self._settle()
        return self._log.stat().st_size

    def writes(
        self, *, since: int = 0, user: str | None = None, namespace: str | None = None
    ) -> list[Write]:
        """Writes that were answered until now, oldest first; dry runs are among them."""
        self._settle()
        found = map(_write, self._events(since))
        return [
            write
            for write in found
            if user in (None, write.user) and namespace in (None, write.namespace)
        ]

    def _settle(self, within: float = 10.0) -> None:
        mark = str(uuid.uuid4())
        start = self._log.stat().st_size if self._log.exists() else 0
        self._fence(mark)
        until = time.monotonic() + within
        while not any(event["auditID"] == mark for event in self._events(start)):
            if time.monotonic() > until:
                raise TimeoutError(f"the audit log does not show {mark}: {self._log}")
            time.sleep(0.01)

    def _events(self, since: int) -> list[dict[str, Any]]:
        with self._log.open("rb") as log:
            log.seek(since)
            whole, _, _ = log.read().rpartition(b"\n")
        return [json.loads(line) for line in whole.splitlines()]


def _write(event: dict[str, Any]) -> Write:
    about = event.get("objectRef", {})
    parts = [about.get("resource", ""), about.get("subresource", "")]
    return Write(
        user=event["user"]["username"],
        verb=event["verb"],
        resource="/".join(part for part in parts if part),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        uri=event["requestURI"],
        at=event["stageTimestamp"],
    )
