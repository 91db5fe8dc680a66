"""`llmops cluster bmc`, from a file to what is printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bare_metal.bmc import BootFrom, Power
from bare_metal.hosts.connection import held
from bare_metal.inventory import hosts_of
from cli.app import app
from cli.cluster_bmc import Device, To
from llmops.errors import LlmopsError
from tests.bare_metal import controllers, trees
from tests.bare_metal.controllers import CHASSIS, SYSTEM, status
from tests.bare_metal.near import NearConnector
from tests.bare_metal.scenes import Scene, staged
from tests.bare_metal.test_bmc_changing import SERVES, UNIT


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("BMC_PASSWORD", controllers.PASSWORD)
    monkeypatch.setattr("bare_metal.bmc.changing.POLL_SECONDS", 0.02)
    monkeypatch.chdir(tmp_path)
    with staged(2, tmp_path) as there:
        (tmp_path / "cluster.yaml").write_text(there.text)
        yield there


def run(*arguments: str, verb: str = "bmc") -> Result:
    done = CliRunner().invoke(app, ["cluster", verb, *arguments])
    allowed = (SystemExit, LlmopsError)
    assert done.exception is None or isinstance(done.exception, allowed), done.exception
    assert controllers.PASSWORD not in done.output + repr(done.exception)
    return done


def refused(*arguments: str) -> LlmopsError:
    error = run(*arguments).exception
    assert isinstance(error, LlmopsError)
    return error


def test_hosts_are_shown_with_what_is_not_well_and_not_known(scene: Scene) -> None:
    well = run("show")
    assert (well.exit_code, well.stderr) == (0, "")
    assert "su-001  On     as set up  OK      CPU1 61.5 Cel  -" in well.stdout
    scene.fakes[0].tree[SYSTEM]["Status"] = status("Critical", HealthRollup="Critical")
    del scene.fakes[1].tree[f"{CHASSIS}/Thermal"]
    ill = run("show")
    assert ill.exit_code == 3
    assert "fail: su-001: health Critical  [bmc.health]" in ill.stderr
    assert "su-002  On     as set up  OK        unknown        resources: 1" in ill.stdout
    assert run("show", "su-002").exit_code == 4
    hosts = json.loads(run("show", "-o", "json").stdout)["hosts"]
    assert [hosts[name]["verdict"] for name in ("su-001", "su-002")] == ["fail", "unknown"]
    assert hosts["su-001"]["faults"][0]["source"].startswith("DMTF Redfish")
    assert hosts["su-001"]["sensors"][0]["limits"]["upper_critical"] == 89.5


def test_a_controller_that_lets_nobody_in_is_told_for_its_host(scene: Scene) -> None:
    scene.fakes[1].password = "another"
    for verb in (("show",), ("show", "-o", "json")):
        done = run(*verb)
        assert done.exit_code == 4
        assert "does not let ops in" in done.output
    assert run("inventory", "su-002").exit_code == 4
    error = refused("power", "off", "su-002", "--yes")
    assert (error.exit_code, "does not let ops in" in error.message) == (5, True)


def test_sensors_and_parts_of_a_host_are_listed(scene: Scene) -> None:
    listed = run("sensors", "su-001")
    assert listed.exit_code == 0
    assert "1        CPU1     61.5 Cel  warning from 85, critical from 89.5" in listed.stdout
    assert "1        Riser 2  Absent    -" in listed.stdout
    parts = run("inventory", "su-001")
    assert parts.exit_code == 0
    assert "su-001: Acme G8, serial S1" in parts.stdout
    assert "firmware    BMC image: 24.09.1" in parts.stdout
    del scene.fake.tree[SYSTEM]["MemorySummary"]
    data = json.loads(run("inventory", "su-001", "-o", "json").stdout)["hosts"]["su-001"]
    assert data["memory"] == {
        "unknown": "the controller does not say: MemorySummary.TotalSystemMemoryGiB"
    }
    assert run("inventory", "su-001").exit_code == 4


def test_certificates_that_are_not_verified_are_warned_of(scene: Scene) -> None:
    scene.more = ", insecure: true"
    (scene.folder / "cluster.yaml").write_text(scene.text)
    assert "warning: certificates of the controllers are not verified" in run("show").stderr


def test_power_of_a_host_that_a_command_changes_stays(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.healthy("su-001").write(scene.folder / "kept" / "su-001")
    by = NearConnector(scene.folder / "kept")
    monkeypatch.setattr("bare_metal.hosts.connection.connector", lambda *_: by)
    with held(hosts_of(scene.cluster)[:1], by, "prepared"):
        error = refused("power", "off", "su-001", "--yes")
    assert "su-001 is being prepared by pid" in error.message
    assert scene.fake.told == []
    assert run("power", "off", "su-001", "--yes").exit_code == 0


def test_power_of_a_host_that_serves_stays(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from bare_metal.hosts.connection import RecordedConnector

    tree = trees.healthy("su-001")
    tree.files[UNIT] = SERVES
    tree.write(scene.folder / "kept" / "su-001")
    by = RecordedConnector(scene.folder / "kept")
    monkeypatch.setattr("bare_metal.hosts.connection.connector", lambda *_: by)
    error = refused("power", "off", "su-001", "--yes")
    assert error.exit_code == 3
    assert "it serves for s3://bucket/store" in error.message
    assert "llmops cluster maintain su-001" in error.hint
    assert "whether it serves is not known" in refused("power", "cycle", "su-002", "--yes").message
    assert (
        "expected a reason"
        in refused("power", "off", "su-001", "--yes", "--despite-serving", "").message
    )
    assert scene.fake.told == []
    shown = run("power", "off", "su-001", "--preview", "--despite-serving", "it burns")
    assert (shown.exit_code, scene.fake.told) == (0, [])
    assert "GracefulShutdown: shut its system down" in shown.stderr
    done = run("power", "off", "su-001", "--yes", "--despite-serving", "it burns", "-o", "json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["despite"] == "it burns"
    assert "not asked whether it serves: it burns" in done.stderr
    assert "su-001 is Off" in done.stderr
    again = run("power", "off", "su-001", "--yes")
    assert (again.exit_code, "already: nothing to do" in again.stderr) == (0, True)


def test_a_change_is_asked_for_first(scene: Scene) -> None:
    assert "add --yes" in refused("boot", "su-001", "pxe").hint
    assert scene.fake.log == []
    shown = run("boot", "su-001", "pxe", "--preview")
    assert "start it Pxe Once" in shown.stderr
    assert scene.fake.told == []
    assert "su-001 starts Pxe Once" in run("boot", "su-001", "pxe", "--yes").stderr
    again = run("boot", "su-001", "pxe", "--yes", "-o", "json")
    assert json.loads(again.stdout) == {"host": "su-001", "boot": "Pxe Once", "steps": []}
    assert "already: nothing to do" in again.stderr


def test_a_check_takes_the_controllers_in(scene: Scene) -> None:
    for name in ("su-001", "su-002"):
        trees.healthy(name).write(scene.folder / "kept" / name)
    well = json.loads(run("--recorded", "kept", "--bmc", "-o", "json", verb="check").stdout)
    assert well["usable"] == ["su-001", "su-002"]
    scene.fake.tree[f"{CHASSIS}/Thermal"]["Temperatures"][0]["ReadingCelsius"] = 90
    done = run("--recorded", "kept", "--bmc", verb="check")
    assert done.exit_code == 3
    assert "CPU1 in 1: OK, 90 Cel" in done.stdout
    assert "threshold by DMTF Redfish" in done.stdout
    assert "left out: su-001" in done.stdout
    assert run("--recorded", "kept", verb="check").exit_code == 0, "asked only where it is wanted"


def test_what_is_typed_is_what_is_understood() -> None:
    """The words stand twice, since help must not wait for what understands them."""
    assert [word.value for word in To] == [word.value for word in Power]
    assert [word.value for word in Device] == [word.value for word in BootFrom]
