"""The systemd units of a machine that a cloud makes: prepared each time, then the agent; and what
sends their journal, where that is asked for. Pure."""

from __future__ import annotations

from infra.startup.model import Role, StartUp
from serving.agent import SERVICE, AgentUnit, unit_text

HOME = "/var/lib/llmops"
ETC = "/etc/llmops"
VENV = "/opt/llmops/venv"
USER = "llmops"
TOKEN = f"{ETC}/ray-token"
PREPARE = "/usr/local/sbin/llmops-prepare"
SERVE = SERVICE


SEND = "/usr/local/sbin/llmops-send-logs"
SENDING = "llmops-logs.timer"


def sending_units() -> dict[str, str]:
    """By name: the unit that sends what the machine says, and when it is run."""
    return {
        "llmops-logs.service": "[Unit]\nDescription=llmops logs to CloudWatch\n\n"
        f"[Service]\nType=oneshot\nExecStart={SEND}\n",
        SENDING: "[Unit]\nDescription=llmops logs to CloudWatch\n\n"
        "[Timer]\nOnBootSec=5\nOnUnitInactiveSec=10\n\n[Install]\nWantedBy=timers.target\n",
    }


def agent_unit(startup: StartUp) -> str:
    """The unit of llmops' agent: on the head it makes releases, on a worker it lends its GPUs."""
    return unit_text(
        AgentUnit(
            program=f"{VENV}/bin/llmops",
            user=USER,
            store=startup.store,
            address="${LLMOPS_ADDRESS}",
            token=TOKEN,
            worker=startup.role is Role.WORKER,
            # The second is written by what runs before: so it may be missing then.
            environment=(f"{ETC}/environment", f"-{ETC}/address"),
            before=PREPARE,
        )
    )
