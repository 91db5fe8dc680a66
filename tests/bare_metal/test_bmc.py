"""Management controllers: what is read of them, and what is told when they are not well.

Asked over TLS on loopback, of controllers written by hand (`controllers`): no vendor's was seen.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bare_metal.bmc import (
    FIRMWARE,
    SENSORS,
    Controller,
    faults_of,
    gather,
    open_controllers,
    verdict_of,
)
from bare_metal.fabric import Verdict
from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import Unknown
from bare_metal.inventory import hosts_of, parse_cluster
from llmops.errors import InputError
from tests.bare_metal import controllers
from tests.bare_metal.controllers import ADDRESSES, CHASSIS, ROOT, SYSTEM, Fake, status
from tests.bare_metal.scenes import FILE, Scene, staged


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("BMC_PASSWORD", controllers.PASSWORD)
    with staged(1, tmp_path) as there:
        yield there


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("BMC_PASSWORD", controllers.PASSWORD)
    with staged(3, tmp_path) as there:
        yield there


def test_a_host_that_is_well_is_read_whole(scene: Scene) -> None:
    found = scene.one(SENSORS, FIRMWARE)
    assert (found.power, found.model, found.serial, found.bios) == ("On", "G8", "S1", "1.4.2")
    assert not isinstance(found.memory, Unknown)
    assert found.memory.human() == "2TiB"
    assert (found.health, found.missing) == ("OK", ())
    assert [(one.name, one.version) for one in found.firmware] == [("BMC image", "24.09.1")]
    by_name = {one.name: one for one in found.sensors}
    # sushy's own reading would cut this threshold to 89.
    assert by_name["CPU1"].limits.upper_critical == 89.5
    assert by_name["CPU1"] == found.hottest
    assert (by_name["12V"].reading, by_name["12V"].unit) == (12.1, "V")
    assert by_name["System"].verdict is None
    assert by_name["Riser 2"].verdict is None
    assert faults_of({"su-001": found}) == ()


def _set(path: str, *keys: str | int, value: object) -> Callable[[Fake], None]:
    def spoil(fake: Fake) -> None:
        at: Any = fake.tree[path]
        for key in keys[:-1]:
            at = at[key]
        if value is None:
            del at[keys[-1]]
        else:
            at[keys[-1]] = value

    return spoil


THERMAL = f"{CHASSIS}/Thermal"
CPU = (THERMAL, "Temperatures", 0)
PLANTED: dict[str, tuple[Callable[[Fake], None], str, Verdict, str]] = {
    "rollup": (
        _set(SYSTEM, "Status", value=status(HealthRollup="Critical")),
        "bmc.health", Verdict.FAIL, "health Critical",
    ),
    "rollup-warning": (
        _set(SYSTEM, "Status", value=status(HealthRollup="Warning")),
        "bmc.health", Verdict.DEGRADED, "health Warning",
    ),
    "no-rollup": (
        _set(SYSTEM, "Status", value=status()),
        "bmc.health", Verdict.UNKNOWN, "does not say: Status.HealthRollup",
    ),
    "no-rollup-and-bad": (
        _set(SYSTEM, "Status", value=status("Critical")),
        "bmc.health", Verdict.FAIL, "health Critical",
    ),
    "a-health-of-no-word": (
        _set(SYSTEM, "Status", value=status(HealthRollup="Fine")),
        "bmc.health", Verdict.UNKNOWN, "does not say: Status.HealthRollup",
    ),
    "critical-sensor": (
        _set(*CPU, "Status", value=status("Critical")),
        "bmc.sensor", Verdict.FAIL, "CPU1 in 1: Critical, 61.5 Cel",
    ),
    "hot-though-it-says-ok": (
        _set(*CPU, "ReadingCelsius", value=90),
        "bmc.sensor", Verdict.FAIL, "CPU1 in 1: OK, 90 Cel",
    ),
    "warm": (
        _set(*CPU, "ReadingCelsius", value=86),
        "bmc.sensor", Verdict.DEGRADED, "CPU1 in 1: OK, 86 Cel",
    ),
    "fan-slow": (
        _set(THERMAL, "Fans", 0, "Reading", value=400),
        "bmc.sensor", Verdict.FAIL, "Fan 1 in 1: OK, 400 RPM",
    ),
    "sensor-without-a-word": (
        _set(THERMAL, "Temperatures", 1, value={"Name": "Inlet", "UpperThresholdCritical": 45}),
        "bmc.sensor", Verdict.UNKNOWN, "Inlet in 1: no health",
    ),
    "no-thermal-behind-the-link": (
        lambda fake: fake.tree.__delitem__(THERMAL),
        "bmc.resource", Verdict.UNKNOWN, f"{THERMAL}: it is not there",
    ),
    "thermal-in-half": (
        lambda fake: fake.raw.update({THERMAL: b'{"Temperatures": [{"Name": "CP'}),
        "bmc.resource", Verdict.UNKNOWN, f"{THERMAL}: the answer cannot be read",
    ),
    "thermal-is-no-object": (
        lambda fake: fake.raw.update({THERMAL: b"[]"}),
        "bmc.resource", Verdict.UNKNOWN, f"{THERMAL}: it is of no form",
    ),
    "thermal-forbidden": (
        lambda fake: fake.says_no.update({THERMAL: 403}),
        "bmc.resource", Verdict.UNKNOWN, f"{THERMAL}: ops has no right to it",
    ),
    "no-chassis": (
        _set(ROOT, "Chassis", value=None),
        "bmc.sensor", Verdict.UNKNOWN, "no sensor says how it is",
    ),
    "chassis-without-sensors": (
        lambda fake: fake.tree.update({CHASSIS: {"Id": "1"}}),
        "bmc.sensor", Verdict.UNKNOWN, "no sensor says how it is",
    ),
    "readings-that-judge-nothing": (
        lambda fake: fake.tree.update(
            {THERMAL: {}, f"{CHASSIS}/Power": {"PowerControl": [{"PowerConsumedWatts": 3100}]}}
        ),
        "bmc.sensor", Verdict.UNKNOWN, "no sensor says how it is",
    ),
    "sensors-empty": (
        lambda fake: fake.tree.update({THERMAL: {}, f"{CHASSIS}/Power": {}}),
        "bmc.sensor", Verdict.UNKNOWN, "no sensor says how it is",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_not_well_or_not_said_is_told(name: str, scene: Scene) -> None:
    spoil, rule, severity, said = PLANTED[name]
    spoil(scene.fake)
    faults = faults_of(scene.ask(SENSORS))
    told = [one for one in faults if one.id == rule and said in one.measured]
    assert [one.severity for one in told] == [severity], faults
    assert verdict_of(faults) is not Verdict.PASS
    assert all(one.source for one in told if one.id != "bmc.resource")


@pytest.mark.parametrize("key", ["PowerState", "Boot", "Model", "SerialNumber", "BiosVersion"])
@pytest.mark.parametrize("value", [None, "", 7, {}])
def test_what_a_controller_leaves_out_is_unknown(key: str, value: object, scene: Scene) -> None:
    scene.fake.tree[SYSTEM][key] = value
    found = scene.one()
    name = {
        "PowerState": "power", "SerialNumber": "serial", "BiosVersion": "bios"
    }.get(key, key.lower())  # fmt: skip
    assert isinstance(getattr(found, name), Unknown)


def test_a_threshold_of_zero_that_was_never_set_is_none(scene: Scene) -> None:
    scene.fake.tree[THERMAL]["Temperatures"][0]["UpperThresholdCritical"] = 0
    assert faults_of(scene.ask(SENSORS)) == ()


def test_sensors_of_the_newer_kind_are_read_in_one_question(scene: Scene) -> None:
    path = f"{CHASSIS}/Sensors"
    scene.fake.tree[CHASSIS] = {"Id": "1", "Sensors": controllers.link(path)}
    scene.fake.tree[path] = controllers.members(f"{path}/gpu0", f"{path}/fan0")
    scene.fake.tree[f"{path}/gpu0"] = {
        "Id": "gpu0", "Name": "GPU 0", "ReadingType": "Temperature", "ReadingUnits": "Cel",
        "Reading": 93, "Status": status(), "Thresholds": {"UpperCritical": {"Reading": 92}},
    }  # fmt: skip
    scene.fake.tree[f"{path}/fan0"] = {"Id": "fan0", "ReadingUnits": "Percent", "Reading": 40}
    found = scene.one(SENSORS)
    assert [(one.name, one.unit, one.verdict) for one in found.sensors] == [
        ("GPU 0", "Cel", Verdict.FAIL), ("fan0", "%", None)
    ]  # fmt: skip
    assert [p for _, p in scene.fake.log if p.startswith(path)] == [f"{path}?$expand=.($levels=1)"]
    del scene.fake.tree[ROOT]["ProtocolFeaturesSupported"]
    assert scene.one(SENSORS).sensors == found.sensors


def test_a_list_without_end_ends(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bare_metal.bmc.reading.MOST_MEMBERS", 4)
    path = f"{ROOT}/UpdateService/FirmwareInventory"
    scene.fake.tree[path] = {"Members": [], "Members@odata.nextLink": path}
    found = scene.one(FIRMWARE)
    assert found.missing == (f"{path}: it lists no end of members",)


def test_one_of_several_systems_has_to_be_named(scene: Scene) -> None:
    other = f"{ROOT}/Systems/Baseboard"
    scene.fake.tree[other] = {**scene.fake.tree[SYSTEM], "SerialNumber": "S2"}
    scene.fake.tree[f"{ROOT}/Systems"] = controllers.members(SYSTEM, other)
    found = scene.ask()["su-001"]
    assert isinstance(found, Unreachable)
    assert "expected one system, found 1, Baseboard" in found.reason
    named = scene.ask(system="Baseboard")["su-001"]
    assert isinstance(named, Controller)
    assert named.serial == "S2"


def test_a_wrong_password_is_tried_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "wrong")
    found = scene.ask(SENSORS, FIRMWARE)["su-001"]
    assert isinstance(found, Unreachable)
    assert "does not let ops in" in found.reason
    assert scene.fake.refused == 1, "an account may be locked after some tries"


@pytest.mark.parametrize("more", ["", ", ca: other.pem"])
def test_a_certificate_of_nobody_is_not_talked_to(scene: Scene, more: str, tmp_path: Path) -> None:
    other = controllers.certificates(tmp_path / "other")
    (scene.folder / "other.pem").write_bytes(other.ca.read_bytes())
    scene.more = more
    found = scene.ask(SENSORS)["su-001"]
    assert isinstance(found, Unreachable)
    assert "its certificate is not trusted, so it was not talked to" in found.reason
    assert scene.fake.log == []


def test_a_certificate_of_another_address_is_not_talked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMC_PASSWORD", controllers.PASSWORD)
    fake = Fake("127.77.9.9")
    made = controllers.certificates(tmp_path)
    with controllers.served([fake], made) as port:
        text = FILE.format(hosts=1, port=port, more=", ca: ca.pem")
        cluster = parse_cluster(text.replace("127.77.0.1", fake.address)).value
        found = gather(hosts_of(cluster), open_controllers(cluster, tmp_path))["su-001"]
    assert isinstance(found, Unreachable)
    assert "certificate" in found.reason
    assert fake.log == []


def test_a_certificate_is_left_unverified_only_where_the_file_says_so(scene: Scene) -> None:
    scene.more = ", insecure: true"
    assert scene.one().power == "On"


def test_a_controller_that_is_dead_stays_in_the_table(three: Scene) -> None:
    file = three.text.replace("hosts: 3", "hosts: 4")
    cluster = parse_cluster(file).value
    found = gather(hosts_of(cluster), open_controllers(cluster, three.folder), parts=[SENSORS])
    assert list(found) == ["su-001", "su-002", "su-003", "su-004"]
    *well, dead = found.values()
    assert all(isinstance(one, Controller) for one in well)
    assert isinstance(dead, Unreachable)
    assert "refused or lost" in dead.reason
    assert [one.id for one in faults_of(found)] == ["bmc.reached"]


def test_a_resource_that_takes_too_long_takes_no_other_with_it(scene: Scene) -> None:
    scene.more += ", timeout: 2s"
    scene.fake.waits = {THERMAL: 4.0}
    found = scene.one(SENSORS)
    assert found.missing == (f"{THERMAL}: no answer in time (bmc.timeout)",)
    assert "PSU 1" in {one.name for one in found.sensors}


def test_a_controller_that_answers_by_the_byte_is_bounded_too(scene: Scene) -> None:
    # That keeps within every timeout of a request.
    scene.fake.trickles = 0.2
    began = time.monotonic()
    found = scene.ask(seconds=1.0)["su-001"]
    assert isinstance(found, Unreachable)
    assert "did not come to an end within 1 s" in found.reason
    assert time.monotonic() - began < 15
    held = [one.name for one in threading.enumerate() if not one.daemon]
    assert held == [threading.main_thread().name], "the command would wait for it at its end"


def test_nothing_listens_there(scene: Scene) -> None:
    scene.port = 1
    found = scene.ask()["su-001"]
    assert isinstance(found, Unreachable)
    assert "refused or lost" in found.reason


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"<html>", b'{"Id": "Ro'])
def test_what_is_no_redfish_service_is_told_so(scene: Scene, body: bytes) -> None:
    scene.fake.raw[ROOT] = body
    found = scene.ask()["su-001"]
    assert isinstance(found, Unreachable)
    assert "no Redfish service answers there" in found.reason


def test_a_system_in_half_says_nothing_of_its_host(scene: Scene) -> None:
    scene.fake.raw[SYSTEM] = b'{"PowerState": "Of'
    found = scene.ask()["su-001"]
    assert isinstance(found, Unreachable)
    assert f"{SYSTEM}: the answer cannot be read" in found.reason


@pytest.mark.parametrize("scheme", ["https:", "http:", ""])
def test_a_link_to_another_machine_is_not_followed(three: Scene, scheme: str) -> None:
    elsewhere = f"{scheme}//{ADDRESSES[1]}:{three.port}{THERMAL}"
    three.fakes[0].tree[CHASSIS]["Thermal"] = controllers.link(elsewhere)
    hosts = hosts_of(three.cluster)[:1]
    found = gather(hosts, open_controllers(three.cluster, three.folder), parts=[SENSORS])["su-001"]
    assert isinstance(found, Controller)
    assert any("leads to another machine" in reason for reason in found.missing)
    assert three.fakes[1].log == [], "the password would have gone with it"


def test_no_password_is_repeated_whatever_a_controller_says(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    scene.fake.says_no = {THERMAL: 409, f"{CHASSIS}/Power": 400}
    found = scene.one(SENSORS)
    assert any("answered by 400" in reason for reason in found.missing)
    said = repr(found) + repr(open_controllers(scene.cluster, scene.folder)) + caplog.text
    login = "b3BzOmNhbmFyeS03ZjNh"
    assert not [secret for secret in (controllers.PASSWORD, login, "\x1b") if secret in said]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (", ca: gone.pem", "cannot be read: No such file"),
        (", ca: cluster.txt", "holds no certificate"),
    ],
)
def test_authorities_that_are_none_are_told(scene: Scene, more: str, told: str) -> None:
    (scene.folder / "cluster.txt").write_text("no certificate")
    scene.more = more
    with pytest.raises(InputError, match=told):
        scene.ask()


def test_a_password_has_to_be_named(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BMC_PASSWORD")
    with pytest.raises(InputError, match="env:BMC_PASSWORD: expected a variable"):
        scene.ask()
    text = scene.text.replace("password: 'env:BMC_PASSWORD', ", "")
    with pytest.raises(InputError, match="expected a password"):
        open_controllers(parse_cluster(text).value, scene.folder)
