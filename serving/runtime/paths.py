"""Where a runtime keeps what it needs: names only, nothing is made here.

Two places, both private to the user. Under `LLMOPS_HOME` lies what outlives a runtime (keys, logs,
records). Sockets lie in a short-named directory of their own, since the kernel takes no socket
path beyond 107 bytes and Ray makes long ones.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

LOOPBACK_ONLY = "LLMOPS_LOOPBACK"
"""Set to 1 in the environment of a runtime that is on one machine alone. Where the nodes are pods,
they must reach each other, and network policies stand in for loopback."""

ANEW = "LLMOPS_ANEW"
"""Set to 1 in the environment of a host that has begun anew."""

NODE_ADDRESS = "LLMOPS_NODE_ADDRESS"
"""Set in the environment of a runtime whose Ray may have several machines: this one's address."""


@dataclass(frozen=True, slots=True)
class RuntimePaths:
    """The files of the runtime that belongs to one `LLMOPS_HOME`."""

    home: Path

    @property
    def sockets(self) -> Path:
        """Short directory for sockets and Ray's session; gone after `destroy`."""
        digest = hashlib.sha256(str(self.home.resolve()).encode()).hexdigest()[:10]
        return Path(tempfile.gettempdir()) / f"llmops-{os.getuid()}-{digest}"

    @property
    def control(self) -> Path:
        """Socket of the host's control API."""
        return self.sockets / "control.sock"

    @property
    def host_record(self) -> Path:
        """Who the host is: pid and start time, written by the host itself."""
        return self.sockets / "host.json"

    @property
    def held(self) -> Path:
        """The config that Serve was last handed (0600)."""
        return self.sockets / "config.json"

    @property
    def segments(self) -> Path:
        """What its processes have in shared memory, written by the host."""
        return self.sockets / "segments.json"

    @property
    def joined(self) -> Path:
        """Which head this machine's node has joined, written by the node itself."""
        return self.sockets / "joined"

    @property
    def node(self) -> Path:
        """Ray's id of this machine's node, written by the node itself once it has joined."""
        return self.sockets / "node-id"

    @property
    def ray(self) -> Path:
        """Ray's temporary directory."""
        return self.sockets / "ray"

    @property
    def deaths(self) -> Path:
        """What replicas leave of their deaths, by the ids of their actors."""
        return self.sockets / "deaths"

    @property
    def token(self) -> Path:
        """Ray's authentication token (0600)."""
        return self.sockets / "ray-token"

    @property
    def host_log(self) -> Path:
        return self.home / "logs" / "host.log"

    @property
    def keys(self) -> Path:
        """Hashes of the API keys (0600)."""
        return self.home / "keys.json"

    @property
    def usage(self) -> Path:
        """What keys have used (0600)."""
        return self.home / "usage.json"

    @property
    def audit(self) -> Path:
        return self.home / "logs" / "audit.jsonl"

    @property
    def models(self) -> Path:
        """The cache of models; elsewhere where weights have a volume of their own."""
        named = os.environ.get("LLMOPS_MODELS")
        return Path(named) if named else self.home / "models"

    def logs(self, service: str, release: int) -> Path:
        """Directory of one release's logs."""
        return self.home / "logs" / service / f"r{release}"

    def engine_log(self, service: str, release: int) -> Path:
        return self.logs(service, release) / "engine.log"

    def failure(self, service: str, release: int) -> Path:
        """Why the release's engine could not start, as the replica found it."""
        return self.logs(service, release) / "failure.json"
