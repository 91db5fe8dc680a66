"""How the machines of a plan are shown: what is taken, what it costs, and what would come next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops.units import Bytes

if TYPE_CHECKING:
    from llmops.planning import MachineOffer, MachinePlan

Row = tuple[str, str, str]


def machine_rows(machines: MachinePlan | None) -> list[Row]:
    """Rows of a plan's table; none where the target makes no machines."""
    if machines is None:
        return []
    zones = ", ".join(machines.zones) or "unknown"
    return [
        ("machine", str(machines.machine.value), machines.machine.reason),
        ("machines", str(machines.count.value), machines.count.reason),
        ("head", str(machines.head.value), machines.head.reason),
        ("region", machines.region, f"zones {zones}"),
        ("market", machines.market, machines.reservation or "no reservation"),
        ("image", str(machines.image.value), machines.image.reason),
        ("disk", Bytes(int(machines.disk.value)).human(), machines.disk.reason),
        ("usd_per_hour", money(machines.usd_per_hour.value), machines.usd_per_hour.reason),
        ("usd_per_month", money(machines.usd_per_month.value), machines.usd_per_month.reason),
        *(_offered(offer) for offer in machines.offers),
    ]


def machine_line(machines: MachinePlan) -> str:
    """What is made and what it costs, in a line to agree to."""
    return (
        f"{machines.count.value} x {machines.machine.value} ({machines.market}) and a head"
        f" {machines.head.value} in {machines.region}: {money(machines.usd_per_hour.value)} USD an"
        f" hour, {money(machines.usd_per_month.value)} a month"
    )


def money(value: float | str) -> str:
    """An amount for people; a word stays."""
    return value if isinstance(value, str) else f"{value:,.2f}"


def _offered(offer: MachineOffer) -> Row:
    price = "unknown" if offer.usd_per_hour is None else f"{offer.usd_per_hour:,.2f} USD/h"
    return "next", f"{offer.count} x {offer.machine}, {offer.market}: {price}", offer.reason
