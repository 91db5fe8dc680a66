"""What llmops writes on a machine, each written while the disk takes nothing, and then again.

Run by `tests.chaos.test_full_disk` in a namespace: `python -m tests.chaos.disk_victims MOUNT`. It
prints, by fault and by what was written, what was said and what was there then.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.crash import scarce
from llmops.errors import LlmopsError
from llmops.policies import Applied, Shelf
from llmops.releases import History, State
from serving.agent import open_blobs
from serving.agent.blobs import NEW
from serving.backup import place_of
from serving.gateway import Audit, Saved, create_key, list_keys, verify_audit
from serving.gateway.limiter import Book
from serving.local import members
from serving.local.members import Members
from serving.local.policies import FilePolicyStore
from serving.local.store import FileReleaseStore
from serving.locking import ServiceLock
from tests.chaos.small_disk import FAULTS, SmallDisk
from tests.gateway.fakes import Gate
from tests.releases.plans import release

LINES = 30
"""Requests that are answered while the disk takes nothing."""


@dataclass(frozen=True)
class Victim:
    """Something that is written: how the version of a number is, and what is there."""

    write: Callable[[Path, int], Any]
    read: Callable[[Path], Any]


def _record(home: Path, number: int) -> None:
    store = FileReleaseStore(home)
    made = tuple(release(one, State.RETIRED, service="chat") for one in range(1, number + 1))
    store.write(History("chat", made), store.read("chat")[1])


def _policies(home: Path, number: int) -> None:
    store = FilePolicyStore(home)
    store.write(Shelf((Applied("house", number, "name: house", 1.0, "ada"),)), store.read()[1])


def _object(home: Path, number: int) -> None:
    blobs = open_blobs(f"file://{home}")
    before = blobs.get("keys.json")
    blobs.put("keys.json", str(number).encode(), before.version if before else NEW)


def _counts(home: Path, number: int) -> None:
    saved = Saved(home / "usage.json")
    saved.open(Book(), 0.0)
    try:
        buckets = {"requests": [0.0, 0.0], "tokens": [0.0, 0.0]}
        saved.write({"chat/a": {**buckets, "day": [1, number], "month": [1, number]}})
    finally:
        saved.close()


def _lock(home: Path, number: int) -> None:
    ServiceLock(home).take("chat", f"deployed {number}").close()


VICTIMS = {
    "the record of releases": Victim(_record, lambda home: len(
        FileReleaseStore(home).read("chat")[0].releases)),
    "what should run": Victim(
        lambda home, n: members.write(home / "m.json", Members({("chat", n): 100}, n)),
        lambda home: members.read(home / "m.json").generation),
    "keys": Victim(lambda home, n: create_key(home / "keys.json", "chat", f"team-{n}"),
                   lambda home: len(list_keys(home / "keys.json", "chat"))),
    "policies": Victim(_policies, lambda home: FilePolicyStore(home).read()[0].entries[-1].version),
    "a backup": Victim(lambda home, n: place_of(str(home)).put(f"{n}.tar", bytes(4096)),
                       lambda home: len(list(home.iterdir()))),
    "an agent's store": Victim(_object, lambda home: int(open_blobs(f"file://{home}")
                                                         .get("keys.json").data)),  # type: ignore[union-attr]
    "what keys use": Victim(_counts, lambda home: json.loads(
        (home / "usage.json").read_text())["chat/a"]["day"][1]),
}  # fmt: skip


def struck(disk: SmallDisk, fault: str, name: str, victim: Victim) -> dict[str, Any]:
    """Write, write while the disk takes nothing, and write again once it does."""
    home = disk.path / f"{fault}-{name.replace(' ', '-')}"
    home.mkdir(mode=0o700)
    victim.write(home, 1)
    told = ""
    with disk.fault(fault):
        try:
            victim.write(home, 2)
        except LlmopsError as error:
            told = f"{error.message}; hint: {error.hint}"
        except OSError as error:
            known = scarce(error)
            told = f"{known.message}; hint: {known.hint}" if known else f"unexplained: {error!r}"
        during = victim.read(home)
    victim.write(home, 2)
    return {"told": told, "during": during, "after": victim.read(home)}


def audited(disk: SmallDisk, fault: str) -> dict[str, Any]:
    """A gateway that is asked before, while its audit log takes nothing, and after."""
    home = disk.path / f"{fault}-audit"
    home.mkdir(mode=0o700)
    gate = Gate(home)
    statuses = asyncio.run(_asked(disk, fault, gate))
    report = verify_audit(gate.audit_file, gate.audit.anchors())["known"]
    gate.audit.close()
    lost = gate.app.state()["audit_lost"]
    metric = gate.metrics.registry.get_sample_value("llmops_audit_lost")
    return {"statuses": statuses, "faults": list(map(str, report.faults)), "metric": metric,
            "written": report.verified, "told": report.lost, "lost": lost}  # fmt: skip


async def _asked(disk: SmallDisk, fault: str, gate: Gate) -> list[int]:
    statuses = [(await gate.complete()).status]
    with disk.fault(fault):
        statuses += [(await gate.complete()).status for _ in range(LINES)]
    return [*statuses, (await gate.complete()).status]


def begun(disk: SmallDisk, fault: str) -> dict[str, Any]:
    """A gateway's log that is opened while the disk takes nothing."""
    path = disk.path / f"{fault}-begun" / "audit.jsonl"
    with disk.fault(fault):
        audit = Audit(path)
        audit.write(key_id="k")
    audit.write(key_id="k")
    report = verify_audit(path, audit.anchors())["known"]
    audit.close()
    return {"faults": list(map(str, report.faults)), "told": report.lost, "last": report.last}


def turned(disk: SmallDisk, fault: str) -> dict[str, Any]:
    """A log that would be turned over while the disk takes nothing, many times over."""
    path = disk.path / f"{fault}-turned" / "audit.jsonl"
    audit = Audit(path)
    for _ in range(12):
        audit.write(key_id="k")
    with disk.fault(fault):
        for _ in range(12):
            audit.write(key_id="k")
    for _ in range(12):
        audit.write(key_id="k")
    report = verify_audit(path, audit.anchors())["known"]
    audit.close()
    return {"faults": list(map(str, report.faults)), "told": report.lost, "lost": audit.lost()}


def main() -> None:
    """Strike everything with every fault."""
    import serving.gateway.audit as small

    disk = SmallDisk(Path(sys.argv[1]))
    found: dict[str, Any] = {}
    for fault in FAULTS:
        found[fault] = {name: struck(disk, fault, name, one) for name, one in VICTIMS.items()}
        found[fault]["audit begun"] = begun(disk, fault)
        if fault == "read-only":
            continue  # the kernel makes no disk so on which a file is open for writing
        found[fault]["audit"] = audited(disk, fault)
        small.MAX_BYTES = 1200
        found[fault]["audit turned"] = turned(disk, fault)
        small.MAX_BYTES = 32 << 20
    print(json.dumps(found))


if __name__ == "__main__":
    main()
