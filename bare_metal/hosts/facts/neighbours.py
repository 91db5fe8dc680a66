"""Parsers: who is at the other end of a cable by LLDP, and how adapters carry RDMA over Ethernet.

Neighbours are read from what `lldpcli -f json0` prints (lldpd 1.0; the form that keeps lists where
there is one of something). Pure.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

from bare_metal.hosts.connection import Files, Ran
from bare_metal.hosts.facts.asking import UnknownError, anchored, printed
from bare_metal.hosts.facts.model import Gid, Lldp, Neighbour

FLOW_CONTROL = """\
dcb -V >/dev/null || exit 127
for at in /sys/class/infiniband/*/device/net/*; do
  if [ -e "$at" ]; then
    echo "== ${at##*/}"
    dcb pfc show dev "${at##*/}" prio-pfc 2>/dev/null
  fi
done
true
"""
"""What asks every adapter's interface for the priorities that it drops nothing of (dcb-pfc(8))."""

_EMPTY = re.compile(r"[0:]*")


def neighbours(ran: Ran) -> tuple[Neighbour, ...]:
    """`lldpcli -f json0 show neighbors`: all that were heard; empty when there was none."""
    told = _listed(_json(ran).get("lldp"), "lldp")
    return tuple(
        _neighbour(one) for part in told for one in _listed(part.get("interface", []), "interface")
    )


def _neighbour(told: dict[str, Any]) -> Neighbour:
    chassis, port = _first(told, "chassis"), _first(told, "port")
    identity = _first(port, "id")
    named = "" if identity.get("type") == "mac" else _text(identity)
    return Neighbour(
        str(told["name"]), _text(_first(chassis, "id")), _text(_first(chassis, "name")),
        named, _text(_first(port, "descr")),
    )  # fmt: skip


def chassis(ran: Ran) -> Lldp:
    """`lldpcli -f json0 show chassis`: what the host itself tells its neighbours."""
    told = _first({"all": _listed(_json(ran).get("local-chassis"), "local-chassis")}, "all")
    own = _first(told, "chassis")
    found = Lldp(_text(_first(own, "id")), _text(_first(own, "name")))
    if not found.chassis:
        raise UnknownError("lldpcli names no chassis")
    return found


def _json(ran: Ran) -> dict[str, Any]:
    text = printed(ran)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise UnknownError(f"expected JSON of lldpcli, found {text.strip()[:40]!r}") from error
    if not isinstance(found, dict):
        raise UnknownError(f"expected an object of lldpcli, found {text.strip()[:40]!r}")
    return found


def _listed(told: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(told, list):
        raise UnknownError(f"expected a list named {name} of lldpcli -f json0, found none")
    return told


def _first(told: dict[str, Any], name: str) -> dict[str, Any]:
    return next(iter(_listed(told.get(name, []), name)), {})


def _text(told: dict[str, Any]) -> str:
    return str(told.get("value", "")).strip()


def gids(files: Files) -> tuple[Gid, ...]:
    """`/sys/class/infiniband/*/ports/1/gids` and the kind and interface of each entry that is used
    (Documentation/ABI/stable/sysfs-class-infiniband)."""
    # What an entry is cannot be read while it is not used: that says so, and is no failed answer.
    known = Files(files.texts, failed=files.failed)
    entries: dict[tuple[str, int], dict[str, str]] = defaultdict(dict)
    for path, text in anchored(known).items():
        device, _, rest = path.removeprefix("/sys/class/infiniband/").partition("/ports/1/")
        part, _, index = rest.rpartition("/")
        entries[device, int(index)][part] = text.strip()
    return tuple(
        Gid(device, index, said["gids"], said.get("gid_attrs/types", ""),
            said.get("gid_attrs/ndevs", ""))
        for (device, index), said in sorted(entries.items())
        if not _EMPTY.fullmatch(said.get("gids", ""))
    )  # fmt: skip


def flow_control(ran: Ran) -> dict[str, tuple[int, ...]]:
    """Priorities that nothing is dropped of, by interface; without those that do not say."""
    found: dict[str, tuple[int, ...]] = {}
    interface = ""
    for line in printed(ran).splitlines():
        if line.startswith("== "):
            interface = line[3:].strip()
        elif line.strip().startswith("prio-pfc "):
            found[interface] = tuple(int(at) for at in re.findall(r"(\d):on\b", line))
    return found
