"""What opens the doors of the services of a store, as a backup takes it: hashes of keys alone.

Secrets of the machine, such as the key of its certificate, never leave it.
"""

from __future__ import annotations

from collections.abc import Mapping

from llmops.errors import LlmopsError, RefusedError
from llmops.saved import Access
from serving.agent.blobs import Blobs
from serving.agent.keys import edit_keys, read_keys
from serving.gateway import KeySet


class BlobVault:
    """Implements `llmops.targets.Vault` by a store."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def read(self, service: str) -> Access:
        """The service's key records."""
        found = read_keys(self._blobs)[0].of(service)
        return Access(KeySet(0, {service: found}).dump() if found else "")

    def write(self, service: str, access: Access) -> None:
        """Put back what is missing."""
        if not access.keys:
            return
        try:
            saved = KeySet.parse(access.keys).of(service)
        except ValueError as error:
            raise LlmopsError(f"the backup's keys of {service} cannot be read") from error
        edit_keys(self._blobs, lambda before: before.put_back(service, saved))

    def read_shared(self) -> Mapping[str, str]:
        """Nothing: the machine's own secrets are not in the store."""
        return {}

    def write_shared(self, files: Mapping[str, str], *, replace: bool) -> None:  # noqa: ARG002
        """Refuse what belongs on the machine.

        Raises:
            RefusedError: When there is any.
        """
        if files:
            raise RefusedError(
                f"{', '.join(sorted(files))}: a store holds no secrets of a machine",
                hint="put them in place on the agent's machine",
            )
