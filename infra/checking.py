"""Everything that must be right before machines are made, looked at together."""

from __future__ import annotations

import os
from pathlib import Path

from infra.account import Account, Check, Wanted, account_checks, program_checks, refuse
from infra.automation import open_backend
from infra.naming import LOGS, PROJECT, SERVICES
from llmops.errors import LlmopsError
from llmops.events import Flow, Progress, Warned
from llmops.planning import Plan
from llmops.spec import AwsTarget

RESOLVE = "resolve:ssm:"
"""Before the name of a parameter: the image is looked up when a machine starts."""


def ready(home: Path, account: Account, plan: Plan, target: AwsTarget) -> Flow[None]:
    """Look at everything that making a plan's machines needs.

    Raises:
        InputError: With everything that is wrong and the fix for each; nothing was changed.
    """
    yield Progress("check", "credentials, quotas, machine, image, pulumi and its backend")
    found = checks(home, account, wanted_of(plan, target))
    for check in found:
        if check.verdict == "warn":
            yield Warned(f"{check.name}: {check.found} ({check.fix})")
    refuse(found)


def checks(home: Path, account: Account, wanted: Wanted | None) -> tuple[Check, ...]:
    """All checks, in the order in which one would put them right."""
    return (*program(home), *account_checks(account, wanted))


def program(home: Path) -> tuple[Check, ...]:
    """The checks of the `pulumi` program and what it needs."""
    try:
        backend = open_backend(PROJECT, home)
    except LlmopsError as error:
        return (Check("pulumi", "fail", error.message, error.hint),)
    return tuple(program_checks(os.environ, backend.version, backend.url))


def wanted_of(plan: Plan, target: AwsTarget) -> Wanted:
    """What of a plan has to be had, and where."""
    machines = plan.machines
    if machines is None:
        raise TypeError("a plan for this target has machines")
    there = target.network.vpc != "auto"
    return Wanted(
        str(machines.machine.value),
        int(machines.count.value),
        machines.market,
        str(machines.head.value),
        str(machines.image.value).removeprefix(RESOLVE),
        target.zone or "",
        target.network.vpc if there else "",
        target.network.subnets,
        ("s3", *SERVICES, *((LOGS,) if target.logs.cloudwatch else ())),
        f"{plan.service}-{target.region}",
    )


__all__ = ["checks", "program", "ready", "wanted_of"]
