"""Power and boot device set through a controller: what is told, what is seen, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bare_metal.bmc import (
    Boot,
    BootFrom,
    Power,
    open_controllers,
    plan_boot,
    plan_power,
    set_boot,
    set_power,
)
from bare_metal.hosts.connection import RecordedConnector
from bare_metal.hosts.facts import Unknown
from bare_metal.inventory import hosts_of
from bare_metal.maintaining import in_the_way
from llmops.errors import RefusedError, TargetError
from llmops.units import Duration
from tests.bare_metal import controllers, trees
from tests.bare_metal.controllers import SYSTEM
from tests.bare_metal.scenes import Scene, staged

UNIT = "/etc/systemd/system/llmops-agent.service"
SERVES = "[Service]\nExecStart=llmops agent --store s3://bucket/store --address 10.0.0.1 --worker\n"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("BMC_PASSWORD", controllers.PASSWORD)
    monkeypatch.setattr("bare_metal.bmc.changing.POLL_SECONDS", 0.02)
    with staged(1, tmp_path) as there:
        yield there


def bring(scene: Scene, wanted: Power, *, force: bool = False, within: str = "30s") -> list[str]:
    """Bring the host there; what was done."""
    told: list[str] = []
    (host,) = hosts_of(scene.cluster)
    plan = plan_power(host.name, scene.one(), wanted, force=force)
    by = open_controllers(scene.cluster, scene.folder)
    set_power(host, plan, by, system=None, within=Duration.parse(within), told=told.append)
    return [line.partition(":")[0] for line in told]


def boot_from(scene: Scene, wanted: BootFrom, *, permanent: bool = False) -> bool:
    """Have the host start from there; whether anything was to do."""
    (host,) = hosts_of(scene.cluster)
    plan = plan_boot(host.name, scene.one(), wanted, permanent=permanent)
    if plan.changes:
        set_boot(host, plan, open_controllers(scene.cluster, scene.folder), system=None)
    return plan.changes


def test_power_goes_by_a_shutdown_and_a_second_run_does_nothing(scene: Scene) -> None:
    assert bring(scene, Power.OFF) == ["GracefulShutdown"]
    assert scene.one().power == "Off"
    assert bring(scene, Power.OFF) == []
    assert bring(scene, Power.ON) == ["On"]
    assert bring(scene, Power.ON) == []
    assert scene.fake.told == [{"ResetType": "GracefulShutdown"}, {"ResetType": "On"}]


def test_a_cycle_is_off_and_on_and_of_a_host_that_is_off_only_on(scene: Scene) -> None:
    assert bring(scene, Power.CYCLE, force=True) == ["ForceOff", "On"]
    assert bring(scene, Power.OFF) == ["GracefulShutdown"]
    assert bring(scene, Power.CYCLE) == ["On"]


def test_a_shutdown_that_is_not_heeded_is_told_and_nothing_follows_it(scene: Scene) -> None:
    scene.fake.obeys = False
    with pytest.raises(
        TargetError, match="su-001 is still On 50ms after GracefulShutdown"
    ) as caught:
        bring(scene, Power.CYCLE, within="50ms")
    assert "--force" in caught.value.hint
    assert scene.fake.told == [{"ResetType": "GracefulShutdown"}]


def test_what_a_controller_does_not_take_is_not_tried(scene: Scene) -> None:
    action = scene.fake.tree[SYSTEM]["Actions"]["#ComputerSystem.Reset"]
    action["ResetType@Redfish.AllowableValues"] = ["On", "ForceOff"]
    with pytest.raises(RefusedError, match="does not take GracefulShutdown"):
        bring(scene, Power.OFF)
    with pytest.raises(RefusedError, match="does not take Usb; it takes None, Pxe, Hdd"):
        boot_from(scene, BootFrom.USB)
    assert scene.fake.told == []


@pytest.mark.parametrize(
    ("state", "error"), [("PoweringOff", RefusedError), (None, TargetError), ("", TargetError)]
)
def test_a_host_that_is_neither_on_nor_off_is_left_alone(
    state: str | None, error: type[Exception], scene: Scene
) -> None:
    scene.fake.tree[SYSTEM]["PowerState"] = state
    for wanted in Power:
        with pytest.raises(error):
            bring(scene, wanted)
    assert scene.fake.told == []


def test_a_reset_whose_answer_is_lost_is_not_sent_again(scene: Scene) -> None:
    scene.more += ", timeout: 1s"
    path = f"{SYSTEM}/Actions/ComputerSystem.Reset"
    scene.fake.waits = {path: 2.0}
    with pytest.raises(TargetError, match="no answer in time") as caught:
        bring(scene, Power.OFF)
    assert "may have been taken" in caught.value.hint
    assert [one for one in scene.fake.log if one[0] == "POST"] == [("POST", path)]


def test_a_boot_device_is_set_once_or_for_good_and_taken_away(scene: Scene) -> None:
    assert boot_from(scene, BootFrom.PXE)
    found = scene.one().boot
    assert isinstance(found, Boot)
    assert (found.target, found.enabled, found.mode) == ("Pxe", "Once", "UEFI")
    assert not boot_from(scene, BootFrom.PXE)
    assert boot_from(scene, BootFrom.PXE, permanent=True)
    assert boot_from(scene, BootFrom.NORMAL)
    assert not boot_from(scene, BootFrom.NORMAL)
    kept = [one["Boot"]["BootSourceOverrideEnabled"] for one in scene.fake.told]
    assert kept == ["Once", "Continuous", "Disabled"]


def test_a_controller_that_says_yes_and_does_not_keep_it_is_told(scene: Scene) -> None:
    scene.fake.keeps = False
    with pytest.raises(TargetError, match="took 'Pxe Once' and now says 'as set up'"):
        boot_from(scene, BootFrom.PXE)


def test_what_waits_for_the_next_start_counts_as_set(scene: Scene) -> None:
    apart = f"{SYSTEM}/Settings"
    system = scene.fake.tree[SYSTEM]
    system["@Redfish.Settings"] = {"SettingsObject": controllers.link(apart)}
    scene.fake.tree[apart] = {"Id": "Settings", "Boot": dict(system["Boot"])}
    assert boot_from(scene, BootFrom.PXE)
    assert system["Boot"]["BootSourceOverrideEnabled"] == "Disabled"
    assert not boot_from(scene, BootFrom.PXE)


def test_a_boot_device_that_is_not_known_is_not_set(scene: Scene) -> None:
    found = replace(scene.one(), boot=Unknown("it does not say"))
    with pytest.raises(TargetError, match="it does not say"):
        plan_boot("su-001", found, BootFrom.PXE, permanent=False)


def test_power_stays_where_a_host_serves_or_that_is_not_known(tmp_path: Path) -> None:
    host = hosts_of(trees.cluster())[0]
    by = RecordedConnector(tmp_path)
    assert "whether it serves is not known: nothing was recorded" in in_the_way(host, by)
    tree = trees.healthy(host.name)
    tree.write(tmp_path / host.name)
    assert in_the_way(host, by) == ""
    # The mark is written before replicas leave: who was cut off then serves yet.
    tree.files |= {UNIT: SERVES, "/etc/llmops/maintenance": "a fan\n"}
    tree.write(tmp_path / host.name)
    assert in_the_way(host, by) == "it serves for s3://bucket/store, as its worker"
    assert "has no address" in in_the_way(replace(host, address=""), by)
