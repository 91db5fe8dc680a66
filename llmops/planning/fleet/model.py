"""The words of a fleet plan: options with machine, layout, room and price. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from llmops.catalog import Accelerator, Offer
from llmops.planning.fleet.budget import Budget
from llmops.planning.fleet.needs import Needs
from llmops.planning.parallel import Parallel


@dataclass(frozen=True, slots=True)
class FleetOption:
    """A machine type and a layout on it that meet the needs."""

    offer: Offer
    accelerator: Accelerator
    parallel: Parallel
    machines: int
    """Machines for all replicas."""
    per_machine: int
    """Replicas that share one machine; 0 when one replica takes several."""
    dtype: str
    budget: Budget
    requests: int
    """Requests of typical length at once in one replica, as far as the KV cache goes."""
    region: str
    """Where the price holds; empty without one."""
    price: float | None
    """US dollars an hour for all replicas; 0 for one's own machines, None where not sourced."""
    idle: int
    """Devices of the machines that nothing uses."""
    notes: tuple[str, ...]
    """What to know: what was assumed, what will be slow."""

    @property
    def free(self) -> bool:
        """Whether it is one's own, and no price of one's own was written for it."""
        return self.offer.provider == "own" and not self.offer.prices


@dataclass(frozen=True, slots=True)
class Rejection:
    """A machine type on which it is not to be had, and why."""

    offer: Offer
    reason: str
    closest: Budget | None = None
    """Of the legal layout with the least weights on a device, where memory is what is short."""
    price: float | None = None
    """US dollars an hour, where that is what is too much."""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """The answer: options, the best first, and what was rejected."""

    needs: Needs
    options: tuple[FleetOption, ...]
    rejections: tuple[Rejection, ...]
    why: str
    """Why the first is first."""
