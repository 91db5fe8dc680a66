"""Controllers played by OpenStack's sushy-tools, as processes of their own on loopback, over TLS.

Where sushy-emulator 2.2 (its fake driver) is wrong, so that a test here says nothing of hardware:

- it spells `HealthRollUp`; Redfish has `HealthRollup`. So health is not known of it, as it must be;
- what it is told to start from `Once` it reads back as `Continuous`, and `Disabled` it answers with
  an error;
- it has no model, serial number, BIOS, processors, memory size, firmware or Power resource;
- its readings never change, and are those of a chassis that all its hosts share;
- power follows after 1 to 11 s by chance, `PowerCycle` is not taken, and nothing is shut down.

sushy-static answers with files. It asks nobody for a login, knows no `$expand`, and says yes to
every change and makes none. Both serve HTTP by Python's own servers: no controller's TLS was seen.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import bcrypt
import pytest

from bare_metal.bmc import (
    FIRMWARE,
    SENSORS,
    BootFrom,
    Controller,
    Power,
    open_controllers,
    plan_boot,
    plan_power,
    set_boot,
    set_power,
)
from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.facts import Unknown
from bare_metal.inventory import hosts_of
from llmops.errors import TargetError
from llmops.units import Duration
from tests.bare_metal import controllers
from tests.bare_metal.controllers import ADDRESSES, PASSWORD, USER, Fake
from tests.bare_metal.scenes import Scene
from tests.bare_metal.sshd import DYING

BIN = Path(sys.executable).parent
HOST = ADDRESSES[0]
DEADLINE = 60.0

EMULATOR = """\
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_AUTH_FILE = {auth!r}
SUSHY_EMULATOR_STATE_DIR = {state!r}
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{"uuid": "27946b59-9e44-4fa7-8e91-f3527a1ef094", "name": "su-001", "power_state": "On",
      "external_notifier": False, "nics": [{{"mac": "00:5c:52:31:3a:9c", "ip": "172.22.0.100"}}]}}
]
"""


@contextmanager
def listening(folder: Path, program: str, *words: str) -> Iterator[Scene]:
    """A program of sushy-tools that serves on a loopback address."""
    made = controllers.certificates(folder)
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    own = {
        "sushy-emulator": ("--ssl-certificate", str(made.server), "--ssl-key", str(made.key)),
        "sushy-static": ("-c", str(made.server), "-k", str(made.key)),
    }[program]
    command = [*DYING, str(BIN / program), "-i", HOST, "-p", str(port), *own, *words]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        _until_it_listens(process, port, folder / "log")
        yield Scene(folder, [Fake(HOST)], port)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)


def _until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + DEADLINE
    while time.monotonic() < ends:
        assert process.poll() is None, log.read_text()
        with closing(socket.socket()) as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail(f"it does not listen: {log.read_text()}")


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("emulator")
    digest = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "auth").write_text(f"{USER}:{digest}\n")
    (folder / "state").mkdir()
    (folder / "emulator.conf").write_text(
        EMULATOR.format(auth=str(folder / "auth"), state=str(folder / "state"))
    )
    with listening(folder, "sushy-emulator", "--config", str(folder / "emulator.conf")) as there:
        yield there


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMC_PASSWORD", PASSWORD)


def test_the_emulator_is_read_and_its_silence_is_no_health(emulator: Scene) -> None:
    found = emulator.one(SENSORS, FIRMWARE)
    assert found.power in ("On", "Off")
    assert found.maker == "Sushy Emulator"
    for name in ("model", "serial", "bios", "processors", "memory", "health"):
        assert isinstance(getattr(found, name), Unknown), name
    assert found.hottest is not None
    assert (found.hottest.name, found.hottest.reading) == ("CPU Temp", 41)
    assert found.hottest.limits.upper_critical == 45
    assert any("FirmwareInventory" in reason for reason in found.missing)


def test_the_emulator_lets_nobody_in_with_a_wrong_password(
    emulator: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMC_PASSWORD", "wrong")
    found = emulator.ask(SENSORS)["su-001"]
    assert isinstance(found, Unreachable)
    assert "does not let ops in" in found.reason


def test_what_the_emulator_does_not_keep_is_told(emulator: Scene) -> None:
    (host,) = hosts_of(emulator.cluster)
    by = open_controllers(emulator.cluster, emulator.folder)
    for_good = plan_boot(host.name, emulator.one(), BootFrom.PXE, permanent=True)
    set_boot(host, for_good, by, system=None)
    assert not plan_boot(host.name, emulator.one(), BootFrom.PXE, permanent=True).changes
    once = plan_boot(host.name, emulator.one(), BootFrom.DISK, permanent=False)
    with pytest.raises(TargetError, match="took 'Hdd Once' and now says 'Hdd Continuous'"):
        set_boot(host, once, by, system=None)


@pytest.mark.engines
@pytest.mark.long
@pytest.mark.timeout(300)
def test_power_of_the_emulator_follows_after_a_while_and_is_seen(emulator: Scene) -> None:
    (host,) = hosts_of(emulator.cluster)
    by = open_controllers(emulator.cluster, emulator.folder)
    for wanted, state in ((Power.OFF, "Off"), (Power.CYCLE, "On"), (Power.CYCLE, "On")):
        plan = plan_power(host.name, emulator.one(), wanted, force=False)
        assert plan.steps
        within = Duration.parse("1min")
        set_power(host, plan, by, system=None, within=within, told=lambda _line: None)
        assert emulator.one().power == state


def test_files_that_sushy_static_serves_are_read_and_its_yes_is_not_believed(
    tmp_path: Path,
) -> None:
    controllers.write(controllers.healthy(), tmp_path / "tree")
    with listening(tmp_path, "sushy-static", "-m", str(tmp_path / "tree")) as scene:
        found = scene.one(SENSORS, FIRMWARE)
        assert isinstance(found, Controller)
        assert (found.serial, found.missing) == ("S1", ())
        assert {one.name for one in found.sensors} > {"CPU1", "Fan 1", "PSU 1"}
        (host,) = hosts_of(scene.cluster)
        plan = plan_boot(host.name, found, BootFrom.PXE, permanent=False)
        with pytest.raises(TargetError, match="now says 'as set up'"):
            set_boot(host, plan, open_controllers(scene.cluster, scene.folder), system=None)
