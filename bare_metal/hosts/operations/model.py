"""What an operation says of a host: a command to run, nothing to do, or why it is not done.

A Change carries what it needs on standard input and never in a word, so that previews, logs and the
host's own list of processes show no content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from bare_metal.hosts.facts import HostFacts, Unknown
from bare_metal.hosts.operations.wanted import AgentUnwanted, AgentWanted
from bare_metal.inventory import System

T = TypeVar("T")

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Change:
    """A command that changes something."""

    why: str
    """What it does to the host, for people."""
    argv: tuple[str, ...]
    stdin: bytes | None = None
    seconds: float = SECONDS
    """How long it may take."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Nothing is to do, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that is wanted and is not done."""

    why: str
    hint: str


Said = Change | Kept | Refusal


@dataclass(frozen=True, slots=True)
class Payload:
    """llmops as it is brought to hosts."""

    wheel_name: str
    wheel: bytes
    lock: bytes

    @property
    def digest(self) -> str:
        """What tells this program and its packages from others."""
        both = hashlib.sha256(self.wheel).digest() + hashlib.sha256(self.lock).digest()
        return hashlib.sha256(both).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wanted of one host."""

    host: str
    address: str
    """Its management address: what carries it is never restarted."""
    port: int
    """Port of its SSH."""
    system: System
    program: Payload | None = None
    agent: AgentWanted | AgentUnwanted | None = None
    """What is wanted of its agent; None leaves it alone."""
    maintenance: str | None = None
    """Why it is to be marked for maintenance; empty for a mark that is to go, None for neither."""


Operation = Callable[[HostFacts, Desired], Iterator[Said]]


class UnknowableError(Exception):
    """A fact that an operation needs is not known, so nothing may be done."""


def known(value: T | Unknown, what: str) -> T:
    """The fact, where it is known."""
    if isinstance(value, Unknown):
        raise UnknowableError(f"{what}: {value.reason}")
    return value


_WRITE = """\
set -eu
mkdir -p "$(dirname "$1")"
rm -f "$1.llmops-new"
(umask 077; cat > "$1.llmops-new")
if [ "$(sha256sum < "$1.llmops-new" | cut -c 1-64)" != "$3" ]; then
  echo "the file did not come whole" >&2
  exit 1
fi
chmod "$2" "$1.llmops-new"
sync "$1.llmops-new"
mv -f "$1.llmops-new" "$1"
"""


def write(path: str, content: str | bytes, why: str, mode: str = "0644") -> Change:
    """Put a file in place whole: a cut connection leaves what was there."""
    data = content.encode() if isinstance(content, str) else content
    digest = hashlib.sha256(data).hexdigest()
    return Change(why, ("sh", "-c", _WRITE, "write", path, mode, digest), data)


def reload_units() -> Change:
    """Have systemd read its units again."""
    return Change("have systemd read its units again", ("systemctl", "daemon-reload"))
