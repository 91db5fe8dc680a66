"""The parts of a machine's start-up: values that are known before the machine is.

No secret is among them: a machine is told where a secret is, and asks for it with its own role.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a machine is for."""

    HEAD = "head"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Packages:
    """What is installed: llmops' own wheel, and the lock of everything else."""

    wheel: str
    """Its file name."""
    wheel_sha256: str
    lock_sha256: str
    folder: str = ""
    """`s3://bucket/prefix` with the locked wheels; empty for pip's own index."""

    @property
    def key(self) -> str:
        """Where both lie in the store: another version is another place."""
        return f"packages/{self.wheel_sha256[:16]}-{self.lock_sha256[:16]}"


@dataclass(frozen=True, slots=True)
class StartUp:
    """A machine's start-up."""

    role: Role
    region: str
    store: str
    """`s3://bucket/prefix`, where releases and packages are."""
    secret: str
    """ARN of the secret that holds Ray's token."""
    packages: Packages
    gpus: int
    """That the driver must show; 0 on the head."""
    log_group: str = ""
    """Name of the log group that the journal is sent to; empty for none."""
