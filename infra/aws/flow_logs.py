"""The log of who connected to whom in a VPC of our own, kept for a month."""

from __future__ import annotations

import json

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope
from infra.aws.rights import allow, trusted

DAYS = 30
"""That flow logs are kept."""


class FlowLogs(Part):
    """A VPC's flow log, and who may write it."""

    def __init__(self, scope: Scope, vpc_id: pulumi.Output[str], parent: pulumi.Resource) -> None:
        super().__init__("flow-logs", scope, parent)
        group = aws.cloudwatch.LogGroup(
            "flows", retention_in_days=DAYS, tags=scope.tagged("flows"), opts=self.below("flows")
        )
        role = aws.iam.Role(
            "flows", assume_role_policy=trusted("vpc-flow-logs.amazonaws.com"),
            tags=scope.tagged("flows"), opts=self.below("flows"),
        )  # fmt: skip
        aws.iam.RolePolicy(
            "flows", role=role.id, policy=group.arn.apply(_rights), opts=self.below("flows")
        )
        aws.ec2.FlowLog(
            "flows",
            vpc_id=vpc_id,
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            tags=scope.tagged("flows"),
            opts=self.below("flows"),
        )
        self.register_outputs({})


def _rights(group: str) -> str:
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    return json.dumps(allow([{"Action": actions, "Resource": [group, f"{group}:*"]}]))
