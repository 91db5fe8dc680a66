"""Small objects by name, each written by compare-and-swap: all that the agent asks of a store.

A name is a path of letters, digits, dots, hyphens and underscores. An object is seen whole or not
at all. Nothing here knows what is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from llmops.errors import InputError, UnreachableError

NEW = ""
"""The version of an object that is not there."""

_NAME = re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")


class StoreUnreachable(UnreachableError):
    """The store cannot be asked now: it does not answer, or lets nobody in. What runs goes on, and
    nothing that was recorded is lost."""


@dataclass(frozen=True, slots=True)
class Blob:
    """An object as it was read."""

    data: bytes
    version: str
    """Another one whenever the object was written since."""


class Blobs(Protocol):
    """A store. Every method raises StoreUnreachable when it cannot be asked."""

    @property
    def where(self) -> str:
        """Its address, for people; without credentials."""
        ...

    def get(self, name: str) -> Blob | None:
        """The object; None when there is none."""
        ...

    def put(self, name: str, data: bytes, version: str) -> str:
        """Write the object if its version is still `version`; returns the new version.

        Args:
            name: Its name.
            data: What it is to hold.
            version: The version that was read, or `NEW` where there must be none.

        Raises:
            Conflict: When somebody else has written it since, or created it.
        """
        ...

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        """Names below a prefix that ends in `/`, in order; only those behind `after`."""
        ...

    def remove(self, name: str) -> None:
        """Remove the object. Idempotent."""
        ...


def checked(name: str) -> str:
    """The name, when it is one.

    Raises:
        InputError: When it is none: parts of names may come from a command line.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name[:80]!r} cannot be the name of an object")
    return name


__all__ = ["NEW", "Blob", "Blobs", "StoreUnreachable", "checked"]
