"""What a stack and its things are called, and what its machines ask of AWS by name. Pure."""

from __future__ import annotations

from llmops.spec import CloudTarget, Deployment

PROJECT = "llmops"
"""Name of the Pulumi project, as Pulumi.yaml has it."""

SERVICES = ("ssm", "ssmmessages", "secretsmanager")
"""What every machine asks beside S3: Session Manager, and where Ray's token is."""

LOGS = "logs"
"""Where journals are sent, if they are."""


def stack_name(deployment: Deployment) -> str:
    """The stack of a deployment.

    Raises:
        TypeError: When its target is no cloud.
    """
    return f"{deployment.name}-{cloud_target(deployment).region}"


def cloud_target(deployment: Deployment) -> CloudTarget:
    """The target, which is a cloud.

    Raises:
        TypeError: When it is none.
    """
    if not isinstance(deployment.target, CloudTarget):
        raise TypeError(f"the target {deployment.target.kind} has no machines to make")
    return deployment.target
