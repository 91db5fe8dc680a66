"""Real lldpd daemons as hosts, leaves and spines: what they tell is held against the plan."""

from __future__ import annotations

import os

import pytest

from bare_metal.fabric import FabricPlan, Report, Verdict, verify_neighbours, wire
from bare_metal.hosts.facts import gather
from bare_metal.inventory import Placed, parse_cluster
from bare_metal.neighbours import FACTS, answer_of
from tests.bare_metal.lldp import Lldp, missing, network, settled

pytestmark = [pytest.mark.engines, pytest.mark.timeout(300)]

FILE = """\
kind: Cluster
name: small
fabric: {kind: roce, radix: 4, link: 10GbE}
hcas: [{device: mlx5_0, rail: 1, interface: rdma0}, {device: mlx5_1, rail: 2, interface: rdma1}]
units: [{name: su, hosts: 2}]
"""
PLAN = wire(parse_cluster(FILE).value)


@pytest.fixture(autouse=True)
def programs() -> None:
    if gone := missing():
        why = f"{', '.join(gone)} are missing: install lldpd, and run as root"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


def look(plan: FabricPlan, lldp: Lldp) -> Report:
    """What all devices say of their neighbours, held against the plan."""
    devices = [Placed(name, "", 0, "") for name in (*plan.of_host, *plan.ports)]
    found = gather(devices, lldp, only=FACTS)
    return verify_neighbours(
        plan, {name: answer_of(plan, name, one) for name, one in found.items()}
    )


def test_a_swapped_cable_is_told_with_its_two_ends_by_real_daemons() -> None:
    first, second = PLAN.cables[0], PLAN.cables[3]
    with network(PLAN) as lldp:
        settled(60, lambda: look(PLAN, lldp).verdict is Verdict.PASS)
        whole = look(PLAN, lldp)
        assert (whole.cables, whole.nodes) == (len(PLAN.cables), len(PLAN.racks))
        lldp.unplug(first.low)
        lldp.unplug(second.low)
        lldp.plug(first.low, second.high)
        lldp.plug(second.low, first.high, mtu=1500)
        settled(60, lambda: look(PLAN, lldp).verdict is Verdict.FAIL)
        settled(60, lambda: len(look(PLAN, lldp).faults) == 3)
        told = {fault.id: fault for fault in look(PLAN, lldp).faults}
        lldp.devices["su-002"].stop()
        settled(60, lambda: "fabric.not-asked" in {one.id for one in look(PLAN, lldp).faults})
    message = told["fabric.rail-swap"].message
    assert "su-001 mlx5_0 port rdma0 in rack su-r1 leads to leaf-su-r2 port swp2" in message
    assert "su-002 mlx5_1 port rdma1 in rack su-r1 leads to leaf-su-r1 port swp1" in message
    assert {end.node for end in told["fabric.rail-swap"].ends} == {
        "su-001 mlx5_0", "su-002 mlx5_1", "leaf-su-r1", "leaf-su-r2",
    }  # fmt: skip
    assert told["fabric.mtu"].measured == "1500"
