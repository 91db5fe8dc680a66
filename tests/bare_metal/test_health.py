"""Checks of hosts on recorded trees: every planted fault is found, none is invented.

The trees were written by hand (`trees`): no check here has seen the hardware it is about.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bare_metal.fabric import Fault, Verdict
from bare_metal.fabric.model import End
from bare_metal.health import (
    Check,
    Health,
    check_data,
    checks_of,
    read_thresholds,
    report_lines,
    table,
    verdicts,
)
from bare_metal.health.measures import MEASURES
from bare_metal.hosts.connection import RecordedConnector, Unreachable
from bare_metal.hosts.facts import NAMES, HostFacts, Readings, gather
from bare_metal.inventory import Cluster, hosts_of
from llmops.errors import SpecError
from tests.bare_metal import trees

CASES = sorted((Path(__file__).parents[1] / "cases" / "health").glob("*.yaml"))
PLACED = (
    trees.FILE
    + "hcas:\n"
    + "".join(
        f"  - {{device: mlx5_{at}, rail: {at + 1}, pci: '{trees.slot(at)}'}}\n" for at in range(8)
    )
)
ROCE = "fabric: {kind: roce}\n" + PLACED.replace("rail:", "interface: rdma@, rail:")
for number in range(8):
    ROCE = ROCE.replace("rdma@", f"rdma{number}", 1)
KINDS = {"infiniband": PLACED, "roce": ROCE}
ALLOWED = """\
kind: HealthChecks
checks: [{id: hca.firmware, value: [28.39.1002], source: "our list of firmware, March"}]
"""


def case(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


@pytest.fixture(scope="module")
def declared() -> Cluster:
    return trees.cluster(PLACED)


@pytest.fixture(scope="module")
def ethernet() -> Cluster:
    return trees.cluster(ROCE)


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "thresholds.yaml"
    path.write_text(ALLOWED)
    return path


@pytest.fixture(scope="module")
def checks(declared: Cluster, allowed: Path) -> tuple[Check, ...]:
    return checks_of(declared, read_thresholds(allowed), load=True)


def facts(declared: Cluster, folder: Path, spoil: dict[str, Any] | None = None) -> HostFacts:
    """What is known of the first host, by way of a recording."""
    host = hosts_of(declared)[0]
    tree = trees.healthy(host.name, host.address, ethernet=declared.fabric.kind == "roce")
    trees.spoil(tree, spoil or {})
    tree.write(folder / host.name)
    found = gather([host], RecordedConnector(folder), load=True)[host.name]
    assert isinstance(found, HostFacts)
    return found


def judged(declared: Cluster, found: HostFacts, checks: tuple[Check, ...]) -> Health:
    host = hosts_of(declared)[0]
    return verdicts(declared, {host.name: found}, checks=checks, hosts=[host])


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_planted_fault_is_found_and_missed_without_its_check(
    path: Path, allowed: Path, tmp_path: Path
) -> None:
    document = case(path)
    declared = trees.cluster(KINDS[document.get("fabric", "infiniband")])
    checks = checks_of(declared, read_thresholds(allowed), load=True)
    found = facts(declared, tmp_path, document["spoil"])
    wanted = document["finds"]
    health = judged(declared, found, checks)
    (host,) = health.hosts
    told = {(one.check, one.subject): one for one in host.results}
    result = told[wanted["check"], wanted["subject"]]
    assert str(result.verdict) == wanted["verdict"]
    assert wanted["measured"] in result.measured
    assert host.usable == document["usable"]
    assert result.source
    assert result.action
    without = tuple(check for check in checks if check.id != wanted["check"])
    assert len(without) == len(checks) - 1
    missed = judged(declared, found, without).hosts[0].results
    assert wanted["check"] not in {one.check for one in missed}


def test_every_check_has_a_planted_fault() -> None:
    planted = {case(path)["finds"]["check"] for path in CASES}
    assert {check.id for check in table()} == planted


def test_a_healthy_host_passes_every_check(
    declared: Cluster, ethernet: Cluster, allowed: Path, tmp_path: Path
) -> None:
    made = set()
    for cluster in (declared, ethernet):
        checks = checks_of(cluster, read_thresholds(allowed), load=True)
        made |= {check.id for check in checks}
        health = judged(cluster, facts(cluster, tmp_path / cluster.fabric.kind), checks)
        assert health.hosts[0].results == ()
        assert health.verdict is Verdict.PASS
        assert set(health.hosts[0].links.values()) == {Verdict.PASS}
        # Each check of a host counts once, those of GPUs and links eight times.
        assert health.hosts[0].passed > len(checks)
    assert made == {check.id for check in table()}


def test_what_only_one_kind_of_fabric_has_is_not_checked_of_the_other(
    declared: Cluster, ethernet: Cluster
) -> None:
    ids = {check.id for check in checks_of(declared)}
    other = {check.id: check.value for check in checks_of(ethernet)}
    assert not any(one.startswith("roce.") for one in ids)
    assert "hca.name" in ids - other.keys()
    assert (other["hca.rate"], other["hca.layer"]) == (400, "Ethernet")
    assert (other["roce.mtu"], other["roce.rdma-mtu"]) == (9000, 4096)


@pytest.mark.parametrize(("index", "usable"), [(3, True), (1, True), (2, False), (9, False)])
def test_the_entry_that_is_declared_must_be_of_roce_v2(
    index: int, usable: bool, tmp_path: Path
) -> None:
    text = ROCE.replace("{kind: roce}", f"{{kind: roce, roce: {{gid_index: {index}}}}}")
    cluster = trees.cluster(text)
    (host,) = judged(cluster, facts(cluster, tmp_path), checks_of(cluster)).hosts
    assert host.usable == usable
    assert {one.check for one in host.results} == (set() if usable else {"roce.gid"})


@pytest.mark.parametrize("check", table(), ids=lambda check: check.id)
def test_no_check_is_without_a_source_or_an_action(check: Check) -> None:
    assert len(check.source) > 10, f"{check.id} has a threshold from nowhere"
    assert check.action
    assert check.fact in NAMES
    assert check.measure in MEASURES
    assert check.reads
    assert check.verdict in (Verdict.FAIL, Verdict.DEGRADED)


def test_every_measure_is_used() -> None:
    assert {check.measure for check in table()} == set(MEASURES)


def test_what_is_declared_makes_the_thresholds() -> None:
    slow = trees.cluster(trees.FILE + "fabric: {link: 4xHDR}\nhcas: [{device: mlx5_0, rail: 1}]\n")
    values = {check.id: check.value for check in checks_of(slow)}
    assert values["hca.rate"] == 200
    assert values["hca.count"] == 1
    bare = trees.cluster("kind: Cluster\nname: a\nunits: [{name: su, hosts: 2}]\n")
    ids = {check.id for check in checks_of(bare)}
    assert not ids & {"gpu.count", "gpu.nvlinks", "host.memlock", "host.iommu", "load.nccl"}
    assert "hca.rate" in ids


def test_a_host_that_does_not_answer_is_unknown_and_left_out(
    declared: Cluster, checks: tuple[Check, ...], tmp_path: Path
) -> None:
    found = facts(declared, tmp_path)
    gone = Unreachable("10.0.0.2 port 22 does not answer")
    readings: Readings = {"su-001": found, "su-002": gone}
    health = verdicts(declared, readings, checks=checks)
    assert [one.host.name for one in health.usable] == ["su-001"]
    out = {one.host.name: one.why for one in health.left_out}
    assert "does not answer" in out["su-002"]
    assert "was not asked" in out["su-003"]
    assert set(health.hosts[1].links.values()) == {Verdict.UNKNOWN}
    text = "\n".join(report_lines("alpha", health))
    assert "left out: su-002 in rack su-r1" in text
    assert "which cost 96.00 USD an hour" in text
    assert "no check has seen the hardware" in text


def test_a_fault_of_the_fabric_counts_against_its_host_and_link(
    declared: Cluster, checks: tuple[Check, ...], tmp_path: Path
) -> None:
    swapped = Fault(
        "fabric.rail-swap", Verdict.FAIL, "swapped", (End("su-001 mlx5_2", 1),), "leaf-su-r4", "r3"
    )
    found = facts(declared, tmp_path)
    health = verdicts(
        declared, {"su-001": found}, checks=checks, faults=[swapped], hosts=hosts_of(declared)[:1]
    )
    assert health.hosts[0].links["mlx5_2"] is Verdict.FAIL
    assert health.hosts[0].links["mlx5_3"] is Verdict.PASS
    assert not health.hosts[0].usable


def test_thresholds_of_a_file_are_used_with_their_source(declared: Cluster, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "kind: HealthChecks\nchecks:\n"
        "- {id: gpu.temperature, value: 30, source: our vendor's letter}\n"
        "- {id: gpu.ecc-mode, skip: true, source: our own reasons}\n"
    )
    own = checks_of(declared, read_thresholds(tmp_path / "own.yaml"))
    assert "gpu.ecc-mode" not in {check.id for check in own}
    (host,) = judged(declared, facts(declared, tmp_path), own).hosts
    assert {one.check for one in host.results} == {"gpu.temperature"}
    assert {one.source for one in host.results} == {"our vendor's letter"}
    assert host.usable


BAD = {
    "- {id: gpu.temprature, value: 3, source: some letter}": (
        "3:8",
        "did you mean gpu.temperature",
    ),
    "- {id: gpu.temperature, value: 80}": ("3:3", "expected where the value is from"),
    "- {id: gpu.temperature, source: some letter}": ("3:3", "either a value or skip"),
    "- {id: gpu.temperature, value: hot, source: some letter}": ("3:32", "expected a number"),
    "- {id: gpu.xid, value: 3, source: some letter}": ("3:24", "expected a list"),
}


@pytest.mark.parametrize("line", BAD)
def test_a_wrong_file_of_thresholds_is_refused(line: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"kind: HealthChecks\nchecks:\n{line}\n")
    with pytest.raises(SpecError) as caught:
        read_thresholds(path)
    (place, words), text = BAD[line], str(caught.value)
    assert f"own.yaml:{place}" in text
    assert words in text


def test_the_list_shows_checks_that_do_not_apply(declared: Cluster) -> None:
    rows = {row["id"]: row for row in check_data(checks_of(declared))}
    assert not rows["load.nccl"]["applies"]
    assert rows["hca.rate"]["expected"] == "at least 400"
    assert "/sys/class/infiniband" in rows["hca.rate"]["reads"]


def test_a_check_that_is_off_finds_nothing(
    declared: Cluster, checks: tuple[Check, ...], tmp_path: Path
) -> None:
    looser = tuple(
        replace(check, value=10**6) if check.id == "gpu.temperature" else check for check in checks
    )
    hot = facts(declared, tmp_path, case(next(p for p in CASES if p.stem == "hot"))["spoil"])
    assert judged(declared, hot, looser).hosts[0].results == ()
