"""Subnet managers: exactly one has to be master. Pure.

Read from what `saquery SMIR` lists, or, where the administration cannot be asked, from `sminfo`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bare_metal.fabric.findings import Fault, Verdict

_ONE = re.compile(r"sm guid (0x[0-9a-f]+),.*?(SMINFO_\w+)")
_RECORD = re.compile(r"^\s*GUID\.+(0x[0-9a-f]+)(?:.|\n)*?SMState\.+(\d)", re.MULTILINE)
_NONE = re.compile(r"failed: query|mad_rpc: _do_madrpc failed")

MASTER = 3
"""State of a master in an SMInfo (InfiniBand Architecture Specification, 14.2.5.13)."""


def read_managers(text: str) -> tuple[str, ...] | None:
    """Identifiers of the masters; empty when there is none, None when the text says nothing."""
    records = {guid for guid, state in _RECORD.findall(text) if int(state) == MASTER}
    alone = {guid for guid, state in _ONE.findall(text) if state == "SMINFO_MASTER"}
    masters = {f"{int(guid, 16):#018x}" for guid in records | alone}
    if masters or _RECORD.search(text) or _ONE.search(text) or _NONE.search(text):
        return tuple(sorted(masters))
    return None


def check_managers(masters: tuple[str, ...] | None) -> Iterator[Fault]:
    """None, or more than one."""
    if masters is None:
        yield Fault(
            "fabric.subnet-manager-unknown", Verdict.UNKNOWN,
            "the subnet manager is not known: sminfo and saquery said nothing",
            measured="no answer", expected="one master",
            fix="run them again; an empty answer is not a healthy one",
        )  # fmt: skip
    elif not masters:
        yield Fault(
            "fabric.no-subnet-manager", Verdict.FAIL,
            "no subnet manager is master: ports stay in Initialize and carry no traffic",
            measured="none", expected="one master",
            fix="start opensm on the host or switch that is to have it",
        )  # fmt: skip
    elif len(masters) > 1:
        yield Fault(
            "fabric.two-subnet-managers", Verdict.FAIL,
            f"{len(masters)} subnet managers are master: {', '.join(masters)}",
            measured=str(len(masters)), expected="one master",
            fix="stop all but one, or give them priorities so that the others stand by",
        )  # fmt: skip
