"""A host's power and boot device changed through its controller, and looked at afterwards.

A controller that takes a request has not carried it out: what counts is what it says then. Refuses
to report what was not seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bare_metal.bmc.model import Boot, Controller
from bare_metal.bmc.planning import BootPlan, PowerPlan, Step
from bare_metal.bmc.port import Changing, Controllers, ResourceUnknownError
from bare_metal.bmc.reading import HOST_SECONDS, read
from bare_metal.bmc.threads import in_thread
from bare_metal.hosts.connection import HostGoneError, Unreachable, over
from bare_metal.inventory import Placed
from llmops.errors import TargetError
from llmops.units import Duration

POLL_SECONDS = 2.0
AT_ONCE = Duration.parse("2min")
"""How long power may take to go or come where no system shuts down first."""

Told = Callable[[str], None]


def set_power(
    host: Placed, plan: PowerPlan, by: Controllers, *, system: str | None, within: Duration,
    told: Told,
) -> None:  # fmt: skip
    """Do what a plan says, step by step, each seen through before the next.

    Args:
        host: The host.
        plan: What is to do.
        by: The way to its controller.
        system: Which system of the controller it is, by its Id.
        within: How long a shutdown may take.
        told: Called with what is done.

    Raises:
        TargetError: When a step is refused, or is not seen through in time.
    """

    def act(controller: Changing) -> None:
        for step in plan.steps:
            told(f"{step.reset}: {step.why}")
            _told_to(controller, plan, step)
            _seen(controller, plan, step, system, _time_of(step, within))

    whole = HOST_SECONDS + sum(_time_of(step, within).seconds for step in plan.steps)
    _changed(host, by, act, whole)


def set_boot(host: Placed, plan: BootPlan, by: Controllers, *, system: str | None) -> None:
    """Have a host start from elsewhere, and see that its controller says so.

    Raises:
        TargetError: When it is refused, or the controller then says something else.
    """

    def act(controller: Changing) -> None:
        try:
            controller.boot_from(plan.system, plan.target, plan.enabled)
        except ResourceUnknownError as error:
            raise TargetError(
                f"{host.name}: {error.reason}",
                hint="see what it starts from now: llmops cluster bmc show",
            ) from error
        found = read(controller, system)
        said = [one for one in (found.pending, found.boot) if isinstance(one, Boot)]
        if not any(map(plan.holds, said)):
            now = said[0].text if said else "nothing"
            raise TargetError(
                f"{host.name}: its controller took '{plan.text}' and now says '{now}'",
                hint="look again before it is started: llmops cluster bmc show",
            )

    _changed(host, by, act, HOST_SECONDS)


def _time_of(step: Step, within: Duration) -> Duration:
    return within if step.reset == "GracefulShutdown" else AT_ONCE


def _told_to(controller: Changing, plan: PowerPlan, step: Step) -> None:
    try:
        controller.reset(plan.system, step.reset)
    except ResourceUnknownError as error:
        raise TargetError(
            f"{plan.host}: {error.reason}",
            hint="it may have been taken all the same: llmops cluster bmc show",
        ) from error


def _seen(
    controller: Changing, plan: PowerPlan, step: Step, system: str | None, within: Duration
) -> None:
    ends = time.monotonic() + within.seconds
    found: Controller | None = None
    while True:
        try:
            found = read(controller, system)
        except HostGoneError:
            # Controllers are silent for a while as power goes or comes: it is asked until the end.
            found = None
        if found is not None and found.power == step.until:
            return
        if time.monotonic() >= ends:
            break
        time.sleep(POLL_SECONDS)
    now = found.power if found is not None and isinstance(found.power, str) else "not known"
    raise TargetError(
        f"{plan.host} is still {now} {within} after {step.reset}, not {step.until}",
        hint="its system may not react to it: see its console; --force takes its power at once"
        if step.reset == "GracefulShutdown"
        else "see its controller's own log",
    )


def _changed(
    host: Placed, by: Controllers, act: Callable[[Changing], None], seconds: float
) -> None:
    def work() -> None:
        with by.changing(host) as controller:
            act(controller)

    async def one(_host: Placed) -> None:
        await in_thread(work)

    found = asyncio.run(over((host,), one, seconds=seconds))[host.name]
    if isinstance(found, Unreachable):
        raise TargetError(
            f"{host.name}: {found.reason}; whether it was told is not known", hint=found.hint
        )


__all__ = ["set_boot", "set_power"]
