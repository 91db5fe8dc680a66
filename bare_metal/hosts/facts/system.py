"""Parsers: settings, limits, services, clocks, disks, accounts. Pure."""

from __future__ import annotations

import json
import re

from bare_metal.hosts.connection import Files, Ran
from bare_metal.hosts.facts.asking import UnknownError, anchored, maybe, printed, text_of
from bare_metal.hosts.facts.model import Account, Clock, Disk, Limit, Time, Unit
from llmops.units import Bytes


def sysctl(ran: Ran) -> dict[str, str]:
    """`sysctl -a`, which ends with an error where one setting of many cannot be read."""
    rows = re.findall(r"^([\w./-]+) = ?(.*)$", printed(ran, 1, 255), re.MULTILINE)
    if not rows:
        raise UnknownError("sysctl names no setting")
    return {name: " ".join(value.split()) for name, value in rows}


def limits(files: Files) -> dict[str, Limit]:
    """`/proc/self/limits` of a session, which is what programs over SSH get."""
    rows = re.findall(
        r"^(Max [a-z -]+?)\s{2,}(\S+)\s+(\S+)", text_of(files, "/proc/self/limits"), re.MULTILINE
    )
    if not rows:
        raise UnknownError("/proc/self/limits is no list of limits")
    return {name: Limit(maybe(soft), maybe(hard)) for name, soft, hard in rows if name != "Max"}


def time(ran: Ran) -> Time:
    """`timedatectl show`."""
    rows = dict(re.findall(r"^(\w+)=(.*)$", printed(ran), re.MULTILINE))
    if "NTPSynchronized" not in rows:
        raise UnknownError("timedatectl says nothing of NTP")
    return Time(rows.get("NTP") == "yes", rows["NTPSynchronized"] == "yes")


def clock(ran: Ran) -> Clock:
    """`date +%s.%N`, held against the middle of the time that the asking took."""
    try:
        there = float(printed(ran).strip())
    except ValueError as error:
        raise UnknownError(f"expected a time, found {ran.out.strip()[:40]!r}") from error
    return Clock(
        round(there - (ran.began + ran.ended) / 2, 3), round((ran.ended - ran.began) / 2, 3)
    )


def disks(ran: Ran) -> tuple[Disk, ...]:
    """`lsblk -J -b`: disks and all that is on them."""
    try:
        rows = json.loads(printed(ran))["blockdevices"]
        return tuple(_disks(rows))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnknownError("lsblk printed no list of disks") from error


def _disks(rows: list[dict[str, object]]) -> list[Disk]:
    found: list[Disk] = []
    for row in rows:
        said = {key: str(value) for key, value in row.items() if value is not None}
        found.append(
            Disk(
                said["name"], said.get("type", ""), Bytes(int(said.get("size", "0"))),
                said.get("fstype", ""), said.get("label", ""), said.get("uuid", ""),
                said.get("mountpoint", ""),
            )
        )  # fmt: skip
        below = row.get("children")
        found += _disks(below) if isinstance(below, list) else []
    return found


def mounts(files: Files) -> dict[str, str]:
    """`/proc/mounts`: what is mounted by where."""
    lines = [line.split() for line in text_of(files, "/proc/mounts").splitlines()]
    if not lines:
        raise UnknownError("/proc/mounts names no mount")
    return {line[1]: line[0] for line in lines if len(line) > 1}


def units(ran: Ran) -> dict[str, Unit]:
    """`systemctl list-units --all --plain --no-legend`, by name."""
    rows = [line.split(maxsplit=4) for line in printed(ran).splitlines()]
    found = {row[0]: Unit(row[0], row[2], row[3]) for row in rows if len(row) >= 4}
    if not found:
        raise UnknownError("systemctl names no unit")
    return found


def unit_files(ran: Ran) -> dict[str, str]:
    """`systemctl list-unit-files --plain --no-legend`: `enabled`, `disabled` and so on, by name."""
    rows = [line.split() for line in printed(ran).splitlines()]
    found = {row[0]: row[1] for row in rows if len(row) > 1}
    if not found:
        raise UnknownError("systemctl names no unit file")
    return found


def accounts(files: Files) -> dict[str, Account]:
    """`/etc/passwd`, and the `authorized_keys` of those who have some."""
    files_there = anchored(files)
    found: dict[str, Account] = {}
    for line in text_of(files, "/etc/passwd").splitlines():
        row = line.split(":")
        if len(row) >= 7 and row[2].isdigit():
            keys = files_there.get(f"{row[5].rstrip('/')}/.ssh/authorized_keys", "")
            lines = tuple(one.strip() for one in keys.splitlines() if one.strip())
            found[row[0]] = Account(row[0], int(row[2]), row[5], lines)
    return found


def slurm_steps(ran: Ran) -> tuple[str, ...]:
    """`ps -C slurmstepd`, which ends with 1 where there is none."""
    return tuple(" of ".join(line.split()) for line in printed(ran, 1).splitlines() if line.strip())


def logins(ran: Ran) -> tuple[str, ...]:
    """`who`: sessions with a terminal, which those of llmops have not."""
    rows = [line.split() for line in printed(ran).splitlines() if line.strip()]
    return tuple(dict.fromkeys(" on ".join(row[:2]) for row in rows))


def firewall(ran: Ran) -> str:
    """`nft list table inet llmops`: our own table, or an empty text where there is none."""
    if ran.code == 1 and "No such file or directory" in ran.err:
        return ""
    return printed(ran)
