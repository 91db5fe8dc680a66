"""The words of machines that are made for a service: what can be had, and what is taken.

Values only. Money in US dollars. A price that nobody has sourced is absent, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmops.catalog import Catalogue
from llmops.planning.figure import Figure

UNKNOWN = "unknown"
"""In place of a price that the catalogue does not have."""


@dataclass(frozen=True, slots=True)
class CloudFacts:
    """What can be had of a cloud; what nobody could look up is empty."""

    catalogue: Catalogue
    """Machines and prices: the shipped ones and the user's own."""
    zones: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Zones of the region that offer a type of machine, by type."""
    images: Mapping[str, str] = field(default_factory=dict)
    """The image that a parameter's name stands for now."""


@dataclass(frozen=True, slots=True)
class MachineOffer:
    """Machines that hold the service, and what they cost together."""

    machine: str
    """Type, such as `g6e.xlarge`."""
    count: int
    market: str
    """`on_demand`, `spot` or `capacity_block`."""
    accelerator: str
    gpus: int
    """Of one machine."""
    fabric: str
    """What network joins such machines, in the catalogue's words; empty where not known."""
    rails: int
    """Network cards of it that serve the devices; 1 where not known."""
    zones: tuple[str, ...]
    """That offer it; empty where nobody could look."""
    usd_per_hour: float | None
    """Of all machines and the head; None where a price is not known."""
    tensor: int
    """GPUs that one replica is cut over on it."""
    reason: str
    stages: int = 1
    """Machines that one replica stands on."""

    @property
    def holds(self) -> str:
        """What stands on one of them, in words."""
        what = "replica(s)" if self.stages == 1 else f"of {self.stages} stages of a replica,"
        return f"{self.gpus // self.tensor} {what} of {self.tensor} GPU(s) on a machine"


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """The machines of a service: taken ones, and what would be taken next."""

    provider: str
    region: str
    machine: Figure
    count: Figure
    market: str
    reservation: str
    accelerator: str
    gpus: int
    fabric: str
    rails: int
    zones: tuple[str, ...]
    head: Figure
    image: Figure
    disk: Figure
    """Bytes of a machine's root volume."""
    usd_per_hour: Figure
    """Of all machines and the head; `unknown` where a price is not known."""
    usd_per_month: Figure
    offers: tuple[MachineOffer, ...] = ()
    """What is taken in place of these where there are none to be had: the next best first."""
