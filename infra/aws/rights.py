"""Policy documents of IAM and of buckets, as data. Pure: who may do what to what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

Statement = Mapping[str, Any]

VERSION = "2012-10-17"
"""Of IAM's policy language."""


def allow(statements: Sequence[Statement]) -> dict[str, Any]:
    """A policy that allows what each statement names."""
    return {"Version": VERSION, "Statement": [{"Effect": "Allow", **one} for one in statements]}


def trusted(service: str) -> str:
    """The policy of a role that a service of AWS takes."""
    return json.dumps(allow([{"Principal": {"Service": service}, "Action": "sts:AssumeRole"}]))


def sessions() -> Statement:
    """What Session Manager's agent needs; none of it can be kept to one resource."""
    channels = ("CreateControlChannel", "CreateDataChannel", "OpenControlChannel",
                "OpenDataChannel")  # fmt: skip
    actions = ["ssm:UpdateInstanceInformation", *(f"ssmmessages:{one}" for one in channels)]
    return {"Action": actions, "Resource": "*"}


def readable(partition: str, url: str) -> list[Statement]:
    """Listing and reading what lies below `s3://bucket/prefix`."""
    bucket, below = _places(partition, url)
    prefixes = [below, below.removesuffix("/*")]
    return [
        {
            "Action": "s3:ListBucket",
            "Resource": bucket,
            "Condition": {"StringLike": {"s3:prefix": prefixes}},
        },
        {"Action": "s3:GetObject", "Resource": f"{bucket}/{below}"},
    ]


def writable(partition: str, url: str) -> Statement:
    """Writing and deleting what lies below `s3://bucket/prefix`."""
    bucket, below = _places(partition, url)
    return {"Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": f"{bucket}/{below}"}


def _places(partition: str, url: str) -> tuple[str, str]:
    """A bucket's ARN, and the pattern of what lies below the prefix."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    clean = prefix.strip("/")
    return f"arn:{partition}:s3:::{bucket}", f"{clean}/*" if clean else "*"


def secret(arn: str, *, write: bool = False) -> Statement:
    """Reading a secret, and giving it a value."""
    actions = ["secretsmanager:GetSecretValue"]
    if write:
        actions.append("secretsmanager:PutSecretValue")
    return {"Action": actions, "Resource": arn}


def sends(group: str) -> Statement:
    """Writing streams of a log group, and reading none."""
    plain = group.removesuffix(":*")
    return {
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": f"{plain}:log-stream:*",
    }


def only_tls(arn: str) -> str:
    """A bucket's policy: nobody speaks to it in the clear."""
    return json.dumps({
        "Version": VERSION,
        "Statement": [{
            "Sid": "OnlyTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }],
    })  # fmt: skip
