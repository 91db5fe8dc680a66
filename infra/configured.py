"""A stack by Pulumi's own command: the spec that `llmops:spec` names, planned and declared.

The plan is made as `llmops plan` makes it, of the same facts. It is not reviewed by policies, which
lie in the stack's own store; `llmops deploy` does that, and makes the release as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from infra.account import Account
from infra.lookup import facts
from infra.naming import PROJECT, cloud_target, stack_name
from infra.program import program
from llmops.errors import InputError, LlmopsError
from llmops.events import Flow, Progress, Warned
from llmops.planning import Plan, make_plan
from llmops.spec import Deployment, read

SPEC = "spec"
"""Key of the stack's configuration that names the spec: files, joined by commas."""

T = TypeVar("T")


def run() -> None:
    """Declare the stack that the configuration names; its mistakes are told in a line.

    Raises:
        RunError: With what is wrong.
    """
    import pulumi

    config = pulumi.Config(PROJECT)
    try:
        deployment = configured(config.get(SPEC), Path(pulumi.get_root_directory()))
        check_stack(deployment, pulumi.get_stack())
        program(deployment, planned(deployment))
    except LlmopsError as error:
        hint = f" (hint: {error.hint})" if error.hint else ""
        raise pulumi.RunError(f"{error.message}{hint}") from error


def configured(names: str | None, root: Path) -> Deployment:
    """The deployment of the files that a configuration names.

    Args:
        names: Paths joined by commas, relative to `root`.
        root: The folder of Pulumi.yaml.

    Raises:
        InputError: When none is named, or its target is no cloud.
        SpecError: With all that is wrong with them.
    """
    if not names:
        raise InputError(
            f"expected the path of a spec in the stack's configuration, found no {PROJECT}:{SPEC}",
            hint=f"pulumi config set {PROJECT}:{SPEC} examples/aws.yaml",
        )
    deployment = read([root / name.strip() for name in names.split(",")]).deployment
    try:
        cloud_target(deployment)
    except TypeError as error:
        raise InputError(str(error), path="target.kind") from error
    return deployment


def check_stack(deployment: Deployment, selected: str) -> None:
    """Refuse a stack of another name: `llmops deploy` would not find it.

    Raises:
        InputError: With the name that it must have.
    """
    expected = stack_name(deployment)
    if selected.rpartition("/")[2] != expected:
        raise InputError(
            f"expected the stack {expected} for this spec, found {selected}",
            hint=f"pulumi stack select --create {expected}",
        )


def planned(deployment: Deployment) -> Plan:
    """The plan, of what the region offers now."""
    region = cloud_target(deployment).region
    found = _told(facts(_home(), Account(region), deployment, offline=False))
    return make_plan(deployment, found)


def _told(flow: Flow[T]) -> T:
    """The result of a flow; what it tells on the way goes to Pulumi's log."""
    import pulumi

    while True:
        try:
            event = next(flow)
        except StopIteration as ended:
            result: T = ended.value
            return result
        if isinstance(event, Warned):
            pulumi.log.warn(event.text)
        elif isinstance(event, Progress):
            pulumi.log.info(event.reason)


def _home() -> Path:
    """Where this user's state lies, as for every verb."""
    from platformdirs import user_state_path

    named = os.environ.get("LLMOPS_HOME")
    return Path(named).expanduser().absolute() if named else user_state_path("llmops")


__all__ = ["check_stack", "configured", "planned", "run"]
