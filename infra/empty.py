"""The store of a stack that is not there yet: nothing is in it, and nothing can be put there."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.errors import InputError


class NoBlobs:
    """Implements `serving.agent.Blobs`.

    Args:
        stack: Whose store it would be.
        unseen: Why nobody could look whether the stack is there; empty where somebody did.
    """

    def __init__(self, stack: str, unseen: str = "") -> None:
        self._stack, self._unseen = stack, unseen

    @property
    def where(self) -> str:
        why = f"could not be looked at ({self._unseen})" if self._unseen else "is not up"
        return f"the stack {self._stack}, which {why}"

    def get(self, name: str) -> None:
        """Nothing."""

    def put(self, name: str, data: bytes, version: str) -> str:  # noqa: ARG002 - a store's signature
        """Refused.

        Raises:
            InputError: Always.
        """
        raise InputError(f"there is no stack {self._stack} yet", hint="llmops deploy makes it")

    def names(self, prefix: str, after: str = "") -> Iterator[str]:  # noqa: ARG002 - a store's signature
        """Nothing."""
        return iter(())

    def remove(self, name: str) -> None:
        """Nothing to do."""


__all__ = ["NoBlobs"]
