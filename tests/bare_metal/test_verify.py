"""Every planted fault is found, none is invented, and each rule is needed for its own."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bare_metal.fabric import (
    RULES,
    Dump,
    FabricPlan,
    Report,
    Verdict,
    report_data,
    thresholds,
    verify,
)
from tests.bare_metal.faults import HEALTHY, KINDS, MASTER, Spoiled, plan_of, planted

PLANS = {
    "104 adapters": plan_of(2, 7, 16),
    "504 adapters": plan_of(3, 21, 44),
    "three levels": plan_of(5, 5, 16),
    "one host a unit": plan_of(4, 1, 16),
}
SEEDS = range(80)


def said(report: Report) -> Counter[tuple[str, frozenset[str]]]:
    return Counter((fault.id, frozenset(end.node for end in fault.ends)) for fault in report.faults)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_fabric_as_planned_passes(plan: FabricPlan) -> None:
    report = verify(plan, Spoiled(plan, random.Random(0)).dump())
    assert (report.verdict, report.faults) == (Verdict.PASS, ())
    assert report.cables == len(plan.cables)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_planted_fault_is_found_and_none_invented(plan: FabricPlan, seed: int) -> None:
    spoiled, expected = planted(plan, seed)
    assert said(verify(plan, spoiled.dump())) == Counter(expected)


def test_every_kind_of_fault_is_among_those_planted() -> None:
    kinds = {
        fault for plan in PLANS.values() for seed in SEEDS for fault, _ in planted(plan, seed)[1]
    }
    assert kinds >= {
        f"fabric.{kind}"
        for kind in (
            "missing-cable", "swapped-cables", "rail-swap", "moved-cable", "extra-cable", "width",
            "speed", "missing-host", "missing-switch", "wrong-name", "duplicate-name", "errors",
        )
    }  # fmt: skip
    assert len(KINDS) == 11


@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_its_faults_are_missed(rule: str) -> None:
    plan = PLANS["104 adapters"]
    others = [name for name in RULES if name != rule]
    missed = 0
    for seed in range(20):
        spoiled, _ = planted(plan, seed)
        dump = spoiled.dump(managers="mad_rpc: _do_madrpc failed\nsminfo: iberror: failed: query\n")
        whole, less = said(verify(plan, dump)), said(verify(plan, dump, rules=others))
        assert less <= whole
        missed += (whole - less).total()
    assert missed > 0


@pytest.mark.parametrize("seed", range(6))
def test_each_finding_says_how_bad_what_was_measured_and_against_what_by_whom(seed: int) -> None:
    spoiled, _ = planted(PLANS["104 adapters"], seed)
    for managers in (MASTER, ""):
        report = verify(PLANS["104 adapters"], spoiled.dump(managers=managers))
        assert report.faults
        for row in report_data(report)["faults"]:
            assert all(row[key] for key in ("severity", "measured", "expected", "source")), row


def test_both_ends_of_swapped_rails_are_named_with_their_racks() -> None:
    plan = PLANS["104 adapters"]
    spoiled = Spoiled(plan, random.Random(1))
    one, other = plan.cables[0], plan.cables[9]
    spoiled._join(one.low, other.high)
    spoiled._join(other.low, one.high)
    (fault,) = verify(plan, spoiled.dump()).faults
    assert fault.id == "fabric.rail-swap"
    assert "su1-001 mlx5_0 port 1 in rack su1-r1 leads to leaf-su1-r2 port 2 in rack su1-net" in (
        fault.message
    )
    assert "planned is leaf-su1-r1 port 1 in rack su1-net" in fault.message
    assert "su1-002 mlx5_1 port 1 in rack su1-r1 leads to leaf-su1-r1 port 1" in fault.message


def test_a_node_that_nobody_declared_is_told() -> None:
    plan = PLANS["104 adapters"]
    text = Spoiled(plan, random.Random(1)).discovery()
    leaf = '"S-00000a0000000000"'
    text = text.replace(
        f'Switch\t16 {leaf}\t\t# "leaf-su1-r1" enhanced port 0 lid 4 lmc 0\n',
        f'Switch\t16 {leaf}\t\t# "leaf-su1-r1" enhanced port 0 lid 4 lmc 0\n'
        '[8]\t"H-00000000000000aa"[1]\t\t# "laptop mlx5_0" lid 9 4xHDR\n',
    )
    text += (
        f'\nCa\t1 "H-00000000000000aa"\t\t# "laptop mlx5_0"\n[1]\t{leaf}[8]\t\t# "x" lid 4 4xHDR\n'
    )
    told = {fault.id for fault in verify(plan, Dump(text, HEALTHY, MASTER)).faults}
    assert told == {"fabric.unknown-node", "fabric.extra-cable"}


def test_an_identifier_that_two_nodes_have_is_told() -> None:
    plan = PLANS["104 adapters"]
    text = Spoiled(plan, random.Random(1)).discovery()
    text += '\nCa\t1 "H-00000c0000000000"\t\t# "su9-001 mlx5_0"\n'
    (fault,) = verify(plan, Dump(text, HEALTHY, MASTER)).faults
    assert fault.id == "fabric.duplicate-guid"
    assert "su9-001 mlx5_0" in fault.message


@pytest.mark.parametrize(
    ("dump", "told"),
    [
        (lambda s: Dump("", s.errors(), MASTER), "fabric.unknown"),
        (lambda s: Dump(s.discovery()[:4000], s.errors(), MASTER), "fabric.unknown"),
        (lambda _: Dump('Ca\t1 "H-0c"\t\t# "su1-001 mlx5_0"\n', HEALTHY, MASTER), "fabric.unknown"),
        (lambda s: Dump("no such thing\n", s.errors(), MASTER), "fabric.unknown"),
        (lambda s: Dump(s.discovery(), "", MASTER), "fabric.counters-unknown"),
        (lambda s: Dump(s.discovery(), s.errors(), ""), "fabric.subnet-manager-unknown"),
    ],
    ids=["no discovery", "cut off", "one host alone", "another text", "no counters", "no manager"],
)
def test_an_empty_answer_is_never_healthy(dump: object, told: str) -> None:
    plan = PLANS["104 adapters"]
    spoiled = Spoiled(plan, random.Random(1))
    report = verify(plan, dump(spoiled))  # type: ignore[operator]
    assert report.verdict is Verdict.UNKNOWN
    assert [fault.id for fault in report.faults] == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sminfo: iberror: failed: query\n", "fabric.no-subnet-manager"),
        (MASTER.replace("3 SMINFO_MASTER", "2 SMINFO_STANDBY"), "fabric.no-subnet-manager"),
        (MASTER + MASTER.replace("0xc00000000ff", "0xc0000000001"), "fabric.two-subnet-managers"),
    ],
    ids=["none answers", "only one that stands by", "two"],
)
def test_exactly_one_subnet_manager_is_master(text: str, told: str) -> None:
    plan = PLANS["104 adapters"]
    spoiled = Spoiled(plan, random.Random(1))
    report = verify(plan, spoiled.dump(text))
    assert [fault.id for fault in report.faults] == [told]
    assert report.verdict is Verdict.FAIL


def test_only_what_grew_since_the_earlier_reading_is_told() -> None:
    plan = PLANS["104 adapters"]
    end = plan.cables[0].high
    before, now = Spoiled(plan, random.Random(1)), Spoiled(plan, random.Random(1))
    before.counts = [(end, "SymbolErrorCounter", 120), (plan.cables[3].high, "PortRcvErrors", 9)]
    now.counts = [(end, "SymbolErrorCounter", 127), (plan.cables[3].high, "PortRcvErrors", 9)]
    (fault,) = verify(plan, now.dump(), before.dump()).faults
    assert "SymbolErrorCounter grew by 7 since the earlier reading" in fault.message
    assert "towards su1-001 mlx5_0 port 1 in rack su1-r1" in fault.message


def test_every_threshold_says_where_it_is_from() -> None:
    assert len(thresholds()) >= 8
    for limit in thresholds().values():
        assert limit.source.strip()
        assert limit.fix.strip()
        assert limit.threshold >= 0
