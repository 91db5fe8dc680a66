"""Faults of an Ethernet fabric, told of by LLDP: each is found, none invented, each rule needed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from bare_metal.fabric import (
    ETHERNET_RULES,
    Answer,
    FabricPlan,
    Report,
    Verdict,
    verify_neighbours,
    wire,
)
from bare_metal.inventory import parse_cluster
from tests.bare_metal.wired import KINDS, Wired, planted, roce_plan

PLANS = {
    "112 adapters": roce_plan(2, 7, 16),
    "504 adapters": roce_plan(3, 21, 44),
    "three levels": roce_plan(5, 5, 16),
    "two rails": roce_plan(2, 6, 16, rails=2),
}
SEEDS = range(60)
CASES = [
    (name, seed)
    for name, count in (("112 adapters", 60), ("504 adapters", 8), ("three levels", 8),
                        ("two rails", 60))
    for seed in range(count)
]  # fmt: skip


def said(report: Report) -> Counter[tuple[str, frozenset[str]]]:
    return Counter((fault.id, frozenset(end.node for end in fault.ends)) for fault in report.faults)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_fabric_as_planned_passes(plan: FabricPlan) -> None:
    report = verify_neighbours(plan, Wired(plan, random.Random(0)).answers())
    assert (report.verdict, report.faults) == (Verdict.PASS, ())
    assert (report.cables, report.nodes) == (len(plan.cables), len(plan.racks))


@pytest.mark.parametrize(("name", "seed"), CASES)
def test_every_planted_fault_is_found_and_none_invented(name: str, seed: int) -> None:
    plan = PLANS[name]
    wired, expected = planted(plan, seed)
    assert said(verify_neighbours(plan, wired.answers())) == Counter(expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_hosts_alone_tell_all_faults_of_their_own_cables(seed: int) -> None:
    plan = PLANS["112 adapters"]
    wired, expected = planted(plan, seed, switches=False)
    told = said(verify_neighbours(plan, wired.answers()))
    (unseen,) = [fault for fault in told if fault[0] == "fabric.unseen-cables"]
    assert unseen[1] == {switch.name for switch in plan.switches}
    del told[unseen]
    assert told == Counter(expected)


def test_every_kind_of_fault_is_among_those_planted() -> None:
    kinds = {fault for name, seed in CASES for fault, _ in planted(PLANS[name], seed)[1]}
    assert kinds == {
        f"fabric.{kind}"
        for kind in (
            "missing-cable", "swapped-cables", "rail-swap", "moved-cable", "extra-cable", "speed",
            "mtu", "missing-host", "missing-switch", "missing-interface", "wrong-name",
            "duplicate-name", "duplicate-chassis", "unknown-node", "silent-port", "unnamed-port",
            "two-answers", "not-asked",
        )
    }  # fmt: skip
    assert len(KINDS) == 19


@pytest.mark.parametrize("rule", ETHERNET_RULES)
def test_without_a_rule_its_faults_are_missed(rule: str) -> None:
    plan = PLANS["two rails"]
    others = [name for name in ETHERNET_RULES if name != rule]
    missed = 0
    for seed in range(25):
        answers = planted(plan, seed)[0].answers()
        whole = said(verify_neighbours(plan, answers))
        less = said(verify_neighbours(plan, answers, others))
        assert less <= whole
        missed += (whole - less).total()
    assert missed > 0


def spoiled(plan: FabricPlan, *, switches: bool = True) -> Wired:
    return Wired(plan, random.Random(1), switches)


def test_both_ends_of_swapped_rails_are_named_with_their_racks() -> None:
    plan = PLANS["112 adapters"]
    wired = spoiled(plan)
    one, other = plan.cables[0], plan.cables[9]
    wired.join(one.low, other.high)
    wired.join(other.low, one.high)
    (fault,) = verify_neighbours(plan, wired.answers()).faults
    assert fault.id == "fabric.rail-swap"
    assert (
        "su1-001 mlx5_0 port rdma0 in rack su1-r1 leads to leaf-su1-r2 port swp2 in rack su1-net,"
        " planned is leaf-su1-r1 port swp1 in rack su1-net" in fault.message
    )
    assert "su1-002 mlx5_1 port rdma1 in rack su1-r1 leads to leaf-su1-r1 port swp1" in (
        fault.message
    )


def test_cables_that_nobody_can_be_asked_about_are_unknown_and_never_pass() -> None:
    plan = PLANS["two rails"]
    report = verify_neighbours(plan, spoiled(plan, switches=False).answers())
    (fault,) = report.faults
    assert (report.verdict, fault.id) == (Verdict.UNKNOWN, "fabric.unseen-cables")
    assert fault.message.startswith("32 of 56 cables are told of by nobody")
    assert report.cables == 24


def test_nobody_who_answers_is_unknown() -> None:
    plan = PLANS["two rails"]
    wired = spoiled(plan, switches=False)
    wired.gone = dict.fromkeys(plan.of_host, "lldpcli: not found")
    report = verify_neighbours(plan, wired.answers())
    assert report.verdict is Verdict.UNKNOWN
    assert {fault.id for fault in report.faults} == {"fabric.not-asked", "fabric.unseen-cables"}
    asked = next(fault for fault in report.faults if fault.id == "fabric.not-asked")
    assert "su1-001, su1-002, su1-003, su1-004, su1-005 and 7 more could not be" in asked.message
    assert len(asked.ends) == len(plan.adapters)


def test_a_host_that_hears_nobody_is_unknown_and_not_healthy() -> None:
    plan = PLANS["two rails"]
    wired = spoiled(plan, switches=False)
    wired.mute = {end for cable in plan.cables for end in cable}
    report = verify_neighbours(plan, wired.answers())
    assert report.verdict is Verdict.UNKNOWN
    silent = [fault for fault in report.faults if fault.id == "fabric.silent-port"]
    assert len(silent) == 12
    assert silent[0].message == (
        "su1-001: rdma0, rdma1 are up and hear nobody, planned is leaf-su1-r1 port swp1,"
        " leaf-su1-r2 port swp1"
    )


def test_what_was_saved_of_neighbours_alone_leaves_speed_and_mtu_unknown() -> None:
    plan = PLANS["two rails"]
    answers = {
        name: replace(one, ports=None)
        for name, one in spoiled(plan).answers().items()
        if isinstance(one, Answer)
    }
    report = verify_neighbours(plan, answers)
    assert report.verdict is Verdict.UNKNOWN
    assert {fault.id for fault in report.faults} == {"fabric.speed-unknown", "fabric.mtu-unknown"}


def test_a_larger_mtu_of_a_switch_is_right_and_of_a_host_is_not() -> None:
    plan = PLANS["two rails"]
    wired = spoiled(plan)
    wired.mtus = dict.fromkeys((end for cable in plan.cables for end in cable), 9216)
    faults = verify_neighbours(plan, wired.answers()).faults
    assert {(fault.id, fault.measured, fault.expected) for fault in faults} == {
        ("fabric.mtu", "9216", "9000")
    }
    assert len(faults) == len(plan.adapters)
    assert all("fabric.roce.mtu" in fault.source for fault in faults)


def test_interfaces_that_were_not_declared_are_those_that_hosts_say() -> None:
    text = "kind: Cluster\nname: a\nfabric: {kind: roce, radix: 16}\nhcas:\n"
    text += "- {device: mlx5_0, rail: 1}\n- {device: mlx5_1, rail: 2}\n"
    text += "units: [{name: su, count: 2, hosts: 6}]\n"
    plan = wire(parse_cluster(text).value)
    declared = PLANS["two rails"]
    told = {f"mlx5_{at}": f"rdma{at}" for at in range(2)}
    answers = {
        name: replace(one, interfaces=told if name in plan.of_host else {})
        for name, one in spoiled(declared).answers().items()
        if isinstance(one, Answer)
    }
    report = verify_neighbours(plan, answers)
    assert (report.verdict, report.cables) == (Verdict.PASS, len(plan.cables))
    answers["su1-001"] = replace(answers["su1-001"], interfaces={})
    untold = verify_neighbours(plan, answers)
    assert untold.verdict is Verdict.UNKNOWN
    assert ("fabric.missing-interface", frozenset({"su1-001 mlx5_0"})) in said(untold)


def test_who_is_still_heard_through_a_port_that_is_down_is_not_believed() -> None:
    plan = PLANS["two rails"]
    answers = dict(spoiled(plan).answers())
    low, high = plan.cables[0]
    leaf = answers[high.node]
    assert isinstance(leaf, Answer)
    assert leaf.ports is not None
    answers[high.node] = replace(
        leaf,
        neighbours=tuple(one for one in leaf.neighbours if one.interface != high.port),
        ports={**leaf.ports, str(high.port): replace(leaf.ports[str(high.port)], up=False)},
    )
    report = verify_neighbours(plan, answers)
    assert said(report) == Counter({("fabric.two-answers", frozenset({low.node, high.node})): 1})
    assert report.verdict is Verdict.UNKNOWN
