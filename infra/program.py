"""The program of a stack: from a deployment and its plan to declared resources.

Which cloud is a matter of the target's class: another cloud is another package with a `declare`,
and a line here. Pulumi's SDK is imported only when a program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import cast

from infra.keeping import NOTHING, Keep
from infra.naming import cloud_target
from infra.packages import Files, written
from llmops.planning import Plan
from llmops.spec import AwsTarget, CloudTarget, Deployment

Declare = Callable[[Deployment, Plan, Files, Keep], None]

CLOUDS: Mapping[type[CloudTarget], str] = {AwsTarget: "infra.aws"}
"""By the class of a target: the package whose `declare` makes its machines."""


def program(
    deployment: Deployment, plan: Plan, files: Files | None = None, *, keep: Keep = NOTHING
) -> None:
    """Declare the resources of a plan; called inside of a Pulumi program.

    Args:
        deployment: What was asked for.
        plan: What was planned for it.
        files: What machines install; this llmops and its lock without.
        keep: What stands, and that this takes nothing away of.

    Raises:
        InputError: When no wheel of this llmops can be made.
        TargetError: When the plan lacks what only the cloud could tell.
    """
    target = cloud_target(deployment)
    declare = cast("Declare", import_module(CLOUDS[type(target)]).declare)
    declare(deployment, plan, files or written(packages_folder(), _wheels(target)), keep)


def packages_folder() -> Path:
    """Where the files lie while a stack is brought up."""
    from platformdirs import user_cache_path

    return user_cache_path("llmops")


def _wheels(target: CloudTarget) -> str:
    return target.packages if target.packages.startswith("s3://") else ""
