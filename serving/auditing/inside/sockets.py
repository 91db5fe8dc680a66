"""What listens: every socket of the runtime's processes against the launcher's own list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psutil

from llmops.errors import TargetError
from llmops.policies import Finding
from serving.auditing.telling import finding
from serving.runtime.launcher import SOCKETS


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that listens."""

    address: str
    port: int
    pid: int
    program: str

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}, of pid {self.pid} ({self.program})"


def listening(processes: Iterable[psutil.Process]) -> Iterator[Listening]:
    """What these processes listen on; those that have ended since are passed over.

    Raises:
        TargetError: When one may not be looked at.
    """
    for process in processes:
        try:
            with contextlib.suppress(psutil.NoSuchProcess):
                yield from _of(process)
        except psutil.AccessDenied as error:
            raise TargetError(f"pid {process.pid} may not be looked at") from error


def _of(process: psutil.Process) -> Iterator[Listening]:
    program = " ".join([process.name(), *process.cmdline()[:1]])
    for one in process.net_connections("inet"):
        if one.status == psutil.CONN_LISTEN and one.laddr:
            address = one.laddr.ip.removeprefix("::ffff:")
            yield Listening(address, one.laddr.port, process.pid, program)


def strangers(found: Iterable[Listening], host: str, port: int) -> Iterator[Finding]:
    """Sockets that nobody has listed.

    Args:
        found: What listens.
        host: Address of the endpoint, which may be any.
        port: Its port.
    """
    for one in found:
        listed = [s for s in SOCKETS if s.owner in one.program and s.address == one.address]
        if listed or (one.address, one.port) == (host, port):
            continue
        yield finding(
            "audit.sockets",
            f"{one.program} listens on port {one.port}, and nobody has listed that",
            str(one),
            f"see what pid {one.pid} is; end the runtime if it is not llmops'",
        )
