"""The store as a bucket (`s3://bucket/prefix`): the only module that knows the client of S3.

Writes are conditional: `If-None-Match: *` creates, `If-Match` replaces. A client that tries again
after a lost answer is refused by its own first write; so a refusal is looked at before it is
believed. Credentials are found by the client's own rules, and neither they nor the text of an
error, which may quote a signed request, is shown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from llmops.errors import InputError
from llmops.releases import Conflict
from serving.agent.blobs import NEW, Blob, StoreUnreachable, checked

CONNECT = 5
ANSWER = 15
"""Seconds to be connected, and for an answer; the client tries again by itself."""

LOST = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
MISSING = frozenset({"NoSuchKey", "404"})
CLOSED = frozenset({
    "AccessDenied", "403", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
    "InvalidToken",
})  # fmt: skip


class BucketBlobs:
    """Implements `Blobs` below a prefix of a bucket.

    Args:
        bucket: The bucket; it must be there.
        prefix: What every name begins with; empty for none.
        client: A client of S3; by default the one of the environment.
    """

    def __init__(self, bucket: str, prefix: str, client: Any = None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = client if client is not None else _client()

    @property
    def where(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def get(self, name: str) -> Blob | None:
        key = self._prefix + checked(name)
        with self._explained():
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=key)
            except self._client.exceptions.ClientError as error:
                if _code(error) in MISSING:
                    return None
                raise
            return Blob(found["Body"].read(), found["ETag"])

    def put(self, name: str, data: bytes, version: str) -> str:
        condition = {"IfNoneMatch": "*"} if version == NEW else {"IfMatch": version}
        key = self._prefix + checked(name)
        with self._explained():
            try:
                written = self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ContentType="application/json",
                    **condition,
                )  # fmt: skip
            except self._client.exceptions.ClientError as error:
                # An object that was to be replaced, and is not there, is told as missing.
                if _code(error) not in LOST | MISSING:
                    raise
                return self._ours(name, data)
            etag: str = written["ETag"]
            return etag

    def _ours(self, name: str, data: bytes) -> str:
        """The version of what is there, when an earlier try of the same write put it there."""
        found = self.get(name)
        if found is None or found.data != data:
            raise Conflict(f"{name} was written by somebody else")
        return found.version

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        asked: dict[str, Any] = {
            "Bucket": self._bucket,
            "Prefix": f"{self._prefix}{checked(prefix.rstrip('/'))}/",
        }
        if after:
            asked["StartAfter"] = self._prefix + after
        while True:
            with self._explained():
                page = self._client.list_objects_v2(**asked)
            for entry in page.get("Contents", ()):
                yield str(entry["Key"]).removeprefix(self._prefix)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def remove(self, name: str) -> None:
        with self._explained():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + checked(name))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            NoCredentialsError,
            PartialCredentialsError,
        )

        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StoreUnreachable(
                f"no credentials for {self.where} were found",
                hint="log in as AWS' own tools do: environment, profile, or the machine's role",
            ) from error
        except ClientError as error:
            raise self._refused(_code(error)) from error
        except BotoCoreError as error:
            raise StoreUnreachable(
                f"{self.where} does not answer ({type(error).__name__})",
                hint="check the network, the region and AWS_ENDPOINT_URL",
            ) from error

    def _refused(self, code: str) -> StoreUnreachable:
        if code == "NoSuchBucket":
            return StoreUnreachable(
                f"there is no bucket {self._bucket}", hint="make it, or check s3://…"
            )
        if code in CLOSED:
            return StoreUnreachable(
                f"{self.where} may not be used with the credentials that were found ({code})",
                hint="they need s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and"
                " s3:DeleteObject below the prefix",
            )
        return StoreUnreachable(f"{self.where} answered {code}", hint="it is tried again")


def _code(error: Exception) -> str:
    """S3's word for what is wrong; empty for an error that is not S3's."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _client() -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise InputError(
            "s3:// needs a package that is not installed", hint="pip install 'llmops[s3]'"
        ) from error
    retries = {"mode": "standard", "max_attempts": 4}
    config = Config(connect_timeout=CONNECT, read_timeout=ANSWER, retries=retries)
    return boto3.client("s3", config=config)
