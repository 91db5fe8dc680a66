"""Values as documents of the store: strict about their format, tolerant within it.

Each document says its `format` and the version of llmops that wrote it. A field that this version
does not know is left out; a format that it does not know is refused, because what it means is not
guessed.
"""

from __future__ import annotations

import contextlib
import json
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from llmops import __version__
from llmops.errors import LlmopsError, RefusedError
from llmops.releases import Conflict
from serving.agent.blobs import NEW, Blobs

T = TypeVar("T")

FORMAT = 1
"""Of what this version writes."""
FORMATS = (1,)
"""What it reads."""


class Kind(Generic[T]):
    """A kind of document: how a value becomes one, and comes back."""

    def __init__(self, kind: type[T], what: str) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._what = what

    def dump(self, value: T) -> bytes:
        """The document of a value."""
        body = self._adapter.dump_python(value, mode="json")
        document = {"format": FORMAT, "version": __version__, "body": body}
        return json.dumps(document, allow_nan=False).encode()

    def load(self, data: bytes) -> T:
        """The value of a document.

        Raises:
            RefusedError: When it is of a format that this version does not know.
            LlmopsError: When it is damaged.
        """
        try:
            document = json.loads(data)
            written = document["format"]
            if written in FORMATS:
                return self._adapter.validate_python(document["body"])
        except (ValueError, KeyError, TypeError) as error:
            raise LlmopsError(
                f"{self._what} in the store is damaged", hint="nothing is guessed: look at it"
            ) from error
        raise RefusedError(
            f"{self._what} in the store is of format {written}, written by llmops"
            f" {document.get('version', 'unknown')}; this is {__version__}, which reads format"
            f" {', '.join(map(str, FORMATS))}",
            hint="use the same version of llmops for the command and for its agent",
        )

    def read(self, blobs: Blobs, name: str) -> tuple[T | None, str]:
        """The value of an object and its version; None and `NEW` when there is none."""
        blob = blobs.get(name)
        return (None, NEW) if blob is None else (self.load(blob.data), blob.version)

    def write(self, blobs: Blobs, name: str, value: T, version: str) -> str:
        """Write an object if its version is still `version`; returns the new one.

        Raises:
            Conflict: When it is not.
        """
        return blobs.put(name, self.dump(value), version)

    def create(self, blobs: Blobs, name: str, value: T) -> bool:
        """Create an object; whether it was not there."""
        with contextlib.suppress(Conflict):
            self.write(blobs, name, value, NEW)
            return True
        return False
