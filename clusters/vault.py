"""What opens the doors of a namespace's services, as a backup takes it and a restore puts it back.

Key records are hashes, and any backup has them; the text of llmops' own key is secret. Ray's token
is in none: it is made anew with the pods that are to use it. Certificates belong to the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping

from clusters.secrets import SecretKeys
from llmops.errors import RefusedError, TargetError
from llmops.saved import Access

OPERATOR = "operator-key"


class SecretVault:
    """Implements `llmops.targets.Vault` over the Secrets of a namespace.

    Args:
        keys: The Secrets.
        where: Names the cluster, as `Saved.where`.
    """

    def __init__(self, keys: SecretKeys, where: Mapping[str, str]) -> None:
        self._keys = keys
        self.where = dict(where)

    def read(self, service: str) -> Access:
        """The service's key records, and llmops' own key."""
        text = self._keys.operator_key(service)
        return Access(self._keys.saved(service), {OPERATOR: text} if text else {})

    def write(self, service: str, access: Access) -> None:
        """Put back what is missing; gateways take it over by themselves."""
        try:
            if access.keys:
                self._keys.put_back(service, access.keys)
        except ValueError as error:
            raise TargetError(f"the backup's keys of {service} cannot be read") from error
        if text := access.secrets.get(OPERATOR):
            self._keys.put_back_operator(service, text)

    def read_shared(self) -> Mapping[str, str]:
        """Nothing: what a cluster's services share belongs to the cluster."""
        return {}

    def write_shared(self, files: Mapping[str, str], *, replace: bool) -> None:  # noqa: ARG002 - a target's signature
        """Nothing to write; a backup that has such files is not of a cluster.

        Raises:
            RefusedError: When there are any.
        """
        if files:
            raise RefusedError(f"the backup has files of a machine: {', '.join(sorted(files))}")
