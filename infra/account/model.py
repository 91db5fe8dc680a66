"""What there is in a cloud account, as far as it concerns what llmops has made. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Caller:
    """Who these credentials are."""

    account: str
    arn: str


@dataclass(frozen=True, slots=True)
class Quota:
    """How many vCPUs of some families of machines an account may run at once."""

    name: str
    """As Service Quotas calls it, such as `Running On-Demand P instances`."""
    limit: float


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that carries our tags."""

    arn: str
    kind: str
    """Service and type of its ARN, such as `ec2:instance`."""
    id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    """Id of what it is attached to or was started by; empty where it stands alone."""
    machine: str = ""
    """Type of a machine that runs; empty for everything else."""
    market: str = "on_demand"
    vcpus: int = 0


@dataclass(frozen=True, slots=True)
class Priced:
    """A thing, and what it costs an hour in US dollars; None where the catalogue does not say."""

    thing: Thing
    usd_per_hour: float | None


@dataclass(frozen=True, slots=True)
class Started:
    """A machine, and what has started it."""

    id: str
    machine: str
    """Its type."""
    address: str
    """Its private one; empty where it has none yet."""
    template: str
    """Id and version of the launch template, as `lt-…:3`; empty where it was none."""
    there: bool
    """Whether it is there to stay: it is not being ended."""
    since: float
    """Unix seconds when it was started."""


@dataclass(frozen=True, slots=True)
class Group:
    """The machines of an Auto Scaling group."""

    template: str
    """What it starts machines from now."""
    machines: tuple[Started, ...]
    desired: int
    """How many it keeps."""

    @property
    def there(self) -> tuple[Started, ...]:
        """Those that are there to stay."""
        return tuple(one for one in self.machines if one.there)

    @property
    def behind(self) -> tuple[Started, ...]:
        """Those of them that were started from another template than a new one would be."""
        return tuple(one for one in self.there if one.template != self.template)


__all__ = ["Caller", "Group", "Priced", "Quota", "Started", "Thing"]
