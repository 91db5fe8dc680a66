"""Management controllers that were never there: a small tree of Redfish, written by hand.

The tree is from the published schemas; no vendor's was recorded. `Fake` serves it over TLS with
Basic login on a loopback address, keeps what it is told, and can be spoilt. It does what the fakes
of sushy-tools do not (`test_bmc_emulator` says where they are wrong): it knows `Once`, answers
`$expand`, and is slow, broken or silent when told so.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from serving.local.issuing import make_authority, make_server

ROOT, SYSTEM, CHASSIS = "/redfish/v1", "/redfish/v1/Systems/1", "/redfish/v1/Chassis/1"
USER, PASSWORD = "ops", "canary-7f3a"
ADDRESSES = tuple(f"127.77.0.{at}" for at in range(1, 5))

Tree = dict[str, Any]


def link(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def members(*paths: str) -> Tree:
    return {"Members": [link(path) for path in paths]}


def status(health: str = "OK", **more: str) -> dict[str, str]:
    return {"State": "Enabled", "Health": health, **more}


def healthy(serial: str = "S1") -> dict[str, Tree]:
    """The documents of a controller whose host is well, by path."""
    return {
        ROOT: {
            "Id": "RootService", "Name": "Root", "RedfishVersion": "1.15.0",
            "ProtocolFeaturesSupported": {"ExpandQuery": {"Levels": True}},
            "Systems": link(f"{ROOT}/Systems"), "Chassis": link(f"{ROOT}/Chassis"),
            "UpdateService": link(f"{ROOT}/UpdateService"),
        },
        f"{ROOT}/Systems": members(SYSTEM),
        SYSTEM: {
            "Id": "1", "Name": "host", "Manufacturer": "Acme", "Model": "G8", "PowerState": "On",
            "SerialNumber": serial, "BiosVersion": "1.4.2", "Status": status(HealthRollup="OK"),
            "ProcessorSummary": {"Count": 2, "Model": "Xeon 8480C"},
            "MemorySummary": {"TotalSystemMemoryGiB": 2048},
            "Boot": {
                "BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None",
                "BootSourceOverrideMode": "UEFI",
                "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Hdd"],
            },
            "Actions": {"#ComputerSystem.Reset": {
                "target": f"{SYSTEM}/Actions/ComputerSystem.Reset",
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "GracefulShutdown"],
            }},
        },
        f"{ROOT}/Chassis": members(CHASSIS),
        CHASSIS: {"Id": "1", "Name": "Chassis", "ChassisType": "RackMount",
                  "Thermal": link(f"{CHASSIS}/Thermal"), "Power": link(f"{CHASSIS}/Power")},
        f"{CHASSIS}/Thermal": {
            "Id": "Thermal", "Name": "Thermal",
            "Temperatures": [
                {"MemberId": "0", "Name": "CPU1", "ReadingCelsius": 61.5, "Status": status(),
                 "UpperThresholdNonCritical": 85, "UpperThresholdCritical": 89.5},
                {"MemberId": "1", "Name": "Inlet", "ReadingCelsius": 22, "Status": status(),
                 "UpperThresholdCritical": 45, "LowerThresholdCritical": 3},
                {"MemberId": "2", "Name": "Riser 2", "Status": {"State": "Absent"}},
            ],
            "Fans": [{"MemberId": "0", "Name": "Fan 1", "Reading": 9000, "ReadingUnits": "RPM",
                      "LowerThresholdFatal": 500, "Status": status()}],
        },
        f"{CHASSIS}/Power": {
            "Id": "Power", "Name": "Power",
            "Voltages": [{"MemberId": "0", "Name": "12V", "ReadingVolts": 12.1, "Status": status(),
                          "UpperThresholdCritical": 13.2, "LowerThresholdCritical": 10.8}],
            "PowerControl": [{"MemberId": "0", "Name": "System", "PowerConsumedWatts": 3100.0}],
            "PowerSupplies": [{"MemberId": "0", "Name": "PSU 1", "LastPowerOutputWatts": 1500,
                               "Status": status()}],
        },
        f"{ROOT}/UpdateService": {
            "Id": "UpdateService", "Name": "Updates",
            "FirmwareInventory": link(f"{ROOT}/UpdateService/FirmwareInventory"),
        },
        f"{ROOT}/UpdateService/FirmwareInventory": members(
            f"{ROOT}/UpdateService/FirmwareInventory/BMC"
        ),
        f"{ROOT}/UpdateService/FirmwareInventory/BMC": {
            "Id": "BMC", "Name": "BMC image", "Version": "24.09.1"
        },
    }  # fmt: skip


def write(tree: Mapping[str, Tree], folder: Path) -> None:
    """Put a tree into a folder, as sushy-static reads it."""
    for path, document in tree.items():
        into = folder / path.removeprefix(ROOT).lstrip("/")
        into.mkdir(parents=True, exist_ok=True)
        (into / "index.json").write_text(json.dumps(document))


@dataclass(frozen=True)
class Certificates:
    """Certificates that a test makes for itself, as files."""

    ca: Path
    server: Path
    key: Path


def certificates(folder: Path) -> Certificates:
    """An authority, and a certificate for every fake."""
    folder.mkdir(parents=True, exist_ok=True)
    authority = make_authority(time.time(), 1)
    made = make_server(authority, (*ADDRESSES, "127.0.0.1"), time.time(), 1)
    paths = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    for path, text in ((paths.ca, authority[0]), (paths.server, made[0]), (paths.key, made[1])):
        path.write_bytes(text)
    return paths


@dataclass
class Fake:
    """A controller."""

    address: str
    tree: dict[str, Tree] = field(default_factory=healthy)
    password: str = PASSWORD
    log: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request that came, those that were refused too."""
    told: list[Any] = field(default_factory=list)
    """What it was told."""
    refused: int = 0
    """How often somebody was not let in."""
    raw: dict[str, bytes] = field(default_factory=dict)
    """Answers that stand in place of documents."""
    says_no: dict[str, int] = field(default_factory=dict)
    """Paths that are answered by an error, which repeats the login that it was sent."""
    waits: dict[str, float] = field(default_factory=dict)
    """Seconds before an answer."""
    trickles: float = 0.0
    """Seconds between any two bytes of an answer; 0 where it comes at once."""
    obeys: bool = True
    """Whether a reset has any effect."""
    keeps: bool = True
    """Whether it keeps what is said of its boot device."""

    def reset(self, kind: str) -> None:
        if self.obeys:
            self.tree[SYSTEM]["PowerState"] = "On" if kind == "On" else "Off"


