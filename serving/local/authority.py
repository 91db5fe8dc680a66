"""An authority for development: it issues a certificate for this machine's endpoint.

Its private key lies on this machine, below the home, readable by its user only; whoever has it can
pass for any server to a client that trusts it. So it is for trying things out: trust it where you
develop, and nowhere else.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmops.errors import InputError
from serving.local.certificates import (
    DAY,
    SOON,
    Certificate,
    authority_file,
    read_certificate,
)
from serving.runtime.launcher import private_directory

if TYPE_CHECKING:
    from serving.local.issuing import Pair

ALWAYS = ("localhost", "127.0.0.1", "::1")
"""What every certificate is for."""
AUTHORITY_DAYS = 5 * 365
SERVER_DAYS = 365

MOST_NAME = 253
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?({_LABEL}\.)*{_LABEL}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate for the endpoint, and where it is."""

    authority: Path
    cert: Path
    key: Path
    names: tuple[str, ...]
    ends_at: float
    """Unix seconds."""
    made: bool
    """Whether it was made now; the one from before was good otherwise."""


class DevelopmentAuthority:
    """Issues certificates below a home.

    Args:
        home: The home.
        now: Unix seconds.
    """

    def __init__(self, home: Path, now: float) -> None:
        self._authority = authority_file(home)
        self._now = now

    @property
    def _key(self) -> Path:
        return self._authority.with_name("ca-key.pem")

    def issue(self, names: tuple[str, ...], *, renew: bool) -> Issued:
        """A certificate for this machine and `names`; one that is good and has them all stays.

        Args:
            names: Host names and addresses, beside those of this machine.
            renew: Make another all the same.

        Raises:
            InputError: When a name cannot be one of a host.
        """
        wanted = tuple(dict.fromkeys([*ALWAYS, *map(_checked, names)]))
        folder = self._authority.parent
        private_directory(folder)
        cert, key = folder / "server.pem", folder / "server-key.pem"
        before = self._good(cert, key)
        if before and not renew and set(wanted) <= set(before.names):
            return Issued(self._authority, cert, key, before.names, before.ends_at, made=False)
        if before:  # what it was for before it goes on to be for
            wanted = tuple(dict.fromkeys([*before.names, *wanted]))
        self._make(cert, key, wanted)
        ends_at = read_certificate(cert).ends_at
        return Issued(self._authority, cert, key, wanted, ends_at, made=True)

    def _good(self, cert: Path, key: Path) -> Certificate | None:
        """The certificate that is there, where it is of this authority and lasts a while."""
        if not (cert.exists() and key.exists() and self._lasting(self._authority)):
            return None
        return read_certificate(cert) if self._lasting(cert) else None

    def _lasting(self, path: Path) -> bool:
        return path.exists() and read_certificate(path).ends_at - self._now > SOON

    def _ensure(self) -> Pair:
        """The authority; made where there is none that outlives what it would issue."""
        from serving.local.issuing import make_authority

        if self._authority.exists() and self._key.exists():
            left = read_certificate(self._authority).ends_at - self._now
            if left > SERVER_DAYS * DAY:
                return self._authority.read_bytes(), self._key.read_bytes()
        made = make_authority(self._now, AUTHORITY_DAYS)
        _write((self._key, made[1]), (self._authority, made[0]))
        return made

    def _make(self, cert: Path, key: Path, names: tuple[str, ...]) -> None:
        from serving.local.issuing import make_server

        made = make_server(self._ensure(), names, self._now, SERVER_DAYS)
        # Key first: an endpoint that looks in between finds a pair that does not match, and waits.
        _write((key, made[1]), (cert, made[0]))


def _checked(name: str) -> str:
    """A name as certificates have it.

    Raises:
        InputError: When it is none of a host.
    """
    lower = name.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(lower))
    except ValueError:
        if len(lower) <= MOST_NAME and _HOST.fullmatch(lower):
            return lower
    raise InputError(
        f"{name[:80]!r} is no name or address of a host",
        hint="such as llm.example.com, *.example.com or 192.0.2.7",
    )


def _write(*files: tuple[Path, bytes]) -> None:
    """Replace files, in their order, once all of them are whole: where the disk is full, none is.
    Nobody else can read them at any time."""
    written = [(_whole(path, content), path) for path, content in files]
    for whole, path in written:
        whole.replace(path)


def _whole(path: Path, content: bytes) -> Path:
    whole = path.with_name(f"{path.name}.new")
    whole.unlink(missing_ok=True)  # what a killed writer left
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return whole
