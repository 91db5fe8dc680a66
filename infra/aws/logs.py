"""A log group for the machines' journals: made only where it is asked for, and kept for a while.

CloudWatch encrypts every group, with a key of AWS's own or with the one that is named.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope


@dataclass(frozen=True, slots=True)
class LogsArgs:
    """What it is made of."""

    days: int
    kms_key: str | None


class Logs(Part):
    """The group of a service's machines; each machine writes a stream of its own."""

    name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, scope: Scope, args: LogsArgs, parent: pulumi.Resource) -> None:
        super().__init__("logs", scope, parent)
        group = aws.cloudwatch.LogGroup(
            "machines",
            retention_in_days=args.days,
            kms_key_id=args.kms_key,
            tags=scope.tagged("machines"),
            opts=self.below("machines"),
        )
        self.name, self.arn = group.name, group.arn
        self.register_outputs({"group": self.name})
