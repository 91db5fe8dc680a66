"""One namespace of one cluster, and what llmops keeps there: everything else is built on it.

Making one reads the kubeconfig and nothing else; the API server is asked when it is needed.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from clusters.held import Held
from clusters.kubeconfig import Access, find
from clusters.policies import ConfigMapPolicyStore
from clusters.ports import Writer
from clusters.secrets import SecretKeys
from clusters.steps import Steps
from clusters.store import ConfigMapReleaseStore
from clusters.vault import SecretVault
from clusters.why import why
from llmops.errors import InputError
from llmops.releases import Release
from serving.models import Models


class Place:
    """A namespace of a cluster, with its records, its keys and the steps of its services."""

    def __init__(self, home: Path, context: str | None, namespace: str | None) -> None:
        self._home = home
        self.access: Access = find(context)
        self.namespace = namespace or self.access.namespace or "default"
        self._held: Held | None = None
        self.take_ownership = False
        """Whether fields that others have set are set all the same; the user must say so."""

    @cached_property
    def client(self) -> Writer:
        """The API server's client: importing the official one takes a second or two."""
        from clusters.client import Client

        return Client.of(self.access)

    @cached_property
    def store(self) -> ConfigMapReleaseStore:
        """The services' histories, in the cluster."""
        return ConfigMapReleaseStore(self.client, self.namespace)

    @cached_property
    def policies(self) -> ConfigMapPolicyStore:
        """The policies that were applied to the namespace, in the cluster."""
        return ConfigMapPolicyStore(self.client, self.namespace)

    @cached_property
    def vault(self) -> SecretVault:
        """What opens the services' doors, in the cluster."""
        where = {"context": self.access.context, "namespace": self.namespace}
        return SecretVault(self._keys, where)

    @cached_property
    def _keys(self) -> SecretKeys:
        return SecretKeys(self.client, self.namespace)

    @cached_property
    def _models(self) -> Models:
        return Models(self._home / "models")

    def steps(self, service: str) -> Steps:
        """The steps of one service."""
        return Steps(
            self.client, self.namespace, service, self.store,
            lambda runtime: why(self.client, self.namespace, service, runtime), self._guard,
            take_ownership=self.take_ownership,
        )  # fmt: skip

    def _guard(self) -> None:
        """Called before each write: a lock that was lost stops what it was for."""
        if self._held is not None:
            self._held.check()

    def history(self, service: str) -> tuple[Release, ...]:
        """All releases of the service that are kept, oldest first.

        Raises:
            InputError: When the service was never deployed here.
        """
        releases = self.store.read(service)[0].releases
        if not releases:
            known = ", ".join(self.store.services()) or "none"
            where = f"namespace {self.namespace} of {self.access.context}"
            raise InputError(f"no service '{service}' in {where}", hint=f"there are: {known}")
        return releases

    def operator_key(self, service: str) -> str:
        """The key that llmops' own commands ask with; it is in a Secret."""
        key = self._keys.operator_key(service)
        if key is None:
            raise InputError(f"{service} is not deployed", hint="llmops deploy")
        return key


__all__ = ["Place"]