class _Handler(BaseHTTPRequestHandler):
    fake: Fake

    def log_message(self, *_said: object) -> None:
        """Nothing: what a fake saw is in its log."""

    def _may(self) -> bool:
        fake, path = self.fake, self.path.partition("?")[0].rstrip("/")
        fake.log.append((self.command, self.path))
        time.sleep(fake.waits.get(path, 0.0))
        login = base64.b64encode(f"{USER}:{fake.password}".encode()).decode()
        if path != ROOT and self.headers["Authorization"] != f"Basic {login}":
            fake.refused += 1
            self._error(401)
        elif path in fake.says_no:
            self._error(fake.says_no[path])
        else:
            return True
        return False

    def _error(self, code: int) -> None:
        sent = self.headers["Authorization"] or ""
        plain = base64.b64decode(sent.removeprefix("Basic ")).decode()
        said = f"\x1b[31mno: {sent} {plain}"
        self._send(code, json.dumps({"error": {"code": "Base", "message": said}}).encode())

    def _send(self, code: int, body: bytes, length: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if not self.fake.trickles:
            self.wfile.write(body)
            return
        for at in range(len(body)):
            self.wfile.write(body[at : at + 1])
            time.sleep(self.fake.trickles)

    def do_GET(self) -> None:
        if not self._may():
            return
        path, _, query = self.path.partition("?")
        path = path.rstrip("/")
        if path in self.fake.raw:
            self._send(200, self.fake.raw[path], 10_000 if query else None)
        elif path not in self.fake.tree:
            self._error(404)
        else:
            self._send(200, json.dumps(self._expanded(path, query)).encode())

    def _expanded(self, path: str, query: str) -> Tree:
        found = self.fake.tree[path]
        if "$expand" not in query:
            return found
        tree = self.fake.tree
        return {**found, "Members": [tree[one["@odata.id"]] for one in found["Members"]]}

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def do_POST(self) -> None:
        if self._may():
            self.fake.told.append(self._body())
            self.fake.reset(self.fake.told[-1]["ResetType"])
            self._send(204, b"")

    def do_PATCH(self) -> None:
        if self._may():
            self.fake.told.append(self._body())
            if self.fake.keeps:
                path = self.path.rstrip("/")
                self.fake.tree[path]["Boot"].update(self.fake.told[-1]["Boot"])
            self._send(204, b"")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_of: object) -> None:
        """Nothing: clients that go away are what some tests are about."""


@contextmanager
def served(fakes: list[Fake], made: Certificates) -> Iterator[int]:
    """Fakes that listen, all on one port, which is handed on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server, made.key)
    port = 0
    with ExitStack() as stack:
        for fake in fakes:
            assert ip_address(fake.address).is_loopback
            handler = type("Handler", (_Handler,), {"fake": fake})
            server = _Server((fake.address, port), handler)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            port = server.server_address[1]
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield port
