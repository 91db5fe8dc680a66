"""`fabric.kind: roce`, called as a user calls it: plans, forms, and what was kept of neighbours."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from bare_metal import neighbours
from bare_metal.fabric import FORMS, Answer, NotAsked, wire
from bare_metal.fabric.ethernet.chassis import device_of
from bare_metal.hosts.connection import Ran, RecordedConnector, record
from bare_metal.hosts.facts import CommandFact, facts_of
from bare_metal.inventory import Cluster, parse_cluster
from bare_metal.neighbours import load
from llmops.errors import InputError
from tests.bare_metal.wired import Wired, roce_plan, text_of

LLMOPS = Path(sys.executable).with_name("llmops")
SMALL = (2, 3, 8, 2)
PLAN = roce_plan(*SMALL)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(LLMOPS), "cluster", *arguments], cwd=folder, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yaml").write_text(text_of(*SMALL))
    return tmp_path


def keep(wired: Wired, folder: Path) -> None:
    """A recording of every device that can be asked, as SSH would have brought it."""
    argv = {fact.name: fact.argv for fact in facts_of() if isinstance(fact, CommandFact)}
    for device, answer in wired.answers().items():
        if isinstance(answer, NotAsked) or answer.ports is None:
            continue
        texts = {"/proc/version": "Linux\n"}
        for name, port in answer.ports.items():
            texts[f"/sys/class/net/{name}/operstate"] = "up\n" if port.up else "down\n"
            texts[f"/sys/class/net/{name}/mtu"] = f"{port.mtu}\n"
            if port.up:
                texts[f"/sys/class/net/{name}/speed"] = f"{port.speed}\n"
        own = [{"id": [{"type": "mac", "value": answer.chassis}], "name": [{"value": answer.name}]}]
        chassis = json.dumps({"local-chassis": [{"chassis": own}]})
        record(
            folder / device, texts,
            {
                argv["neighbours"]: Ran(0, wired.printed(device)),
                argv["chassis"]: Ran(0, chassis),
            },
        )  # fmt: skip


def swapped() -> Wired:
    """The fabric with the cables of two hosts swapped over rails."""
    wired = Wired(PLAN, random.Random(1))
    one, other = PLAN.cables[0], PLAN.cables[3]
    wired.join(one.low, other.high)
    wired.join(other.low, one.high)
    return wired


def test_the_plan_is_that_of_the_other_kind_with_names_for_ports() -> None:
    infiniband = wire(
        parse_cluster(
            "kind: Cluster\nname: alpha\nfabric: {radix: 8}\n"
            "hcas: [{device: mlx5_0, rail: 1}, {device: mlx5_1, rail: 2}]\n"
            "units: [{name: su, count: 2, hosts: 3}]\n"
        ).value
    )
    assert PLAN.shape == infiniband.shape
    for ours, theirs in zip(PLAN.cables, infiniband.cables, strict=True):
        assert [end.node for end in ours] == [end.node for end in theirs]
        assert ours.high.port == f"swp{theirs.high.port}"
        if infiniband.heights.get(theirs.low.node):
            assert ours.low.port == f"swp{theirs.low.port}"
        else:
            assert ours.low.port == f"rdma{theirs.low.node[-1]}"


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        ("{form: 'Ethernet{port}', first: 0, step: 8}", ("Ethernet0", "Ethernet8", "Ethernet16")),
        ("{form: 'swp{port}s{lane}', lanes: [0, 1]}", ("swp1s0", "swp1s1", "swp2s0")),
        ("{form: 'Ethernet{port}/{lane}', lanes: [1, 5]}", ("Ethernet1/1", "Ethernet1/5",
                                                            "Ethernet2/1")),
    ],
)  # fmt: skip
def test_ports_are_named_as_the_maker_of_the_switch_does(
    ports: str, names: tuple[str, ...]
) -> None:
    text = "kind: Cluster\nname: a\nfabric: {kind: roce, radix: 8}\nunits: [{name: su, hosts: 2}]\n"
    plan = wire(parse_cluster(f"{text}switches: [{{name: leaf-su-r1, ports: {ports}}}]\n").value)
    assert plan.ports["leaf-su-r1"][:3] == names
    assert plan.ports["leaf-su-r2"][:3] == ("swp1", "swp2", "swp3")
    assert plan.cables[0].high.port == names[0]


def test_forms_for_people_and_schedulers_are_written() -> None:
    rows = list(csv.DictReader(io.StringIO(FORMS["cables"](PLAN))))
    assert rows[0] == {
        "cable": "c00001", "link": "400GbE", "from_rack": "su1-r1", "from": "su1-001 mlx5_0",
        "from_port": "rdma0", "to_rack": "su1-net", "to": "leaf-su1-r1", "to_port": "swp1",
    }  # fmt: skip
    labels = list(csv.DictReader(io.StringIO(FORMS["labels"](PLAN))))
    assert labels[1]["here"] == "su1-net leaf-su1-r1 port swp1"
    assert FORMS["slurm-conf"](PLAN).startswith("SwitchName=su1 Nodes=su1-001,")
    assert next(yaml.safe_load_all(FORMS["kubernetes"](PLAN)))["kind"] == "Topology"
    assert "400GbE" in ET.tostring(ET.fromstring(FORMS["svg"](PLAN)), "unicode")


@pytest.mark.parametrize("form", ["ibnetdiscover", "ibdiagnet"])
def test_forms_that_only_infiniband_reads_are_refused_with_the_reason(form: str) -> None:
    with pytest.raises(InputError, match="talks to InfiniBand switches only") as refused:
        FORMS[form](PLAN)
    assert "cables, labels" in refused.value.hint


def test_a_swapped_cable_is_told_from_what_was_kept(folder: Path) -> None:
    keep(swapped(), folder / "dump")
    done = run(folder, "fabric", "verify", "--dump", "dump")
    assert done.returncode == 3, done.stderr
    assert "su1-001 mlx5_0 port rdma0 in rack su1-r1 leads to leaf-su1-r2 port swp2" in done.stdout
    assert "alpha: fail; 1 fault," in done.stdout
    data = json.loads(run(folder, "fabric", "verify", "--dump", "dump", "-o", "json").stdout)
    assert data["faults"][0]["id"] == "fabric.rail-swap"
    assert {"node": "leaf-su1-r2", "port": "swp2"} in data["faults"][0]["ends"]


def test_a_fabric_as_planned_ends_with_nought_and_hosts_alone_with_four(folder: Path) -> None:
    keep(Wired(PLAN, random.Random(1)), folder / "all")
    assert run(folder, "fabric", "verify", "--dump", "all").returncode == 0
    keep(Wired(PLAN, random.Random(1), switches=False), folder / "hosts")
    unknown = run(folder, "fabric", "verify", "--dump", "hosts")
    assert unknown.returncode == 4
    assert "are told of by nobody" in unknown.stdout


def test_what_only_one_kind_takes_is_refused_of_the_other(folder: Path) -> None:
    since = run(folder, "fabric", "verify", "--dump", "d", "--since", "d")
    assert (since.returncode, "no error counters are read" in since.stderr) == (2, True)
    both = run(folder, "fabric", "verify", "--dump", "d", "--save", "e")
    assert (both.returncode, "nothing new is asked for" in both.stderr) == (2, True)
    none = run(folder, "fabric", "verify", "--dump", "nowhere")
    assert (none.returncode, "expected what hosts or switches answered" in none.stderr) == (2, True)


def test_a_swapped_cable_counts_against_its_hosts(folder: Path) -> None:
    keep(swapped(), folder / "dump")
    done = run(
        folder, "check", "su1-001", "--recorded", "dump", "--fabric", "dump", "-o", "json"
    )  # fmt: skip
    (host,) = json.loads(done.stdout)["hosts"]
    swap = next(one for one in host["results"] if one["check"] == "fabric.rail-swap")
    assert (swap["subject"], host["usable"]) == ("mlx5_0", False)


def test_a_switch_may_be_kept_as_the_one_file_that_it_printed(tmp_path: Path) -> None:
    cluster = parse_cluster(text_of(*SMALL)).value
    wired = Wired(PLAN, random.Random(1))
    keep(wired, tmp_path)
    for name in ("leaf-su1-r1", "spine-01"):
        for path in sorted((tmp_path / name).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / name).rmdir()
        (tmp_path / f"{name}.json").write_text(wired.printed(name))
    (tmp_path / "spine-01.json").write_text("% Unknown command")
    found = load(cluster, PLAN, tmp_path)
    leaf, spine = found["leaf-su1-r1"], found["spine-01"]
    assert isinstance(leaf, Answer)
    assert leaf.ports is None
    assert {one.interface for one in leaf.neighbours} > {"swp1", "swp2", "swp3"}
    assert isinstance(spine, NotAsked)
    assert "spine-01.json: expected JSON of lldpcli" in spine.reason


def test_switches_are_asked_as_the_file_says_and_what_all_answer_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "switches: [{name: leaf-su1-r1, address: 10.0.5.1}]\n"
    text = text_of(*SMALL, more).replace("kind: roce", "kind: roce, access: {user: admin}")
    cluster = parse_cluster(text).value
    keep(Wired(PLAN, random.Random(1)), tmp_path / "there")
    users = []

    def opened(asked: Cluster, _folder: Path) -> RecordedConnector:
        users.append(asked.access.user)
        return RecordedConnector(tmp_path / "there")

    monkeypatch.setattr(neighbours, "connector", opened)
    found = neighbours.ask(cluster, tmp_path, PLAN, most=4, keep=tmp_path / "kept")
    assert users == ["root", "admin"]
    assert set(found) == {*PLAN.of_host, "leaf-su1-r1"}
    assert load(cluster, PLAN, tmp_path / "kept") == found


def test_keys_of_switches_are_pinned_apart(folder: Path) -> None:
    none = run(folder, "hosts", "pin", "--switches", "spine-01", "--yes")
    assert none.returncode == 2
    assert "expected a switch with an address, found 'spine-01'" in none.stderr


def test_a_port_belongs_to_the_device_before_its_name() -> None:
    assert device_of(PLAN.cables[0].low) == "su1-001"
    assert device_of(PLAN.cables[0].high) == "leaf-su1-r1"
