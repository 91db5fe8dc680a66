"""Operations: facts and what is wanted in, commands out; each case is a file.

A case says what differs from the healthy host of `trees`, what the cluster file wants, and what is
then said, in order. A second look at a host where all that was done must say that nothing is to do.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from bare_metal.hosts.connection import RecordedConnector
from bare_metal.hosts.facts import HostFacts, Unknown, gather
from bare_metal.hosts.operations import (
    OPERATIONS,
    HostPlan,
    Payload,
    desired,
    payload_of,
    plan,
    preview,
    refused,
)
from bare_metal.hosts.operations.model import write
from bare_metal.hosts.operations.storage import escaped
from bare_metal.hosts.operations.telling import command
from bare_metal.inventory import Cluster, hosts_of, parse_cluster
from llmops.errors import InputError
from tests.bare_metal import trees

CASES = sorted((Path(__file__).parents[1] / "cases" / "operations").glob("*.yaml"))
BASE = """\
kind: Cluster
name: alpha
units: [{name: su, hosts: 2, addresses: 10.0.0.1}]
"""
ELSEWHERE = {"agent"}
"""Operations whose tests are of their own: test_agent_operation."""
PAYLOAD = Payload("llmops-1-py3-none-any.whl", b"PK wheel", b"lock")


def case(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document


def declared(system: object, port: int = 22) -> Cluster:
    written = {"access": {"port": port}, "system": system}
    return parse_cluster(BASE + yaml.safe_dump(written)).value


def facts(folder: Path, spoil: dict[str, Any], cluster: Cluster) -> HostFacts:
    host = hosts_of(cluster)[0]
    tree = trees.healthy(host.name, host.address)
    trees.spoil(tree, spoil)
    tree.write(folder / host.name)
    modules = tuple(module.name for module in cluster.system.modules)
    found = gather([host], RecordedConnector(folder), modules=modules)[host.name]
    assert isinstance(found, HostFacts)
    return found


def planned(folder: Path, document: dict[str, Any]) -> HostPlan:
    cluster = declared(document["wants"], document.get("port", 22))
    host = hosts_of(cluster)[0]
    payload = PAYLOAD if document.get("program") else None
    found = facts(folder, document.get("spoil", {}), cluster)
    want = replace(desired(cluster, host, payload), maintenance=document.get("maintenance"))
    return plan(found, want)


def said(made: HostPlan) -> Iterator[str]:
    """What a plan says, in lines: a command without the digest of what it writes."""
    for change in made.changes:
        words = command(change).split()
        digest = hashlib.sha256(change.stdin or b"").hexdigest()
        yield "change: " + " ".join(word for word in words if word != digest)
    for refusal in made.refusals:
        yield f"refused: {refusal.why}"
    for one in made.kept:
        yield f"kept: {one.why}"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_operation_says_what_its_case_says(path: Path, tmp_path: Path) -> None:
    document = case(path)
    made = planned(tmp_path, document)
    assert list(said(made)) == document["says"]
    written = {
        word: change.stdin.decode("utf-8", "replace")
        for change in made.changes
        if change.stdin is not None
        for word in change.argv
    }
    for name, text in document.get("writes", {}).items():
        assert written[name] == text


def test_every_operation_has_a_case_that_changes_and_one_that_keeps() -> None:
    names = {path.stem.rsplit("-", 1)[0]: set[str]() for path in CASES}
    for path in CASES:
        for line in case(path)["says"]:
            names[path.stem.rsplit("-", 1)[0]].add(line.split(":")[0])
    for operation in OPERATIONS.keys() - ELSEWHERE:
        assert {"change", "kept"} <= names.get(operation, set()), operation


def test_nothing_is_wanted_so_nothing_is_done(tmp_path: Path) -> None:
    made = planned(tmp_path, {"wants": {}})
    assert (made.changes, made.kept, made.refusals) == ((), (), ())


GUARDED = [
    # what carries management, command, whether it is refused
    ("igb", "systemctl restart openibd", False),
    ("mlx5_core", "systemctl restart openibd", True),
    ("mlx5_core", "systemctl enable --now openibd.service", True),
    ("mlx5_core", "/etc/init.d/openibd restart", True),
    ("mlx5_core", "modprobe -r mlx5_core", True),
    ("mlx5_core", "modprobe -r ib_umad", False),
    ("mlx5_core", "modprobe ib_umad", False),
    ("igb", "rmmod igb", True),
    ("igb", "modprobe -r mlx5_core", False),
    ("igb", "systemctl restart systemd-networkd", True),
    ("igb", "systemctl restart networking.service", True),
    ("igb", "systemctl restart opensm", False),
    ("igb", "systemctl enable --now nvidia-fabricmanager.service", False),
    ("igb", "ip link set eno1 down", True),
    ("igb", "ip link set ib0 down", False),
    ("igb", "ip -o addr show", False),
    ("igb", "ifdown eno1", True),
    ("", "modprobe -r ib_umad", True),
    ("", "systemctl restart openibd", True),
    ("", "ip link set ib0 mtu 4092", True),
    ("", "sysctl -q -p /etc/sysctl.d/90-llmops.conf", False),
]


@pytest.mark.parametrize(("driver", "line", "wanted"), GUARDED)
def test_what_would_take_the_management_interface_down_is_refused(
    driver: str, line: str, wanted: bool, tmp_path: Path
) -> None:
    uevent = f"DRIVER={driver}\n" if driver else "INTERFACE=bond0\n"
    found = facts(tmp_path, {"files": {"/sys/class/net/eno1/device/uevent": uevent}}, declared({}))
    why = refused(shlex.split(line), found, "10.0.0.1")
    assert (why is not None) == wanted, why


def test_the_guard_refuses_where_nothing_is_known_of_interfaces(tmp_path: Path) -> None:
    spoil = {"answers": {"addresses": {"code": 127, "err": "ip: not found"}}}
    found = facts(tmp_path, spoil, declared({}))
    assert isinstance(found.addresses, Unknown)
    assert "not known" in str(refused(["modprobe", "-r", "ib_umad"], found, "10.0.0.1"))


def test_a_preview_shows_commands_and_never_what_is_written(tmp_path: Path) -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICanary ops"
    made = planned(tmp_path, {"wants": {"users": [{"name": "ops", "keys": [key]}]}})
    text = "\n".join(preview({"su-001": made}))
    assert "let 1 more key log in as ops" in text
    assert "Canary" not in text
    assert "sha256sum" not in text


def test_a_file_is_put_in_place_whole_or_not_at_all(tmp_path: Path) -> None:
    import subprocess

    target = tmp_path / "new folder" / "file"
    change = write(str(target), "text\n", "write it", "0600")
    whole = subprocess.run(change.argv, input=change.stdin, check=False)
    assert whole.returncode == 0
    assert target.read_text() == "text\n"
    assert target.stat().st_mode & 0o777 == 0o600
    other = write(str(target), "another text\n", "write it")
    cut = subprocess.run(other.argv, input=b"anoth", capture_output=True, check=False)
    assert cut.returncode == 1
    assert b"did not come whole" in cut.stderr
    assert target.read_text() == "text\n"


def test_paths_become_the_names_that_systemd_gives_them() -> None:
    # By systemd-escape(1), --path.
    assert escaped("/var/lib/llmops") == "var-lib-llmops"
    assert escaped("/mnt/my-disk/a.b_c") == r"mnt-my\x2ddisk-a.b_c"


@pytest.mark.parametrize(
    ("wheel", "lock", "words"),
    [
        ("a.tar.gz", "# none\n", "expected a wheel"),
        ("a.whl", "ray==2.60.0\n", "expected requirements with hashes"),
        ("absent.whl", "# none\n", "cannot be read"),
    ],
)
def test_what_is_no_wheel_or_no_lock_is_refused(
    wheel: str, lock: str, words: str, tmp_path: Path
) -> None:
    if wheel != "absent.whl":
        (tmp_path / wheel).write_bytes(b"PK")
    (tmp_path / "lock").write_text(lock)
    cluster = declared({"program": {"wheel": wheel, "lock": "lock"}})
    with pytest.raises(InputError, match=words):
        payload_of(cluster, tmp_path)
