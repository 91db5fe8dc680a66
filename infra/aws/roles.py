"""The roles of the machines: what the head and a worker may ask of AWS, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope
from infra.aws.rights import (
    Statement,
    allow,
    readable,
    secret,
    sends,
    sessions,
    trusted,
    writable,
)

NODES = "nodes"
"""Below the store's prefix: where each worker says that it is there (`serving.agent`)."""


@dataclass(frozen=True, slots=True)
class RoleArgs:
    """What a machine's role is made of."""

    store: pulumi.Output[str]
    """URL of the store."""
    secret: pulumi.Output[str]
    """ARN of Ray's token."""
    reads: tuple[str, ...]
    """Other places in S3 that it reads: the model's, the wheels'."""
    leads: bool
    """Whether it is the head: it writes releases, and Ray's token once."""
    logs: pulumi.Output[str] | None = None
    """ARN of the log group that its journal is sent to."""


class MachineRole(Part):
    """A role, and the instance profile that gives it to a machine."""

    profile_arn: pulumi.Output[str]

    def __init__(self, name: str, scope: Scope, args: RoleArgs, parent: pulumi.Resource) -> None:
        super().__init__(name, scope, parent)
        role = aws.iam.Role(
            name,
            assume_role_policy=trusted("ec2.amazonaws.com"),
            tags=scope.tagged(name),
            opts=self.below(name),
        )
        rights = pulumi.Output.all(args.store, args.secret, args.logs or "").apply(
            lambda known: _document(scope.partition, known[0], known[1], known[2], args)
        )
        aws.iam.RolePolicy(name, role=role.id, policy=rights, opts=self.below(name))
        profile = aws.iam.InstanceProfile(
            name, role=role.name, tags=scope.tagged(name), opts=self.below(name)
        )
        self.profile_arn = profile.arn
        self.register_outputs({"profile": self.profile_arn})


def _document(partition: str, store: str, token: str, logs: str, args: RoleArgs) -> str:
    return json.dumps(allow(statements(partition, store, token, logs, args)))


def statements(
    partition: str, store: str, token: str, logs: str, args: RoleArgs
) -> list[Statement]:
    """What a machine may do: a worker writes nothing but that it is there."""
    own = store if args.leads else f"{store}/{NODES}"
    return [
        sessions(),
        *(one for url in (store, *args.reads) for one in readable(partition, url)),
        writable(partition, own),
        secret(token, write=args.leads),
        *([sends(logs)] if logs else ()),
    ]
