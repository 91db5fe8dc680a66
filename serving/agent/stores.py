"""What a target keeps of its services and policies, in the store: histories and the shelf."""

from __future__ import annotations

from llmops.errors import LlmopsError
from llmops.policies import Shelf
from llmops.policies import dumps as dump_shelf
from llmops.policies import loads as load_shelf
from llmops.releases import History, dumps, loads
from serving.agent import names
from serving.agent.blobs import NEW, Blobs


class BlobReleaseStore:
    """Implements `llmops.releases.ReleaseStore`; only the agent writes."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def read(self, service: str) -> tuple[History, str]:
        """The history and its version; an empty one and `''` when there is none.

        Raises:
            LlmopsError: When it is damaged.
        """
        found = self._blobs.get(names.history(service))
        if found is None:
            return History(service), NEW
        try:
            return loads(found.data.decode()), found.version
        except ValueError as error:
            raise self._damaged(names.history(service)) from error

    def write(self, history: History, version: str) -> str:
        """Store the history if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        return self._blobs.put(names.history(history.service), dumps(history).encode(), version)

    def services(self) -> tuple[str, ...]:
        """Names of the services that have a history, sorted."""
        listed = self._blobs.names("services/")
        return tuple(names.service_of(n) for n in listed if n.endswith("/history.json"))

    def _damaged(self, name: str) -> LlmopsError:
        return LlmopsError(
            f"{name} in {self._blobs.where} is damaged",
            hint="a versioned bucket has the one before it: look at both, and put one in place",
        )


class BlobPolicyStore:
    """Implements `llmops.policies.PolicyStore`; commands write."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def read(self) -> tuple[Shelf, str]:
        """The shelf and its version; an empty one and `''` when there is none.

        Raises:
            LlmopsError: When it is damaged.
        """
        found = self._blobs.get(names.POLICIES)
        if found is None:
            return Shelf(), NEW
        try:
            return load_shelf(found.data.decode()), found.version
        except ValueError as error:
            raise LlmopsError(
                f"the record of policies in {self._blobs.where} is damaged",
                hint="a versioned bucket has the one before it; nothing is deployed past a policy",
            ) from error

    def write(self, shelf: Shelf, version: str) -> str:
        """Store the shelf if the stored version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        return self._blobs.put(names.POLICIES, dump_shelf(shelf).encode(), version)
