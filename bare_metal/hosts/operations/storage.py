"""The disk for weights: a filesystem that is there already, mounted where it is wanted.

Pure. Nothing is ever formatted, moved or unmounted here: a disk that is not as wanted is refused
with what it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bare_metal.hosts.facts import Disk, HostFacts
from bare_metal.hosts.operations.model import (
    Change,
    Desired,
    Kept,
    Refusal,
    Said,
    known,
    reload_units,
    write,
)
from bare_metal.inventory import Cache

_UNIT = """\
# Written by llmops from the cluster file; changes here are overwritten.
[Unit]
Description=Weights of models, for llmops

[Mount]
What={what}
Where={where}
Options=nofail,noatime

[Install]
WantedBy=multi-user.target
"""


def cache(facts: HostFacts, want: Desired) -> Iterator[Said]:
    """The disk for weights."""
    wanted = want.system.cache
    if wanted is None:
        return
    disks = [disk for disk in known(facts.disks, "disks") if _is(disk, wanted)]
    mounts = known(facts.mounts, "mounts")
    refusal = _refusal(wanted, disks, mounts)
    if refusal is not None:
        yield refusal
        return
    name = f"{escaped(wanted.path)}.mount"
    path = f"/etc/systemd/system/{name}"
    kind, _, value = wanted.source.partition("=")
    text = _UNIT.format(what=f"/dev/disk/by-{kind.lower()}/{value}", where=wanted.path)
    written = known(facts.ours, "files of llmops").get(path) == text
    enabled = known(facts.unit_files, "unit files").get(name) == "enabled"
    if written and enabled and wanted.path in mounts:
        yield Kept(f"{wanted.source} is mounted at {wanted.path}, now and after each start")
        return
    if not written:
        yield write(path, text, f"mount {wanted.source} at {wanted.path} with each start")
        yield reload_units()
    yield Change(f"mount {wanted.source} at {wanted.path}", ("systemctl", "enable", "--now", name))


def _is(disk: Disk, wanted: Cache) -> bool:
    kind, _, value = wanted.source.partition("=")
    return (disk.label if kind == "LABEL" else disk.uuid.lower()) == (
        value if kind == "LABEL" else value.lower()
    )


def _refusal(wanted: Cache, disks: list[Disk], mounts: Mapping[str, str]) -> Refusal | None:
    if not disks:
        return Refusal(
            f"there is no filesystem {wanted.source}",
            "llmops formats nothing: make one on the disk that you choose, with that label",
        )
    if len(disks) > 1:
        names = ", ".join(disk.name for disk in disks)
        return Refusal(f"{wanted.source} is on {names} alike", "give each a label of its own")
    disk = disks[0]
    if not disk.filesystem:
        return Refusal(f"{disk.name} holds no filesystem", "llmops formats nothing")
    if disk.mounted not in ("", wanted.path):
        return Refusal(
            f"{disk.name} ({wanted.source}) is mounted at {disk.mounted}",
            f"unmount it there, or write path: {disk.mounted}",
        )
    if wanted.path in mounts and disk.mounted != wanted.path:
        return Refusal(
            f"{mounts[wanted.path]} is mounted at {wanted.path}, and not {wanted.source}",
            "unmount it there, or write another path",
        )
    return None


def escaped(path: str) -> str:
    """A path as systemd names units after it (systemd-escape --path)."""
    return "-".join(
        "".join(_letter(letter, at) for at, letter in enumerate(part))
        for part in path.strip("/").split("/")
    )


def _letter(letter: str, at: int) -> str:
    plain = letter.isascii() and (letter.isalnum() or letter in ":_" or (letter == "." and at))
    return letter if plain else f"\\x{ord(letter):02x}"
