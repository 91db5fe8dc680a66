"""The systemd units of a machine: one that prepares it, and one that keeps its part running. Pure.

Restarting the agent leaves what serves alone (`KillMode=process`): it finds it again. Everything
runs as a user of its own, which owns nothing but its state.
"""

from __future__ import annotations

from collections.abc import Mapping

from infra.startup.model import Role, StartUp

HOME = "/var/lib/llmops"
ETC = "/etc/llmops"
VENV = "/opt/llmops/venv"
USER = "llmops"
TOKEN = f"{ETC}/ray-token"
PREPARE = "/usr/local/sbin/llmops-prepare"
SERVE = "llmops-agent.service"

_HARDENED = (
    "NoNewPrivileges", "ProtectHome", "PrivateTmp", "ProtectKernelTunables",
    "ProtectKernelModules", "ProtectControlGroups", "RestrictSUIDSGID",
)  # fmt: skip


def agent_unit(startup: StartUp) -> str:
    """The unit of llmops' agent: on the head it makes releases, on a worker it lends its GPUs."""
    command = [
        f"{VENV}/bin/llmops", "agent", "--store", startup.store, "--address", "${LLMOPS_ADDRESS}",
        "--token-file", TOKEN,
    ]  # fmt: skip
    if startup.role is Role.WORKER:
        command.append("--worker")
    return _unit(
        Unit={
            "Description": f"llmops agent ({startup.role})",
            "Wants": "network-online.target",
            "After": "network-online.target",
            "StartLimitIntervalSec": "0",
        },
        Service={
            "Type": "exec",
            "User": USER,
            # The second is written by what runs before: so it may be missing then.
            "EnvironmentFile": [f"{ETC}/environment", f"-{ETC}/address"],
            # The leading plus runs it as root: it writes the token for the agent's user alone.
            "ExecStartPre": f"+{PREPARE}",
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


def _unit(**sections: Mapping[str, str | list[str]]) -> str:
    parts = []
    for name, values in sections.items():
        lines = [f"[{name}]"]
        for key, value in values.items():
            lines += [f"{key}={one}" for one in ([value] if isinstance(value, str) else value)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
