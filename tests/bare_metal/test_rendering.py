"""The cable plan in the forms of those who read it: each is parsed by what parses such files."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
import yaml

from bare_metal.fabric import FORMS, FabricPlan, summary, told
from tests.bare_metal.faults import plan_of

SMALL = plan_of(2, 7, 16)
LARGE = plan_of(5, 5, 16)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_plan_gives_the_same_bytes(form: str) -> None:
    assert FORMS[form](plan_of(2, 7, 16)) == FORMS[form](SMALL)
    assert FORMS[form](SMALL).endswith("\n")


def rows(form: str, plan: FabricPlan) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FORMS[form](plan))))


def test_the_table_has_every_cable_once_with_both_ends() -> None:
    table = rows("cables", SMALL)
    assert len(table) == len(SMALL.cables)
    assert table[0] == {
        "cable": "c00001", "link": "4xHDR", "from_rack": "su1-r1", "from": "su1-001 mlx5_0",
        "from_port": "1", "to_rack": "su1-net", "to": "leaf-su1-r1", "to_port": "1",
    }  # fmt: skip


def test_each_cable_has_two_labels_that_name_each_other() -> None:
    labels = rows("labels", SMALL)
    assert set(Counter(row["cable"] for row in labels).values()) == {2}
    assert labels[0]["here"] == "su1-r1 su1-001 mlx5_0 port 1"
    assert labels[0]["there"] == f"to {labels[1]['here']}"
    assert labels[1]["there"] == f"to {labels[0]['here']}"


def test_slurm_is_told_of_one_switch_for_a_unit_and_not_of_its_rails() -> None:
    conf = FORMS["slurm-conf"](SMALL).splitlines()
    assert conf[0] == f"SwitchName=su1 Nodes={','.join(f'su1-{n:03}' for n in range(1, 8))}"
    assert conf[-1] == "SwitchName=fabric Switches=su1,su2"
    (tree,) = yaml.safe_load(FORMS["slurm-yaml"](SMALL))
    switches = tree["tree"]["switches"]
    assert [one["switch"] for one in switches] == ["su1", "su2", "fabric"]
    assert switches[-1]["children"] == "su1,su2"


def test_units_that_share_spines_are_a_block_where_there_are_cores() -> None:
    (tree,) = yaml.safe_load(FORMS["slurm-yaml"](LARGE))
    by_name = {one["switch"]: one for one in tree["tree"]["switches"]}
    assert LARGE.shape.levels == 3
    assert by_name["fabric"]["children"] == "su1,su2,su3,su4,su5" or by_name["block1"]


def test_nodes_are_labelled_and_kueue_is_told_the_levels() -> None:
    topology, *nodes = yaml.safe_load_all(FORMS["kubernetes"](SMALL))
    keys = [level["nodeLabel"] for level in topology["spec"]["levels"]]
    assert keys == ["llmops/fabric-block", "llmops/fabric-unit", "kubernetes.io/hostname"]
    assert len(nodes) == 14
    assert nodes[7]["metadata"] == {
        "name": "su2-001",
        "labels": {"llmops/fabric-block": "block1", "llmops/fabric-unit": "su2"},
    }


def test_ibdiagnet_gets_a_line_for_each_cable() -> None:
    lines = FORMS["ibdiagnet"](SMALL).splitlines()
    assert len(lines) == len(SMALL.cables)
    assert lines[0] == "MQM8700 leaf-su1-r1 P1 -4x-50G-> HCA_mlx5_0 su1-001 mlx5_0/P1"
    form = re.compile(r"^MQM8700 \S+ P\d+ -4x-50G-> (HCA_\S+ \S+ \S+/P1|MQM8700 \S+ P\d+)$")
    assert all(form.match(line) for line in lines)


@pytest.mark.parametrize("plan", [SMALL, LARGE, plan_of(1, 1, 16)], ids=["two", "three", "one"])
def test_the_picture_has_every_switch_and_host_with_a_title(plan: FabricPlan) -> None:
    root = ET.fromstring(FORMS["svg"](plan))
    titles = {title.text or "" for title in root.iter("{http://www.w3.org/2000/svg}title")}
    for switch in plan.switches:
        assert f"{switch.name} in rack {switch.rack}" in titles
    for host in {one.host for one in plan.adapters}:
        assert any(title.startswith(f"{host} in rack") for title in titles)
    wide, tall = (float(size) for size in root.attrib["viewBox"].split()[2:])
    for box in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(box.attrib.get("x", 0)) + float(box.attrib["width"]) <= wide
        assert float(box.attrib.get("y", 0)) + float(box.attrib["height"]) <= tall


def test_the_picture_stays_readable_at_512_hosts() -> None:
    """No box lies over another, and a host can be pointed at on a screen of 1,920 pixels."""
    plan = plan_of(16, 32, 64)
    text = FORMS["svg"](plan)
    assert len(text) < 2**20, "what a browser draws at once"
    root, svg = ET.fromstring(text), "{http://www.w3.org/2000/svg}"
    wide = float(root.attrib["viewBox"].split()[2])
    hosts = [box for box in root.iter(f"{svg}rect") if box.attrib.get("class") == "host"]
    switches = [group.find(f"{svg}rect") for group in root.iter(f"{svg}g")]
    assert (len(hosts), len(switches)) == (512, len(plan.switches))
    sizes = [
        tuple(float(box.attrib[key]) for key in ("x", "y", "width", "height"))
        for box in (*hosts, *switches)
        if box is not None
    ]
    assert min(w for _, _, w, _ in sizes[:512]) * 1920 / wide > 7
    rows: dict[float, list[tuple[float, float]]] = {}
    for x, y, w, _ in sizes:
        rows.setdefault(y, []).append((x, x + w))
    for row in map(sorted, rows.values()):
        assert all(end < begin for (_, end), (begin, _) in pairwise(row)), row
    heights = sorted({(y, y + h) for _, y, _, h in sizes})
    assert all(end < begin for (_, end), (begin, _) in pairwise(heights)), heights
    labels = [one.text for one in root.iter(f"{svg}text") if one.attrib.get("class") == "small"]
    assert labels == [f"r{rail}" for _ in range(16) for rail in range(1, 9)]
    lines = {line.attrib["stroke-opacity"] for line in root.iter(f"{svg}line")}
    assert lines == {"0.15"}, "a crowd of cables is drawn so faint that what is below shows"


def test_the_summary_adds_up() -> None:
    for plan in (SMALL, LARGE):
        data = summary(plan)
        assert sum(data["cables"].values()) == len(plan.cables)
        assert data["leaves"] + data["spines"] + data["cores"] == len(plan.switches)
        assert str(data["leaves"]) in "\n".join(told(plan))
