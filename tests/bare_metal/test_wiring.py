"""What holds for the cable plan of every cluster that is accepted."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bare_metal.fabric import Dump, End, FabricPlan, Verdict, verify, wire
from bare_metal.fabric.rendering.netfile import netfile
from bare_metal.inventory import UnwirableError, parse_cluster, shape_of
from llmops.errors import SpecError
from tests.bare_metal.faults import HEALTHY, MASTER


@st.composite
def plans(draw: st.DrawFn) -> FabricPlan:
    radix = draw(st.sampled_from([4, 8, 12, 16, 24, 40]))
    rails = draw(st.integers(1, 8))
    uplinks = draw(st.one_of(st.none(), st.integers(1, radix - 1)))
    hcas = ", ".join(f"{{device: mlx5_{at}, rail: {at * 2 + 1}}}" for at in range(rails))
    units = draw(st.integers(1, 14))
    hosts = draw(st.integers(1, 12))
    text = (
        "kind: Cluster\nname: alpha\n"
        f"fabric: {{radix: {radix}{f', uplinks: {uplinks}' if uplinks else ''}}}\n"
        f"hcas: [{hcas}]\nunits: [{{name: su, count: {units}, hosts: {hosts}}}]\n"
    )
    try:
        return wire(parse_cluster(text).value)
    except SpecError:
        assume(False)
        raise


@given(plan=plans())
def test_every_port_has_one_cable_and_is_one_of_the_switch(plan: FabricPlan) -> None:
    ends = [end for cable in plan.cables for end in cable]
    assert len(ends) == len(set(ends)) == len(plan.peers)
    adapters = {one.name for one in plan.adapters}
    for end in ends:
        assert 1 <= int(end.port) <= (1 if end.node in adapters else plan.shape.radix)
    assert set(plan.racks) >= {end.node for end in ends}


@given(plan=plans())
def test_every_adapter_is_on_the_leaf_of_its_rail_at_its_slot(plan: FabricPlan) -> None:
    leaves = {switch.name: switch for switch in plan.switches if switch.role == "leaf"}
    for adapter in plan.adapters:
        leaf, port = plan.peers[End(adapter.name, 1)]
        assert (leaves[leaf].unit, leaves[leaf].rail, port) == (
            adapter.unit, adapter.rail, adapter.slot,
        )  # fmt: skip


@given(plan=plans())
def test_every_leaf_uses_all_its_uplinks_and_spreads_them_evenly(plan: FabricPlan) -> None:
    heights = plan.heights
    up = Counter(cable.low.node for cable in plan.cables if heights[cable.low.node] == 1)
    leaves = [switch.name for switch in plan.switches if switch.role == "leaf"]
    assert all(up[leaf] == plan.shape.up for leaf in leaves) or plan.shape.levels == 1
    pairs = Counter(
        (cable.low.node, cable.high.node) for cable in plan.cables if heights[cable.low.node] == 1
    )
    assert set(pairs.values()) <= {plan.shape.leaf_cables}


@given(plan=plans())
def test_every_host_reaches_every_other(plan: FabricPlan) -> None:
    joined: dict[str, set[str]] = {}
    for low, high in plan.cables:
        joined.setdefault(low.node, set()).add(high.node)
        joined.setdefault(high.node, set()).add(low.node)
    start = plan.adapters[0].name
    reached, todo = {start}, [start]
    while todo:
        for other in joined[todo.pop()] - reached:
            reached.add(other)
            todo.append(other)
    assert reached == set(plan.racks)


@given(plan=plans())
def test_a_plan_passes_its_own_verification(plan: FabricPlan) -> None:
    report = verify(plan, Dump(netfile(plan), HEALTHY, MASTER))
    assert (report.verdict, report.faults) == (Verdict.PASS, ())


def test_what_outnumbers_the_switches_is_refused_and_not_wired_badly() -> None:
    small = "kind: Cluster\nname: a\nfabric: {radix: 8}\nunits: [{name: su, count: 4, hosts: 4}]\n"
    cluster = parse_cluster(small).value
    more = cluster.model_copy(update={"units": (cluster.units[0].model_copy(update={"count": 5}),)})
    assert shape_of(cluster).levels == 3
    with pytest.raises(UnwirableError, match="expected at most 4 units"):
        shape_of(more)
