"""First contact: the keys that hosts show, beside those that are pinned. Logs in nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bare_metal.hosts.connection import (
    HostKey,
    Unreachable,
    called,
    over,
    pinned,
    shown_key,
)
from bare_metal.inventory import Access, Placed

SECONDS = 60.0


@dataclass(slots=True)
class Seen:
    """What hosts showed."""

    to_pin: dict[str, str] = field(default_factory=dict)
    """Keys that may be pinned, by what known_hosts calls the host."""
    new: dict[str, HostKey] = field(default_factory=dict)
    same: list[str] = field(default_factory=list)
    changed: dict[str, HostKey] = field(default_factory=dict)
    """Hosts that show another key than the pinned one, and were not named for it."""
    silent: dict[str, Unreachable] = field(default_factory=dict)


def compare_keys(
    hosts: Sequence[Placed], access: Access, known_hosts: Path, replace: Sequence[str] = ()
) -> Seen:
    """Ask hosts for their keys.

    Args:
        hosts: The hosts.
        access: How they are reached.
        known_hosts: Where keys are pinned.
        replace: Hosts whose pinned key may be another.

    Raises:
        InputError: When the file cannot be read.
    """
    held = pinned(known_hosts)

    async def one(host: Placed) -> HostKey:
        return await shown_key(host, access)

    found = asyncio.run(over(hosts, one, seconds=SECONDS))
    seen = Seen()
    for host in hosts:
        key, name = found[host.name], called(host.address, access.port)
        if isinstance(key, Unreachable):
            seen.silent[host.name] = key
        elif key.line in held.get(name, ()):
            seen.same.append(host.name)
        elif name in held and host.name not in replace:
            seen.changed[host.name] = key
        else:
            seen.new[host.name] = key
            seen.to_pin[name] = key.line
    return seen


def seen_lines(seen: Seen) -> Iterator[str]:
    """What was seen, for people: a fingerprint is compared with what the host's console shows."""
    if seen.same:
        yield f"{len(seen.same)} hosts show the key that is pinned"
    for name, key in seen.new.items():
        yield f"new: {name}  {key.line.split()[0]}  {key.fingerprint}"
    for name, key in seen.changed.items():
        yield f"refused: {name} shows another key than the pinned one: {key.fingerprint}"
        yield f"    fix: find out why; if it was installed again, name it: --replace {name}"
    for name, silent in seen.silent.items():
        yield f"unreachable: {name}: {silent.reason}"
    if seen.new:
        yield (
            "compare them on each host's console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"
        )
