"""Keep Serve's own sockets on loopback.

Ray binds to loopback when its node's address is loopback (see `launcher.environment`). One socket
does not follow: the gRPC server through which Serve's deployments call each other is bound to
every interface by a constant. It asks for Ray's token, but a port that nobody needs should not be
open, so the address is replaced where Serve passes it on.
"""

from __future__ import annotations

import os
from typing import Any

from ray.serve._private import replica as serve_replica

from serving.runtime.paths import LOOPBACK_ONLY

ANY_ADDRESS = "[::]:0"


def wanted() -> bool:
    """Whether this process belongs to a runtime that is on one machine alone."""
    return os.environ.get(LOOPBACK_ONLY) == "1"


def keep_serve_on_loopback() -> None:
    """Make replicas in this process bind their gRPC server to 127.0.0.1. Idempotent."""
    original = serve_replica.add_port_to_grpc_server
    if getattr(original, "binds_loopback", False):
        return

    def add_port(server: Any, address: str) -> int:
        port: int = original(server, "127.0.0.1:0" if address == ANY_ADDRESS else address)
        return port

    add_port.binds_loopback = True  # type: ignore[attr-defined]
    serve_replica.add_port_to_grpc_server = add_port
