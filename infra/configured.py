"""A stack by Pulumi's own command: the spec that `llmops:spec` names, planned and declared; or the
cluster that `llmops:cluster` names, described.

The plan is made as `llmops plan` makes it, of the same facts, and reviewed by the same policies: a
plan that they refuse is declared by neither. `llmops deploy` makes the release as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from infra.keeping import Keep
from infra.naming import PROJECT, cloud_target, stack_name
from infra.program import program
from infra.target import AwsTarget
from llmops import workflow
from llmops.errors import InputError, LlmopsError
from llmops.events import Flow, Planned, Previewed, Progress, Reviewed, Warned
from llmops.planning import Plan
from llmops.spec import Deployment, read

SPEC = "spec"
"""Key of the stack's configuration that names the spec: files, joined by commas."""
CLUSTER = "cluster"
"""Key that names the file of a bare-metal cluster in its place."""

T = TypeVar("T")


def run() -> None:
    """Declare the stack that the configuration names; its mistakes are told in a line.

    Raises:
        RunError: With what is wrong.
    """
    import pulumi

    config, root = pulumi.Config(PROJECT), Path(pulumi.get_root_directory())
    try:
        if named := config.get(CLUSTER):
            _described(root / named)
            return
        deployment = configured(config.get(SPEC), root)
        check_stack(deployment, pulumi.get_stack())
        made, plan, keep = planned(deployment)
        program(made, plan, keep=keep)
    except LlmopsError as error:
        hint = f" (hint: {error.hint})" if error.hint else ""
        raise pulumi.RunError(f"{error.message}{hint}") from error


def _described(file: Path) -> None:
    from bare_metal.inventory import read_cluster
    from infra.metal import describe

    describe(read_cluster([file]).value)


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


class Inside(AwsTarget):
    """The target as a program of Pulumi looks at it: what would change, Pulumi shows by itself."""

    def preview(self, plan: Plan) -> Flow[Previewed]:  # noqa: ARG002 - a target's signature
        """Nothing: an engine that runs this very program is not asked to run it once more."""
        yield from ()
        return Previewed()

    def kept(self, plan: Plan) -> Flow[Keep]:
        """What stands, and stays when the stack is made for a plan."""
        stands = yield from self._standing(plan)
        if stands.count > stands.planned:
            yield Warned(
                f"{stands.count} machines with GPUs stay, and {stands.planned} are planned: llmops"
                " deploy ends those that are too many once nothing of them serves"
            )
        return stands.keep

    @property
    def governed(self) -> Deployment:
        """What was planned: as policies have set it."""
        return self._deployment


def planned(deployment: Deployment) -> tuple[Deployment, Plan, Keep]:
    """The deployment as policies set it, its plan, of what the region offers now, and what stands
    that an update must not take away.

    Raises:
        PolicyError: When a policy refuses it.
    """
    target = Inside(_home(), cloud_target(deployment).region, stack_name(deployment))
    made = _told(_reviewed(target, deployment))
    return target.governed, made.plan, _told(target.kept(made.plan))


def _reviewed(target: Inside, deployment: Deployment) -> Flow[Planned]:
    if target.unseen:
        yield Warned(f"reviewed by the policies of this machine alone: {target.unseen}")
    return (yield from workflow.plan(target, deployment))


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
        elif isinstance(event, Reviewed):
            for finding in event.findings:
                pulumi.log.warn(f"{finding.severity}: {finding.id}: {finding.message}")


def _home() -> Path:
    """Where this user's state lies, as for every verb."""
    from platformdirs import user_state_path

    named = os.environ.get("LLMOPS_HOME")
    return Path(named).expanduser().absolute() if named else user_state_path("llmops")


__all__ = ["Inside", "check_stack", "configured", "planned", "run"]
