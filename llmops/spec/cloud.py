"""What every cloud's target of a spec has: where, which machines, how many more, for how much.

A cloud is a class of its own that adds what is its own (`aws`); planning and policies ask for this
base alone, so that another cloud is another class and no branch anywhere. `kind` is the provider's
name in the catalogue.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from llmops.spec.bounds import Form
from llmops.spec.document import Section

Reach = Literal["machine", "network", "internet"]

HEAD_PORT = 8000
"""Port of the gateway on the head."""


class CloudBudget(Section):
    """What the machines may cost."""

    usd_per_hour: Annotated[float, Field(ge=0.01, le=1_000_000, strict=False)] | None = None
    """US dollars an hour for all machines together, by the catalogue's prices. A plan that costs
    more is refused, and so is one whose price nobody knows. Left out: nothing is refused."""


class CloudTarget(Section):
    """Machines of a cloud, made for one service."""

    kind: str
    """The provider, as the catalogue calls it."""

    region: str
    """Where the machines are."""

    zone: str | None = None
    """The one zone that the machines must be in."""

    machine: Annotated[str, Form("a type of machine")] | Literal["auto"] = "auto"
    """Type of the machines. `auto` takes the cheapest that the model fits on."""

    market: str = "on_demand"
    """How machines are paid for."""

    reservation: str | None = None
    """Capacity that was reserved beforehand."""

    spare: Annotated[int, Field(ge=0, le=100)] = 0
    """Machines beyond those that the replicas need: room for the next release beside the old one,
    and for a machine that is lost. They cost as much as the others."""

    roll: Literal["never", "auto"] = "never"
    """Whether a deploy replaces machines that would be started otherwise now, such as from another
    image. `never` leaves them, and the plan says how many there are. `auto` replaces one after
    another: a machine ends when its replicas serve elsewhere, for which it needs `spare`, and the
    next one follows when its successor has joined."""

    head_machine: str
    """Type of the machine that leads: without GPUs."""

    image: str = "auto"
    """What machines boot from."""

    packages: str = "index"
    """Where machines install the locked packages from."""

    budget: CloudBudget = CloudBudget()
    """What the machines may cost."""

    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.:/=+@-]{0,128}$"), Form("a name")] = ""
    """Who answers for the machines: the value of the tag `llmops:owner` of everything."""

    @property
    def reach(self) -> Reach:
        """From how far away its endpoint can be reached."""
        return "machine"

    def address(self, service: str) -> tuple[str, int]:
        """Host and port that clients ask."""
        return f"{service}.{self.region}", HEAD_PORT
