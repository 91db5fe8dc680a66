"""Where a service's releases, audit log, packages and weights are kept: a bucket that stays.

One that is made is encrypted, versioned, closed to the public and spoken to by TLS alone; nothing
deletes it, or what is in it, until somebody takes the protection away.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope
from infra.aws.rights import only_tls
from infra.packages import Files

PREFIX = "llmops"
"""Below which everything lies in a bucket that is made."""

NAME = 36
"""Characters of a bucket's name before what makes it the only one of its name."""

OLD_DAYS = 90
"""That a replaced or deleted object can still be had."""


@dataclass(frozen=True, slots=True)
class StoreArgs:
    """What a store is made of."""

    url: str
    """`auto`, or `s3://bucket/prefix`."""
    files: Files
    """What machines install."""


class Store(Part):
    """A bucket and a prefix in it, with llmops' own packages there."""

    url: pulumi.Output[str]

    def __init__(self, scope: Scope, args: StoreArgs, parent: pulumi.Resource) -> None:
        super().__init__("store", scope, parent)
        if args.url == "auto":
            bucket, prefix = self._make(), PREFIX
        else:
            name, _, prefix = args.url.removeprefix("s3://").strip("/").partition("/")
            bucket = pulumi.Output.from_input(name)
        self.url = pulumi.Output.concat("s3://", bucket, f"/{prefix}" if prefix else "")
        self._put(bucket, prefix, args.files)
        self.register_outputs({"url": self.url})

    def _make(self) -> pulumi.Output[str]:
        bucket = aws.s3.Bucket(
            "store",
            bucket_prefix=f"llmops-{self.scope.service}"[:NAME].rstrip("-") + "-",
            force_destroy=False,
            tags=self.scope.tagged("store"),
            opts=self.below("store", protect=True),
        )
        closed = aws.s3.BucketPublicAccessBlock(
            "closed",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self.below("closed"),
        )
        aws.s3.BucketOwnershipControls(
            "owned", bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self.below("owned"),
        )  # fmt: skip
        aws.s3.BucketServerSideEncryptionConfiguration(
            "encrypted",
            bucket=bucket.id,
            rules=[{
                "apply_server_side_encryption_by_default": {"sse_algorithm": "aws:kms"},
                "bucket_key_enabled": True,
            }],
            opts=self.below("encrypted"),
        )  # fmt: skip
        self._kept(bucket)
        aws.s3.BucketPolicy(
            "tls", bucket=bucket.id, policy=bucket.arn.apply(only_tls),
            opts=self.below("tls", after=[closed]),
        )  # fmt: skip
        name: pulumi.Output[str] = bucket.bucket
        return name

    def _kept(self, bucket: aws.s3.Bucket) -> None:
        """What was replaced can be had again for a while, and no longer."""
        versioned = aws.s3.BucketVersioning(
            "versioned", bucket=bucket.id, versioning_configuration={"status": "Enabled"},
            opts=self.below("versioned"),
        )  # fmt: skip
        aws.s3.BucketLifecycleConfiguration(
            "old",
            bucket=bucket.id,
            rules=[{
                "id": "old",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": OLD_DAYS},
                "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            }],
            opts=self.below("old", after=[versioned]),
        )  # fmt: skip

    def _put(self, bucket: pulumi.Output[str], prefix: str, files: Files) -> None:
        for name, path in (("wheel", files.wheel), ("lock", files.lock)):
            aws.s3.BucketObjectv2(
                name,
                bucket=bucket,
                key="/".join(filter(None, (prefix, files.packages.key, path.name))),
                source=pulumi.FileAsset(str(path)),
                content_type="application/octet-stream",
                tags=self.scope.tagged(name),
                opts=self.below(name),
            )
