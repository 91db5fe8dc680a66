"""Where this machine's endpoint is: as clients are told it, and as its user's commands reach it."""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmops.errors import InputError
from llmops.planning import Plan
from serving.client import Line
from serving.local.certificates import expiry_notes, read_certificate, trust

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not listened on
"""Addresses that are every address of the machine, and where this machine reaches itself."""


@dataclass(frozen=True, slots=True)
class Door:
    """The endpoint of this machine."""

    host: str
    """Address that it listens on."""
    port: int
    cert: Path | None = None
    """Its certificate; None where it speaks plain HTTP."""

    @classmethod
    def of(cls, endpoint: Mapping[str, Any]) -> Door:
        """The door of a host's record."""
        tls = endpoint.get("tls")
        return cls(endpoint["host"], endpoint["port"], Path(tls[0]) if tls else None)

    @classmethod
    def planned(cls, plan: Plan) -> Door:
        """The door that a plan says."""
        return cls(plan.host, plan.port, Path(plan.tls.cert) if plan.tls else None)

    @property
    def url(self) -> str:
        """Base URL for clients; over TLS with a name that the certificate is for."""
        if self.cert is None:
            return self._url("http", self.host)
        return self._url("https", self._name())

    def reach(self, home: Path) -> tuple[str, Line]:
        """Base URL and line by which this machine reaches its own endpoint."""
        if self.cert is None:
            return self.url, Line()
        name = self._name()
        checked = "" if name == self._address else name
        line = Line(verify=trust(self.cert, home), server_name=checked)
        return self._url("https", self._address), line

    def notes(self, state: Mapping[str, Any], now: float | None = None) -> tuple[str, ...]:
        """What is to be known of its certificate.

        Args:
            state: What the gateway tells of itself; empty without one.
            now: Unix seconds.
        """
        if self.cert is None:
            return ()
        error = (state.get("tls") or {}).get("error")
        told = (f"the endpoint keeps the certificate it had: {error}",) if error else ()
        with contextlib.suppress(InputError):  # the gateway says so itself
            found = read_certificate(self.cert)
            return told + expiry_notes(self.cert, found, time.time() if now is None else now)
        return told

    @property
    def _address(self) -> str:
        return WILDCARDS.get(self.host, self.host)

    def _name(self) -> str:
        """The name that the certificate is checked for."""
        if self.cert is not None:
            with contextlib.suppress(InputError):  # it has gone since: the address is all there is
                return read_certificate(self.cert).name_for(self._address)
        return self._address

    def _url(self, scheme: str, host: str) -> str:
        return f"{scheme}://{f'[{host}]' if _is_v6(host) else host}:{self.port}/v1"


def _is_v6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
