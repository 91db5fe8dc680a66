"""`cluster.yaml`: what it means, and what is refused with its place and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bare_metal.inventory import Cluster, hosts_of, parse_cluster, shape_of
from bare_metal.inventory.generate import stale
from llmops.errors import SpecError
from tests.effort import effort
from tests.spec.test_bad_input import JARGON

CASES = sorted((Path(__file__).parents[1] / "cases" / "cluster").glob("*.yaml"))

ROWS = [
    # radix, hosts of a unit, units: leaves, spines, cores
    (64, 32, 1, (8, 4, 0)),
    (64, 32, 2, (16, 8, 0)),
    (64, 32, 3, (24, 16, 0)),
    (64, 32, 4, (32, 16, 0)),
    (64, 32, 8, (64, 32, 0)),
    (64, 32, 16, (128, 128, 64)),
    (64, 32, 32, (256, 256, 128)),
    (64, 32, 64, (512, 512, 256)),
    (144, 72, 1, (8, 4, 0)),
    (144, 72, 2, (16, 8, 0)),
    (144, 72, 4, (32, 18, 0)),
    (144, 72, 8, (64, 36, 0)),
    (144, 72, 18, (144, 72, 0)),
]
"""From NVIDIA's DGX SuperPOD reference architectures (H100 and B200: 64 ports; B300: 144)."""


def cluster(text: str) -> Cluster:
    return parse_cluster(f"kind: Cluster\nname: alpha\n{text}").value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_wrong_file_is_refused_with_everything_that_is_wrong(case: Path) -> None:
    document = yaml.safe_load(case.read_text(encoding="utf-8"))
    with effort() as spent, pytest.raises(SpecError) as caught:
        parse_cluster(document["text"])
    assert spent.seconds < 2
    assert caught.value.exit_code == 2
    told = caught.value.problems
    places = [(problem.line, problem.column, problem.path) for problem in told]
    assert places == [(p["line"], p["column"], p["path"]) for p in document["problems"]]
    for problem, wanted in zip(told, document["problems"], strict=True):
        assert wanted["message"] in problem.message
        assert wanted["hint"] in problem.hint
        assert not JARGON.search(problem.message + problem.hint)


@pytest.mark.parametrize(("radix", "hosts", "units", "counts"), ROWS)
def test_published_fabrics_come_out_as_published(
    radix: int, hosts: int, units: int, counts: tuple[int, int, int]
) -> None:
    text = f"fabric: {{radix: {radix}}}\nunits: [{{name: su, count: {units}, hosts: {hosts}}}]"
    shape = shape_of(cluster(text))
    assert (shape.leaves, shape.all_spines, shape.all_cores) == counts
    assert shape.oversubscription == 1


def test_a_unit_that_is_not_full_keeps_its_leaves_and_uplinks() -> None:
    full = shape_of(cluster("units: [{name: su, count: 4, hosts: 32}]"))
    assert shape_of(cluster("units: [{name: su, count: 4, hosts: 9}]")) == full


def test_fewer_uplinks_are_told_as_oversubscription() -> None:
    shape = shape_of(cluster("fabric: {uplinks: 16}\nunits: [{name: su, count: 4, hosts: 48}]"))
    assert shape.oversubscription == 3
    assert (shape.down, shape.up) == (48, 16)


def test_hosts_are_named_and_stand_where_the_file_says() -> None:
    hosts = hosts_of(
        cluster(
            "units: [{name: su, count: 2, hosts: 5}, {name: odd, hosts: 1, per_rack: 8}]\n"
            "hosts: [{unit: su2, slot: 5, name: login-1}, {unit: odd, slot: 1, rack: R7.2}]"
        )
    )
    assert [(host.name, host.rack) for host in hosts[3:6]] == [
        ("su1-004", "su1-r1"),
        ("su1-005", "su1-r2"),
        ("su2-001", "su2-r1"),
    ]
    assert [(host.name, host.rack) for host in hosts[-2:]] == [
        ("login-1", "su2-r2"),
        ("odd-001", "R7.2"),
    ]


def test_schema_and_reference_are_those_of_the_models() -> None:
    assert stale() == []
