"""Plans as lines for people and as plain data. Pure; shows what a command is, never its content."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bare_metal.hosts.connection import Unreachable
from bare_metal.hosts.operations.model import Change
from bare_metal.hosts.operations.planning import HostPlan

NAMED = 6
"""Hosts that are named in a line."""


def command(change: Change) -> str:
    """A command as one would type it; a script of ours by its name, with what it works on."""
    words = list(change.argv)
    if "sh" in words and "-c" in words:
        at = words.index("-c")
        words = [*words[: at - 1], *words[at + 2 :]]
    return shlex.join(words)


def preview(plans: Mapping[str, HostPlan | Unreachable]) -> Iterator[str]:
    """What would be done, each thing once with the hosts that it is done on."""
    changes: dict[tuple[str, str], list[str]] = defaultdict(list)
    refusals: dict[tuple[str, str], list[str]] = defaultdict(list)
    kept: dict[str, list[str]] = defaultdict(list)
    for host, found in plans.items():
        if isinstance(found, Unreachable):
            yield f"unreachable: {host}: {found.reason}"
            if found.hint:
                yield f"    fix: {found.hint}"
            continue
        for change in found.changes:
            changes[change.why, command(change)].append(host)
        for refusal in found.refusals:
            refusals[refusal.why, refusal.hint].append(host)
        for one in found.kept:
            kept[one.why].append(host)
    for why, hosts in kept.items():
        yield f"nothing to do: {why}  [{named(hosts)}]"
    for (why, hint), hosts in refusals.items():
        yield f"not done: {why}  [{named(hosts)}]"
        yield f"    fix: {hint}"
    for (why, line), hosts in changes.items():
        yield f"change: {why}  [{named(hosts)}]"
        yield f"    {line}"


def named(hosts: Sequence[str]) -> str:
    """Some hosts by name, and how many more."""
    more = len(hosts) - NAMED
    return ", ".join(hosts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def plan_data(plans: Mapping[str, HostPlan | Unreachable]) -> dict[str, Any]:
    """Plans as plain data: stable keys, for scripts."""
    return {host: _data(found) for host, found in plans.items()}


def _data(found: HostPlan | Unreachable) -> dict[str, Any]:
    if isinstance(found, Unreachable):
        return {"unreachable": found.reason, "hint": found.hint}
    return {
        "changes": [{"why": one.why, "command": command(one)} for one in found.changes],
        "kept": [one.why for one in found.kept],
        "refused": [{"why": one.why, "hint": one.hint} for one in found.refusals],
    }
