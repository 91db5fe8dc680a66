"""The target `kubernetes`: a service on a cluster, by KubeRay.

Composes the models' store, the releases' records in the cluster and the steps into the ports that
the flow drives. It holds no state of its own: everything is in objects that kubectl shows, so any
machine with access goes on where another one stopped.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager

from clusters import proof, telling
from clusters.lease import LeaseLock
from clusters.observer import ClusterObserver
from clusters.retiring import retire
from llmops.errors import LlmopsError
from llmops.events import Flow, Progress
from llmops.releases import Release
from llmops.targets import KeyInfo

KEYS_SECONDS = 120.0
"""For a new key to reach the gateways: the kubelet renews a mounted Secret about once a minute."""


class ClusterTarget(ClusterObserver):
    """Implements `llmops.targets.Operator` in one namespace of one cluster."""

    def lock(self, service: str, purpose: str) -> AbstractContextManager[None]:
        """Be the only writer of `service`, on whatever machine."""
        return self._hold(service, purpose)

    @contextlib.contextmanager
    def _hold(self, service: str, purpose: str) -> Iterator[None]:
        self._require_namespace()
        lock = LeaseLock(self.client, self.namespace, tell=_tell)
        with lock.hold(service, purpose) as held:
            self._held = held
            try:
                yield
            finally:
                self._held = None

    def stage(self, release: Release) -> Flow[None]:
        """Make the release's pods beside the others', and wait until it can be asked."""
        began = time.monotonic()
        self._guard()
        self._keys.ensure(release.service)
        steps = self.steps(release.service)
        yield from steps.stage(release, release.plan.start_deadline_seconds)
        yield from self._await_keys(release.service)
        proof.versions(steps, release)
        steps.tell(release.number, "Staged", f"release {release.number} runs, without traffic")
        yield Progress("stage", "ready", time.monotonic() - began)

    def verify(self, release: Release) -> Flow[None]:
        """Ask the release itself, through the endpoint, for a fresh generation."""
        yield Progress("verify", "asking for a real generation through the endpoint", 0.0)
        model = yield from self._models.tokenizer(
            release.plan.model.source, release.plan.model.revision
        )
        key = self.operator_key(release.service)
        steps = self.steps(release.service)
        proof.ask(self.client, self.namespace, steps, release, model, key)
        steps.tell(
            release.number, "Verified", f"release {release.number} answered with a real generation"
        )

    def shift(
        self, release: Release, share: int = 100, beside: Release | None = None
    ) -> Flow[None]:
        """Give the release all new requests, or `share` percent and the rest to another."""
        steps, number = self.steps(release.service), release.number
        if beside is None:
            yield from steps.shift(release)
            steps.tell(number, "Shifted", f"release {number} has all new requests")
            return
        yield from steps.share(release, share, beside)
        steps.tell(number, "Sharing", f"release {number} has {share} % of new requests")

    def drain(self, release: Release, deadline: float) -> Flow[None]:
        """Wait until nothing is in flight there, at most until `deadline`."""
        yield from self.steps(release.service).drain(release, max(0.0, deadline - time.time()))

    def remove(self, service: str, number: int) -> Flow[None]:
        """Take a release away with its pods."""
        steps = self.steps(service)
        steps.tell(number, "Removing", f"release {number} goes, with its pods")
        yield from steps.remove(number)

    def forget_logs(self, service: str, keep: frozenset[int]) -> None:
        """Nothing: pods that have ended keep no log."""

    def retire(self, service: str, *, keep_logs: bool) -> Flow[None]:  # noqa: ARG002 - pods keep no log
        """After the last release is removed: everything else of the service but its history."""
        self._guard()
        yield from retire(self.client, self.namespace, self.steps(service), service)

    def mend(self, service: str) -> Flow[None]:
        """Put back what somebody has deleted of the service's objects, and take away what a run
        that was killed has left."""
        yield Progress("mend", "looking for what is missing around the service")
        yield from self.steps(service).mend()

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; returns when every gateway knows it.

        Raises:
            InputError: When the service was never deployed here, or has a key of that name.
        """
        self.history(service)
        return self._shown(
            service, self._keys.create(service, name, expires_at=expires_at, models=models)
        )

    def rotate_key(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name; returns when every gateway knows it."""
        self.history(service)
        return self._shown(
            service, self._keys.rotate(service, name, overlap=overlap, expires_at=expires_at)
        )

    def _shown(self, service: str, made: tuple[KeyInfo, str]) -> tuple[KeyInfo, str]:
        """A new key, once every gateway knows it."""
        try:
            for _ in self._await_keys(service):
                pass
        except BaseException:
            # Nobody is shown its text any more: it must not open anything, nor keep the name.
            with contextlib.suppress(LlmopsError):
                self._keys.revoke(service, made[0].id)
            raise
        return made

    def revoke_key(self, service: str, name: str) -> KeyInfo:
        """Revoke the key of that name or id; returns when every gateway refuses it."""
        self.history(service)
        revoked = self._keys.revoke(service, name)
        for _ in self._await_keys(service):
            pass
        return revoked

    def _await_keys(self, service: str) -> Flow[None]:
        yield from telling.await_keys(
            self.client, self.namespace, self.steps(service), self._keys.version(service),
            KEYS_SECONDS,
        )  # fmt: skip


def _tell(text: str) -> None:
    """On a wait for an expired lock: it passes before any event can."""
    sys.stderr.write(f"{text}\n")


__all__ = ["ClusterTarget"]
