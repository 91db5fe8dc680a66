"""The ports that a target implements: an Observer only looks; an Operator changes.

`workflow` composes the flow over these, and knows no SDK. A verb that looks is handed an Observer
and so cannot change anything. Every step is idempotent: it may be repeated after a crash at any
instant, and then completes or finds that nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from llmops.events import Flow, Previewed
from llmops.planning import Facts, Plan
from llmops.policies import PolicyStore
from llmops.releases import Figures, Release, ReleaseStore, Seen, Summary
from llmops.saved import Access
from llmops.spec import Deployment


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """An API key as it may be shown: never its text. Times are Unix seconds."""

    id: str
    name: str
    created_at: float
    revoked_at: float | None
    expires_at: float | None = None
    """When it stops to open anything, as it was made for or by a rotation; None for never."""
    models: tuple[str, ...] = ()
    """What its requests may name as `model`; none is its own service."""

    def state(self, now: float) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if self.expires_at is None or now < self.expires_at else "expired"


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """What `llmops status` tells of one release. Times are Unix seconds."""

    number: int
    state: str
    phase: str
    share: int
    replicas: int
    in_flight: int
    memory_bytes: int
    """Resident memory of its processes now; where they run in pods, what these have requested."""
    verified_at: float | None
    reason: str
    wanted: int | None = None
    """Replicas that there are to be; None where the number is fixed, or nobody has decided."""
    scaling: str = ""
    """Why so many."""
    startup: float | None = None
    """Seconds from asking for a replica to its first answer, as scaling has measured them; None
    before it has added one."""
    shadowed: Summary | None = None
    """What it made of the requests that both releases of a canary got; None without any."""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What `llmops status` tells of one service."""

    name: str
    target: str
    url: str
    """Base URL of the endpoint, ending in `/v1`."""
    metrics_url: str
    """Where Prometheus scrapes, on loopback; empty when nothing runs."""
    model: str
    """What requests name as `model`."""
    healthy: bool
    """Whether a real generation has succeeded lately."""
    last_generation_at: float | None
    requests_per_minute: float
    tokens_per_second: float
    releases: tuple[ReleaseStatus, ...]
    notes: tuple[str, ...] = ()
    """Sentences on what needs looking after, such as a certificate that expires soon."""
    quarantined: int = 0
    """Requests that are refused since they were in flight at two deaths of an engine."""


class Vault(Protocol):
    """What opens the doors of a target's services, as a backup takes it and a restore puts it."""

    def read(self, service: str) -> Access:
        """The service's key records and secrets; empty ones when it has none."""
        ...

    def write(self, service: str, access: Access) -> None:
        """Put back what is missing. No key is removed, and one that is revoked on either side
        stays revoked. Idempotent; for a caller that has the service's lock."""
        ...

    def read_shared(self) -> Mapping[str, str]:
        """Secret files of the whole target, base64 by name."""
        ...

    def write_shared(self, files: Mapping[str, str], *, replace: bool) -> None:
        """Put back the files that are missing.

        Raises:
            RefusedError: Before anything is written, when one differs and may not be replaced.
        """
        ...


class Observer(Protocol):
    """What can be learned from a target. Nothing here changes anything a user could notice."""

    @property
    def store(self) -> ReleaseStore: ...

    @property
    def policies(self) -> PolicyStore: ...

    @property
    def vault(self) -> Vault: ...

    def versions(self) -> Mapping[str, str]:
        """Versions of what a release made now would run beside its engine, by package, as far as
        the target can tell."""
        ...

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Look up what planning needs: the model's facts, the machine's, the live releases."""
        ...

    def preview(self, plan: Plan) -> Flow[Previewed]:
        """What applying the plan would change in the target, by a trial run of its own that
        changes nothing; empty where a target has none.

        Raises:
            RefusedError: When the target would refuse it.
        """
        ...

    def apart(self, one: Plan, other: Plan) -> str:
        """Why the traffic of a service cannot be shared between releases of these two plans; empty
        where it can."""
        ...

    def watched(self, service: str) -> Mapping[int, Figures]:
        """What each release of the service has done since they share its traffic as they do now,
        over all gateways."""
        ...

    def observe(self, service: str) -> tuple[Seen, ...]:
        """The service's releases as the runtime shows them; empty when no runtime is up."""
        ...

    def status(self, service: str) -> ServiceStatus:
        """Everything `llmops status` shows.

        Raises:
            InputError: When the service was never deployed here.
        """
        ...

    def logs(self, service: str, number: int | None, *, follow: bool) -> Iterator[str]:
        """Lines of a release's engine and replica logs (the newest release by default)."""
        ...

    def url(self, service: str) -> str:
        """Base URL of the endpoint, ending in `/v1`."""
        ...

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        """The service's API keys, revoked ones too."""
        ...


class Operator(Observer, Protocol):
    """What changes a target. Every method below holds for a caller that has the lock."""

    def lock(self, service: str, purpose: str) -> AbstractContextManager[None]:
        """Be the only writer of `service`. A dead holder's lock is taken over.

        Raises:
            BusyError: At once, naming the holder and since when.
        """
        ...

    def stage(self, release: Release) -> Flow[None]:
        """Fetch the model, start the runtime if needed, start the release, wait until ready.

        Raises:
            TargetError: With the engine's real cause when it cannot come up.
        """
        ...

    def verify(self, release: Release) -> Flow[None]:
        """Ask the release itself, through the endpoint, for a fresh generation.

        Raises:
            TargetError: When the answer is not one that only this release could give.
        """
        ...

    def shift(
        self, release: Release, share: int = 100, beside: Release | None = None
    ) -> Flow[None]:
        """Give the release `share` percent of new requests, and the rest to the one `beside`;
        return when every gateway replica has said so."""
        ...

    def drain(self, release: Release, deadline: float) -> Flow[None]:
        """Wait until nothing is in flight there, at most until `deadline` (Unix seconds)."""
        ...

    def remove(self, service: str, number: int) -> Flow[None]:
        """Take a release off the runtime with its processes; it need not have a record."""
        ...

    def forget_logs(self, service: str, keep: frozenset[int]) -> None:
        """Remove the logs of every release of the service but these."""
        ...

    def retire(self, service: str, *, keep_logs: bool) -> Flow[None]:
        """After the last release is removed: the service's keys and logs, and the runtime with
        all its processes and ports when no other service uses it."""
        ...

    def mend(self, service: str) -> Flow[None]:
        """Put back what has gone, or was changed, of what stands around a service that serves.

        Called when nothing has to be released. What is as it should be is not touched.
        """
        ...

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; returns it and its text, which is stored nowhere.

        Raises:
            InputError: When the service has a key of that name.
        """
        ...

    def rotate_key(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name, which open for `overlap` seconds more; returns
        it and its text, which is stored nowhere.

        Raises:
            InputError: When there is none.
        """
        ...

    def revoke_key(self, service: str, name: str) -> KeyInfo:
        """Revoke the keys of that name, or the one of that id, without a restart.

        Raises:
            InputError: When there is none.
        """
        ...


__all__ = ["KeyInfo", "Observer", "Operator", "ReleaseStatus", "ServiceStatus", "Vault"]
