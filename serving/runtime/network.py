"""A Ray of several machines: the address each is reached by, and the token that all share.

The token is a file that whoever sets up the machines puts on each. Ray's ports are open to the
network of that address, guarded by the token: it must be a network in which nobody listens, because
the token travels in clear.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import psutil

from llmops.errors import InputError

LEAST = 32
"""Characters of a token."""


@dataclass(frozen=True, slots=True)
class Network:
    """How one machine takes part."""

    address: str
    """Its own IP address."""
    token_file: Path

    @classmethod
    def of(cls, address: str, token_file: Path) -> Network:
        """The network, once its parts have been looked at.

        Raises:
            InputError: When the address is none of one machine, or others can read the token.
        """
        try:
            found = ipaddress.ip_address(address)
        except ValueError as error:
            raise InputError(f"'{address}' is no IP address of this machine") from error
        if found.is_unspecified or found.is_multicast:
            raise InputError(f"{address} is no address that other machines reach this one by")
        network = cls(address, token_file)
        network.token()
        return network

    @property
    def loopback(self) -> bool:
        """Whether all machines are this one."""
        return ipaddress.ip_address(self.address).is_loopback

    def token(self) -> str:
        """The token.

        Raises:
            InputError: When it is not there, too short, or others can read it.
        """
        try:
            mode, text = self.token_file.stat().st_mode, self.token_file.read_text().strip()
        except OSError as error:
            raise InputError(f"the token file {self.token_file} cannot be read") from error
        if stat.S_IMODE(mode) & 0o077:
            raise InputError(
                f"{self.token_file} can be read by others", hint=f"chmod 600 {self.token_file}"
            )
        if len(text) < LEAST or not text.isascii() or len(text.split()) != 1:
            raise InputError(
                f"{self.token_file} is no token: expected one word of at least {LEAST} characters",
                hint="the same on all machines, such as: openssl rand -hex 32",
            )
        return text

    def fingerprint(self) -> str:
        """What tells two tokens apart, and is none."""
        return hashlib.sha256(f"llmops ray token {self.token()}".encode()).hexdigest()[:16]


def interface_of(address: str) -> str:
    """Name of the interface of this machine that has an address.

    Raises:
        InputError: When none has it.
    """
    found = ipaddress.ip_address(address)
    families = (socket.AF_INET, socket.AF_INET6)
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if one.family in families and _same(one.address, found):
                return name
    raise InputError(f"no interface of this machine has the address {address}")


def _same(text: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    own = ipaddress.ip_address(text.partition("%")[0])
    return own == address or (own.is_loopback and address.is_loopback)


__all__ = ["Network", "interface_of"]
