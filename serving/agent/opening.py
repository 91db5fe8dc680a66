"""From a store's address to the store."""

from __future__ import annotations

from pathlib import Path

from llmops.errors import InputError
from serving.agent.blobs import Blobs
from serving.agent.bucket import BucketBlobs
from serving.agent.files import FileBlobs


def open_blobs(url: str) -> Blobs:
    """The store at `file:///folder` or `s3://bucket/prefix`.

    Raises:
        InputError: When the address is none of these, or carries credentials.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "file" and rest.startswith("/") and len(rest) > 1:
        return FileBlobs(Path(rest))
    bucket, _, prefix = rest.partition("/")
    if scheme == "s3" and "@" in bucket:
        raise InputError(
            "the store's address carries credentials",
            hint="take them out, and give them to the client in its own way (environment, profile)",
        )
    if scheme == "s3" and bucket:
        return BucketBlobs(bucket, prefix)
    raise InputError(
        f"'{url}' is no store", hint="expected file:///folder or s3://bucket/prefix", path="store"
    )
