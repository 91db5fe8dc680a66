"""Which quota bounds a type of machine, found by the names that Service Quotas uses. Pure.

Names such as `Running On-Demand G and VT instances` and `All P5 Spot Instance Requests` say which
families they count; the one that names a family most exactly is its own (Amazon EC2 User Guide,
"On-Demand Instance quotas" and "Spot Instance quotas"). They count vCPUs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from infra.account.model import Quota, Thing

ON_DEMAND = re.compile(r"^Running On-Demand (?P<families>.+) instances$")
SPOT = re.compile(r"^All (?P<families>.+) Spot Instance Requests$")
FAMILY = re.compile(r"(?P<letters>[a-z]+?)(?P<generation>[0-9]+)")


def quota_of(machine: str, market: str, quotas: Iterable[Quota]) -> Quota | None:
    """The quota that counts a type of machine in a market; None where none names its family.

    A capacity block is bought: no quota of running machines bounds it.
    """
    if market == "capacity_block":
        return None
    form = SPOT if market == "spot" else ON_DEMAND
    wanted = _names(machine)
    found = [
        (wanted.index(family.lower()), quota)
        for quota in quotas
        if (match := form.match(quota.name))
        for family in re.findall(r"[A-Z][A-Za-z0-9]*", match["families"])
        if family.lower() in wanted
    ]
    return min(found, key=lambda one: one[0])[1] if found else None


def _names(machine: str) -> tuple[str, ...]:
    """What its family may be called, the most exact first: `p5.48xlarge` is `p5`, then `p`."""
    family = machine.partition(".")[0]
    match = FAMILY.match(family)
    if match is None:
        return (family,)
    return f"{match['letters']}{match['generation']}", match["letters"]


def used(quota: Quota, machines: Iterable[Thing], quotas: Iterable[Quota]) -> int:
    """vCPUs of the machines that run which a quota counts."""
    known = tuple(quotas)
    return sum(
        one.vcpus
        for one in machines
        if one.machine and quota_of(one.machine, one.market, known) == quota
    )


__all__ = ["quota_of", "used"]
