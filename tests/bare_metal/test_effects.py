"""What a part of a cluster takes with it when it goes down, held against the cables themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bare_metal.fabric import FabricPlan, wire
from bare_metal.inventory import parse_cluster
from bare_metal.maintaining import effects_of, find_part
from llmops.errors import InputError


def _plan(units: int = 2, hosts: int = 4, radix: int = 16, **fabric: int) -> FabricPlan:
    more = "".join(f", {name}: {value}" for name, value in fabric.items())
    text = (
        f"kind: Cluster\nname: lab\nfabric: {{radix: {radix}{more}}}\n"
        f"units: [{{name: su, count: {units}, hosts: {hosts}}}]\n"
    )
    return wire(parse_cluster(text).value)


PLAN = _plan()


def test_a_host_takes_itself_and_its_cables() -> None:
    found = effects_of(PLAN, find_part(PLAN, "su1-001"))
    assert (found.hosts, found.rails, found.cables) == (("su1-001",), (), 8)
    assert found.capacity == 1.0


def test_a_leaf_takes_one_rail_of_its_units_hosts() -> None:
    found = effects_of(PLAN, find_part(PLAN, "leaf-su1-r3"))
    assert not found.hosts
    (loss,) = found.rails
    assert (loss.unit, loss.rail, len(loss.hosts)) == ("su1", 3, 4)


def test_a_rail_takes_the_leaves_of_every_unit_and_of_one_where_that_is_said() -> None:
    whole = effects_of(PLAN, find_part(PLAN, "rail3"))
    assert [(loss.unit, loss.rail) for loss in whole.rails] == [("su1", 3), ("su2", 3)]
    (one,) = effects_of(PLAN, find_part(PLAN, "su2/rail3")).rails
    assert (one.unit, one.rail) == ("su2", 3)


def test_a_spine_takes_no_host_but_its_share_of_every_leafs_uplinks() -> None:
    spines = [one.name for one in PLAN.switches if one.role == "spine"]
    found = effects_of(PLAN, find_part(PLAN, spines[0]))
    assert found.silent
    assert found.capacity == pytest.approx(1 - 1 / len(spines))


def test_a_core_takes_a_share_through_the_spines_below_it() -> None:
    plan = _plan(units=4, hosts=4, radix=8)
    core = next(one.name for one in plan.switches if one.role == "core")
    found = effects_of(plan, find_part(plan, core))
    assert found.silent
    assert 0 < found.capacity < 1


def test_what_is_not_in_the_plan_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="no host, switch or rail 'leaf-su1-r33'") as refused:
        find_part(PLAN, "leaf-su1-r33")
    assert "leaf-su1-r3" in refused.value.hint
    with pytest.raises(InputError):
        find_part(PLAN, "rail9")


@settings(max_examples=60, deadline=None)
@given(units=st.integers(1, 4), hosts=st.integers(1, 8), at=st.integers(0, 10_000))
def test_each_lost_rail_is_a_cable_that_goes_dark(units: int, hosts: int, at: int) -> None:
    plan = _plan(units, hosts)
    switch = plan.switches[at % len(plan.switches)]
    found = effects_of(plan, find_part(plan, switch.name))
    lost = {(host, loss.rail) for loss in found.rails for host in loss.hosts}
    cut = {
        (one.host, one.rail)
        for one in plan.adapters
        for cable in plan.cables
        if cable.low.node == one.name and cable.high.node == switch.name
    }
    assert lost == cut
    assert 0.0 <= found.capacity <= 1.0
