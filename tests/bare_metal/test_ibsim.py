"""Faults planted in a simulated fabric, found by the real programs and told by ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bare_metal.fabric import FORMS, Cable, FabricPlan, Verdict, verify
from tests.bare_metal.faults import Spoiled, plan_of, planted
from tests.bare_metal.simulated import Simulated, missing, simulated
from tests.bare_metal.test_verify import said

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

SIZES = {
    "104": plan_of(2, 7, 16),
    "504": plan_of(3, 21, 44),
    "2,000": plan_of(8, 32, 64),
    "4,096": plan_of(16, 32, 64),
}
SEEDS = range(60)


@pytest.fixture(autouse=True)
def programs() -> None:
    if gone := missing():
        why = f"{', '.join(gone)} are missing: install ibsim-utils, opensm and infiniband-diags"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)


@pytest.mark.parametrize("plan", SIZES.values(), ids=SIZES)
def test_a_fabric_as_planned_passes_and_each_fault_is_told(
    plan: FabricPlan, tmp_path: Path
) -> None:
    with simulated(plan, FORMS["ibnetdiscover"](plan), tmp_path) as fabric:
        none = verify(plan, fabric.dump())
        # Without one no port has an address, so counters cannot be asked for either.
        assert {fault.id for fault in none.faults} == {
            "fabric.no-subnet-manager",
            "fabric.counters-unknown",
        }
        with fabric.manager():
            whole = verify(plan, fabric.dump())
            assert (whole.verdict, whole.faults) == (Verdict.PASS, ())
            assert whole.cables == len(plan.cables)
            _plant(fabric)
            told = said(verify(plan, fabric.dump()))
    first, second, third, fourth = _victims(plan)
    names = [frozenset({cable.low.node, cable.high.node}) for cable in (first, second, third)]
    # A port whose cable was pulled while the manager asked may have dropped a packet: that is so.
    pulled = names[0] | names[1] | names[2]
    for fault in [one for one in told if one[0] == "fabric.errors" and one[1] <= pulled]:
        del told[fault]
    assert told == Counter(
        {
            ("fabric.missing-cable", names[0]): 1,
            ("fabric.rail-swap", names[1] | names[2]): 1,
            ("fabric.errors", frozenset({fourth.high.node})): 1,
        }
    )


def _victims(plan: FabricPlan) -> tuple[Cable, ...]:
    """Cables of four hosts, each on another rail; the first host is the one that looks."""
    rails = plan.shape.rails
    return tuple(plan.cables[at * rails + at] for at in range(1, 5))


def _plant(fabric: Simulated) -> None:
    first, second, third, fourth = _victims(fabric.plan)
    for low, _ in (first, second, third):
        fabric.tell(f'Unlink "{fabric.identifier(low.node)}"[1]')
    for low, high in ((second[0], third[1]), (third[0], second[1])):
        fabric.tell(
            f'Link "{fabric.identifier(low.node)}"[1] "{fabric.identifier(high.node)}"[{high.port}]'
        )
    port = f'"{fabric.identifier(fourth[1].node)}"[{fourth[1].port}]'
    fabric.tell(f"PerformanceSet {port} PortCounters.SymbolErrorCounter=120")


@pytest.mark.parametrize("size", ["104", "504"])
def test_random_faults_are_discovered_as_planted(size: str, tmp_path: Path) -> None:
    """Names, cables, speeds and absences as a real discovery shows them; counters are above."""
    plan = SIZES[size]
    for seed in SEEDS:
        spoiled, expected = planted(plan, seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        with simulated(plan, _readable(spoiled), folder) as fabric:
            report = verify(plan, fabric.dump(), rules=("cabling", "names", "speeds"))
        wanted = Counter(fault for fault in expected if fault[0] != "fabric.errors")
        assert said(report) == wanted, f"seed {seed}"


def _readable(spoiled: Spoiled) -> str:
    """The spoiled fabric, begun from a host that no fault cut off."""
    text = spoiled.discovery()
    assert "Ca\t" in text
    return text


GUIDE = Path(__file__).parents[2] / "docs" / "bare-metal.md"


def test_the_guide_says_what_its_commands_print(tmp_path: Path) -> None:
    """Its commands as they stand, but in one shell, which ends what it started."""
    text = GUIDE.read_text(encoding="utf-8")
    parts = [_part(text, title) for title in ("Describe it", "Write and draw it", "Try it")]
    (tmp_path / "cluster.yaml").write_text(_blocks(parts[0], "yaml")[0])
    commands = "".join(block for part in parts for block in _blocks(part, "bash"))
    # By force: OpenSM does not end for a while once its simulator has.
    script = f"trap 'kill -KILL %1 %2 %3' EXIT\n{commands}".replace("sleep 600", "sleep 280")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-m", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PATH": path, "IBSIM_SOCKNAME": f"guide{os.getpid()}"}, check=False,
    )  # fmt: skip
    plan, fault = (block for part in parts for block in _blocks(part, "text"))
    assert plan in done.stdout
    # Where OpenSM sweeps while cables are out, ibsim counts discards, and one fault more is told.
    swap, _, counted = fault.rpartition("alpha: fail; 1 fault, ")
    assert swap in done.stdout
    assert f", {counted}" in done.stdout
    assert "alpha: pass; no faults, 536 of 536 nodes answered" in done.stdout
    assert (tmp_path / "topology.yaml").exists()


def _part(text: str, title: str) -> str:
    """What stands below a heading that begins so."""
    return re.split(r"^## ", text.partition(f"\n## {title}")[2], maxsplit=1, flags=re.MULTILINE)[0]


def _blocks(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
