"""The systemd unit of an agent, or of a worker, on a machine that llmops sets up. Pure.

Restarting the agent leaves what serves alone (`KillMode=process`): it finds it again. So /tmp is
the machine's: a private one would be a new one with each start, and its sockets lie there. It runs
as a user that owns nothing but its state.
"""

from __future__ import annotations

from dataclasses import dataclass

from serving import systemd

SERVICE = "llmops-agent.service"

_HARDENED = (
    "NoNewPrivileges", "ProtectHome", "ProtectKernelTunables", "ProtectKernelModules",
    "ProtectControlGroups", "RestrictSUIDSGID",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUnit:
    """What differs from machine to machine."""

    program: str
    """Path of `llmops` there."""
    user: str
    store: str
    """Address of the store."""
    address: str
    """The machine's private address, or a reference to a variable of its environment."""
    token: str
    """Path of the file with Ray's token."""
    worker: bool
    """Whether it only lends what it has to the agent of another machine."""
    environment: tuple[str, ...]
    """Files with its environment; one after a `-` may be missing."""
    before: str = ""
    """A program that prepares the machine, run as root each time before."""


def unit_text(unit: AgentUnit) -> str:
    """The text of `llmops-agent.service`."""
    command = [
        unit.program, "agent", "--store", unit.store, "--address", unit.address,
        "--token-file", unit.token, *(["--worker"] if unit.worker else []),
    ]  # fmt: skip
    return systemd.unit(
        Unit={
            "Description": f"llmops agent ({'worker' if unit.worker else 'head'})",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "StartLimitIntervalSec": "0",
        },
        Service={
            "Type": "exec",
            "User": unit.user,
            "EnvironmentFile": list(unit.environment),
            # The leading plus runs it as root: it writes what the agent's user may not.
            **({"ExecStartPre": f"+{unit.before}"} if unit.before else {}),
            "ExecStart": " ".join(command),
            "KillMode": "process",
            "Restart": "always",
            "RestartSec": "10",
            "TimeoutStartSec": "1800",
            "LimitNOFILE": "1048576",
            "LimitMEMLOCK": "infinity",
            "ProtectSystem": "full",
            **dict.fromkeys(_HARDENED, "yes"),
        },
        Install={"WantedBy": "multi-user.target"},
    )


__all__ = ["AgentUnit", "SERVICE", "unit_text"]
