"""Operations on services: the clock's, the subnet manager's, and others that are wanted.

Pure. A service that is not installed is refused: packages are the administrator's.
"""

from __future__ import annotations

from collections.abc import Iterator

from bare_metal.hosts.facts import HostFacts
from bare_metal.hosts.operations.model import Change, Desired, Kept, Refusal, Said, known

SUBNET_MANAGER = "opensm"
ON = ("enabled", "enabled-runtime", "static", "alias", "generated")


def running(facts: HostFacts, name: str) -> Iterator[Said]:
    """A service that is to run, now and after each start."""
    unit = f"{name}.service"
    state = known(facts.unit_files, "unit files").get(unit)
    active = known(facts.units, "units").get(unit)
    if state is None:
        yield Refusal(
            f"{name} is to run, and is not installed",
            f"install it with the host's own package manager, or take {name} out of the file",
        )
    elif state == "masked":
        yield Refusal(f"{name} is to run, and is masked", f"systemctl unmask {unit}")
    elif state in ON and active is not None and active.active == "active":
        yield Kept(f"{name} runs, and is started with the host")
    else:
        found = active.active if active else "not running"
        yield Change(
            f"start {name} now and with the host; it is {found}, {state}",
            ("systemctl", "enable", "--now", unit),
        )


def stopped(facts: HostFacts, name: str, why: str) -> Iterator[Said]:
    """A service that is not to run."""
    unit = f"{name}.service"
    state = known(facts.unit_files, "unit files").get(unit)
    active = known(facts.units, "units").get(unit)
    if (active is None or active.active == "inactive") and state not in (
        "enabled",
        "enabled-runtime",
    ):
        yield Kept(f"{name} does not run here: {why}")
    else:
        yield Change(
            f"stop {name}, now and for good: {why}", ("systemctl", "disable", "--now", unit)
        )


def clock(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """What keeps the clock."""
    if want.system.time is not None:
        yield from running(facts, want.system.time)


def subnet_manager(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """The subnet manager, on the chosen hosts and on no other."""
    chosen = want.system.subnet_managers
    if not chosen:
        return
    if want.host in chosen:
        yield from running(facts, SUBNET_MANAGER)
    else:
        yield from stopped(facts, SUBNET_MANAGER, f"it is to run on {', '.join(chosen)} only")


def others(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """Other services."""
    for name in want.system.services:
        yield from running(facts, name)
