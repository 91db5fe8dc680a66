"""The secret that holds Ray's token. It gets its value from the head, so no state has it."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from infra.aws.part import Part, Scope


class Token(Part):
    """An empty secret. It is deleted at once with its stack: a new stack makes a new token."""

    arn: pulumi.Output[str]

    def __init__(self, scope: Scope, parent: pulumi.Resource) -> None:
        super().__init__("token", scope, parent)
        made = aws.secretsmanager.Secret(
            "ray-token",
            description=f"Token of the Ray cluster of {scope.service}",
            recovery_window_in_days=0,
            tags=scope.tagged("ray-token"),
            opts=self.below("ray-token"),
        )
        self.arn = made.arn
        self.register_outputs({"arn": self.arn})
