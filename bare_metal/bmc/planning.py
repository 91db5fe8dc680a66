"""What has to be told to a controller so that its host is on, off, or starts from elsewhere. Pure.

Decided from what the controller says now, so that a second run does nothing. Refuses what it does
not take, and what is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bare_metal.bmc.model import Boot, Controller
from bare_metal.hosts.facts import Unknown
from llmops.errors import RefusedError, TargetError


class Power(StrEnum):
    """What a host's power shall be."""

    ON = "on"
    OFF = "off"
    CYCLE = "cycle"


class BootFrom(StrEnum):
    """Where a host shall start from."""

    PXE = "pxe"
    HTTP = "http"
    DISK = "disk"
    CD = "cd"
    USB = "usb"
    SETUP = "setup"
    NORMAL = "normal"


TARGETS = {
    BootFrom.PXE: "Pxe", BootFrom.HTTP: "UefiHttp", BootFrom.DISK: "Hdd", BootFrom.CD: "Cd",
    BootFrom.USB: "Usb", BootFrom.SETUP: "BiosSetup",
}  # fmt: skip
"""Redfish's names of them; `normal` takes the override away."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something told to a controller, and the state that it leads to."""

    reset: str
    """A `ResetType` of Redfish."""
    until: str
    """A `PowerState`."""
    why: str


@dataclass(frozen=True, slots=True)
class PowerPlan:
    """What is to do to a host's power."""

    host: str
    system: str
    found: str
    steps: tuple[Step, ...]

    @property
    def ends_work(self) -> bool:
        """Whether what runs on the host ends."""
        return any(step.until == "Off" for step in self.steps)


@dataclass(frozen=True, slots=True)
class BootPlan:
    """What is to do so that a host starts from somewhere."""

    host: str
    system: str
    found: Boot
    target: str
    """Empty where the override goes."""
    enabled: str

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return not self.holds(self.found)

    def holds(self, boot: Boot) -> bool:
        """Whether it starts from there."""
        if boot.enabled != self.enabled:
            return False
        return self.enabled == "Disabled" or boot.target == self.target

    @property
    def text(self) -> str:
        """What is wanted, for people."""
        return Boot(self.target, self.enabled).text


def plan_power(host: str, found: Controller, wanted: Power, *, force: bool) -> PowerPlan:
    """What is to do so that a host is on, off, or off and on again.

    Args:
        host: Its name.
        found: What its controller says.
        wanted: What is wanted.
        force: Whether power goes at once in place of a shutdown.

    Raises:
        TargetError: When the controller does not say whether the host is on.
        RefusedError: When it is between the two, or what is needed is not taken.
    """
    if isinstance(found.power, Unknown):
        raise TargetError(f"{host}: {found.power.reason}", hint="see its controller's own pages")
    if found.power not in ("On", "Off"):
        raise RefusedError(
            f"{host} is neither on nor off: {found.power}",
            hint="wait until it is one of them: llmops cluster bmc show",
        )
    off = (
        Step("ForceOff", "Off", "take its power at once, without a shutdown")
        if force
        else Step("GracefulShutdown", "Off", "shut its system down, which ends its power")
    )
    on = Step("On", "On", "start it")
    steps = {Power.ON: (on,), Power.OFF: (off,), Power.CYCLE: (off, on)}[wanted]
    todo = steps if wanted is Power.CYCLE and found.power == "On" else steps[-1:]
    if len(todo) == 1 and todo[0].until == found.power:
        todo = ()
    for step in todo:
        if found.resets and step.reset not in found.resets:
            raise RefusedError(
                f"{host}: its controller does not take {step.reset}; it takes"
                f" {', '.join(found.resets)}",
                hint="--force takes its power without a shutdown" if not force else "",
            )
    return PowerPlan(host, found.system, found.power, todo)


def plan_boot(host: str, found: Controller, wanted: BootFrom, *, permanent: bool) -> BootPlan:
    """What is to do so that a host starts from somewhere.

    Raises:
        TargetError: When the controller does not say where it starts from.
        RefusedError: When the controller does not take that.
    """
    now = found.pending or found.boot
    if isinstance(now, Unknown):
        raise TargetError(f"{host}: {now.reason}", hint="see its controller's own pages")
    allowed = now.allowed or (found.boot.allowed if isinstance(found.boot, Boot) else ())
    target = TARGETS.get(wanted, "")
    if target and allowed and target not in allowed:
        raise RefusedError(
            f"{host}: its controller does not take {target}; it takes {', '.join(allowed)}"
        )
    enabled = "Disabled" if not target else "Continuous" if permanent else "Once"
    return BootPlan(host, found.system, now, target, enabled)


__all__ = ["BootFrom", "BootPlan", "Power", "PowerPlan", "Step", "plan_boot", "plan_power"]
