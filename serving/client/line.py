"""What stands between a client and an endpoint: nothing, or a proxy that wants its own credentials.

A Kubernetes API server passes requests on to a Service, but only for whom it knows, and takes the
header `Authorization` for itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Line:
    """How requests reach an endpoint."""

    verify: ssl.SSLContext | bool = True
    """How the server's certificate is checked, and the client's own shown."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the proxy wants of each request; may hold a credential."""
    server_name: str = ""
    """Name that the server's certificate must be for, where that is not the URL's host."""
    proxied: bool = False
    """Whether `Authorization` is the proxy's, so that the key goes into `x-api-key`."""

    def carry(self, key: str) -> dict[str, str]:
        """The headers of a request that is made with `key`."""
        own = {"x-api-key": key} if self.proxied else {"authorization": f"Bearer {key}"}
        return {**self.headers, **own, "accept-encoding": "identity"}

    @property
    def extensions(self) -> dict[str, str]:
        """What httpx is told of a request's connection."""
        return {"sni_hostname": self.server_name} if self.server_name else {}


DIRECT = Line()
