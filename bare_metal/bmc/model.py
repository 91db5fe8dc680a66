"""What a management controller says of its host. What it does not say is Unknown, never healthy."""

from __future__ import annotations

from dataclasses import dataclass

from bare_metal.fabric import Verdict
from bare_metal.health import worst
from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import Unknown
from llmops.units import Bytes

HEALTH = {"OK": Verdict.PASS, "Warning": Verdict.DEGRADED, "Critical": Verdict.FAIL}
"""What Redfish's `Status.Health` and `Status.HealthRollup` mean."""
SOURCE = (
    "DMTF Redfish, Resource, Status: OK is normal, Warning requires attention, Critical requires"
    " immediate attention"
)
IDLE = ("Absent", "Disabled", "StandbyOffline")
"""`Status.State` of what is not in use, so that no reading of it is missed."""
PARTS = ("maker", "model", "serial", "bios", "processors", "memory")
"""What a host is made of, beside its firmware."""


@dataclass(frozen=True, slots=True)
class Boot:
    """Where a system starts from."""

    target: str
    """`BootSourceOverrideTarget`, such as `Pxe`."""
    enabled: str
    """`Once`, `Continuous`, or `Disabled`: then it starts from where it always does."""
    mode: str = ""
    allowed: tuple[str, ...] = ()
    """Targets that it takes; empty where it does not say."""

    @property
    def text(self) -> str:
        """For people."""
        return "as set up" if self.enabled == "Disabled" else f"{self.target} {self.enabled}"


@dataclass(frozen=True, slots=True)
class Processors:
    """Processors, counted by sockets."""

    count: int
    model: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds of a sensor as the controller has them; None where it has none.

    `critical` is the nearer of Redfish's critical and fatal thresholds.
    """

    upper_warning: float | None = None
    upper_critical: float | None = None
    lower_warning: float | None = None
    lower_critical: float | None = None

    @property
    def there(self) -> bool:
        """Whether there is any."""
        return self != Limits()

    def crossed(self, reading: float) -> Verdict:
        """What a reading means by them."""
        if _outside(reading, self.lower_critical, self.upper_critical):
            return Verdict.FAIL
        if _outside(reading, self.lower_warning, self.upper_warning):
            return Verdict.DEGRADED
        return Verdict.PASS


def _outside(reading: float, lower: float | None, upper: float | None) -> bool:
    return (upper is not None and reading >= upper) or (lower is not None and reading <= lower)


@dataclass(frozen=True, slots=True)
class Sensor:
    """A sensor, a fan or a power supply."""

    name: str
    chassis: str
    kind: str
    """`temperature`, `fan`, `voltage`, `power`, `supply`, or what the controller calls it."""
    unit: str
    """`Cel`, `RPM`, `%`, `V` or `W`, as UCUM writes them where it can."""
    reading: float | None = None
    limits: Limits = Limits()
    health: str = ""
    """`OK`, `Warning` or `Critical`; empty where the controller does not say."""
    state: str = ""

    @property
    def verdict(self) -> Verdict | None:
        """The worse of its health and its reading by its own thresholds; None where nothing judges.

        A reading with neither health nor thresholds is shown and speaks for nothing.
        """
        if self.state in IDLE or not (self.health or self.limits.there):
            return None
        found = [HEALTH.get(self.health, Verdict.UNKNOWN)] if self.health else []
        if self.reading is not None and self.limits.there:
            found.append(self.limits.crossed(self.reading))
        return worst(found) if found else Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Firmware:
    """A piece of firmware."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Controller:
    """What a controller says of its host."""

    system: str
    """Path of the system that the host is."""
    power: str | Unknown
    """`On`, `Off`, `PoweringOn`, `PoweringOff` or `Paused`."""
    boot: Boot | Unknown
    pending: Boot | None
    """What the next start takes where the controller keeps that apart; None where it does not."""
    maker: str | Unknown
    model: str | Unknown
    serial: str | Unknown
    bios: str | Unknown
    processors: Processors | Unknown
    memory: Bytes | Unknown
    health: str | Unknown
    """Of the system and of all that it depends on: `Status.HealthRollup`."""
    resets: tuple[str, ...]
    """Kinds of reset that it takes; empty where it does not say."""
    sensors: tuple[Sensor, ...] = ()
    firmware: tuple[Firmware, ...] = ()
    missing: tuple[str, ...] = ()
    """Resources that could not be had, each with the reason."""

    @property
    def whole(self) -> bool:
        """Whether all of what the host is made of is known."""
        return not self.missing and not any(
            isinstance(getattr(self, name), Unknown) for name in PARTS
        )

    @property
    def hottest(self) -> Sensor | None:
        """The sensor with the highest temperature; None where none has one."""
        warm = [one for one in self.sensors if one.unit == "Cel" and one.reading is not None]
        return max(warm, key=lambda one: one.reading or 0.0, default=None)


Found = Controller | Unreachable

__all__ = [
    "HEALTH",
    "PARTS",
    "SOURCE",
    "Boot",
    "Controller",
    "Firmware",
    "Found",
    "Limits",
    "Processors",
    "Sensor",
]
