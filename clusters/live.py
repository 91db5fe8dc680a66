"""What of a service is in the cluster now, read from its objects: pure, from documents to values.

The RayServices say themselves what runs in them: their Serve config holds every release, the
gateways' routing table and its number. So there is no second record that could disagree, and a
person reads the same with kubectl. What the gateways have taken over is asked of them: see
`gateways`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from clusters import names
from clusters.model import Manifest
from llmops.errors import TargetError
from llmops.releases import Phase
from serving.serve_config import GATEWAY, release_of

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where it was built: a wait reads the config at each look."""

PHASES = {"RUNNING": Phase.READY, "DEPLOY_FAILED": Phase.FAILED}
"""What Ray Serve calls an application's state, and what that means for a release.

Any other is on its way, `UNHEALTHY` too: that is one that ran and lost a replica, which Serve
replaces by itself while the others answer. To count it as failed would give up a release that
serves.
"""


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """One release in a runtime, as KubeRay shows its Serve application."""

    number: int
    phase: Phase
    message: str = ""


@dataclass(frozen=True, slots=True)
class LiveRuntime:
    """One RayService of the service."""

    id: str
    name: str
    releases: tuple[LiveRelease, ...]
    """What its config asks for, by number; and, as absent, what is only still being ended."""
    shares: Mapping[int, int]
    generation: int
    closing: bool
    raycluster: str
    """The RayCluster that KubeRay made for it; empty until it has."""
    deleting: bool
    document: Manifest = field(repr=False)

    def find(self, number: int) -> LiveRelease | None:
        """The release of that number."""
        return next((release for release in self.releases if release.number == number), None)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The releases that its config asks for."""
        return tuple(self.shares)


@dataclass(frozen=True, slots=True)
class Live:
    """All runtimes of a service, and which of them its Service points to (empty: none)."""

    service: str
    runtimes: tuple[LiveRuntime, ...]
    active: str

    def runtime(self, identifier: str) -> LiveRuntime | None:
        """The runtime of that id, unless it is being deleted."""
        found = (r for r in self.runtimes if r.id == identifier and not r.deleting)
        return next(found, None)

    def holding(self, number: int) -> LiveRuntime | None:
        """The runtime that has, or still ends, the release."""
        return next((r for r in self.runtimes if r.find(number) is not None), None)


def read_live(service: str, rayservices: Iterable[Manifest], door: Manifest | None) -> Live:
    """What is there, from the service's RayServices and its Service (None: there is none).

    Raises:
        TargetError: When a RayService's config was damaged: what runs is not guessed at.
    """
    runtimes = tuple(sorted((_runtime(found) for found in rayservices), key=lambda r: r.id))
    selector = (door or {}).get("spec", {}).get("selector") or {}
    active = str(selector.get(names.RUNTIME, ""))
    return Live(service, runtimes, active if any(r.id == active for r in runtimes) else "")


def _runtime(found: Manifest) -> LiveRuntime:
    metadata, spec = found["metadata"], found["spec"]
    name = metadata["name"]
    apps = _applications(name, spec.get("serveConfigV2", ""))
    table = _table(name, apps)
    shares = _shares(table)
    return LiveRuntime(
        id=metadata.get("labels", {}).get(names.RUNTIME, ""),
        name=name,
        releases=tuple(_releases(found, shares)),
        shares=shares,
        generation=int(table.get("generation", 0)),
        closing=bool(table.get("closing", False)),
        raycluster=_raycluster(found),
        deleting="deletionTimestamp" in metadata,
        document=found,
    )


def _applications(name: str, text: str) -> list[Mapping[str, Any]]:
    try:
        config = yaml.load(text, Loader=LOADER)  # noqa: S506 - both are safe loaders
        return list(config["applications"])
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise TargetError(
            f"the Serve config of RayService {name} cannot be read: it was edited by hand",
            hint=f"kubectl get rayservice {name} -o yaml; put serveConfigV2 back, or delete it and"
            " deploy again",
        ) from error


def _table(name: str, apps: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    gateway = next((app for app in apps if app.get("name") == GATEWAY), None)
    try:
        table: Mapping[str, Any] = gateway["deployments"][0]["user_config"] if gateway else {}
    except (KeyError, IndexError, TypeError) as error:
        raise TargetError(
            f"the gateways of RayService {name} have no routing table: its serveConfigV2 was edited"
            " by hand",
            hint=f"kubectl get rayservice {name} -o yaml",
        ) from error
    return table


def _shares(table: Mapping[str, Any]) -> dict[int, int]:
    services = table.get("services", {}).values()
    entries = (entry for service in services for entry in service.get("releases", []))
    return {int(entry["release"]): int(entry["share"]) for entry in entries}


def _raycluster(found: Manifest) -> str:
    status = found.get("status", {})
    names_of = (
        status.get(part, {}).get("rayClusterName", "")
        for part in ("activeServiceStatus", "pendingServiceStatus")
    )
    return next((str(name) for name in names_of if name), "")


def _releases(found: Manifest, shares: Mapping[int, int]) -> Iterable[LiveRelease]:
    service = found["metadata"].get("labels", {}).get(names.SERVICE, "")
    status = found.get("status", {})
    statuses = {
        **(status.get("pendingServiceStatus", {}).get("applicationStatuses") or {}),
        **(status.get("activeServiceStatus", {}).get("applicationStatuses") or {}),
    }
    shown = {release_of(name, service): status for name, status in statuses.items()}
    for number in sorted({*shares, *(n for n in shown if n is not None)}):
        status = shown.get(number, {})
        phase = PHASES.get(status.get("status", ""), Phase.STARTING)
        wanted = number in shares
        yield LiveRelease(number, phase if wanted else Phase.ABSENT, status.get("message", ""))
