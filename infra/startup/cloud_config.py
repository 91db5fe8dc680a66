"""cloud-init's user data: files, and one command that can be run again at any time. Pure.

A `#cloud-config` is written as data, never pasted together. EC2 takes at most 16 KiB of it, before
it is encoded.
"""

from __future__ import annotations

from importlib.resources import files

import yaml

from infra.startup.model import StartUp
from infra.startup.units import (
    ETC,
    HOME,
    PREPARE,
    SEND,
    SENDING,
    SERVE,
    TOKEN,
    USER,
    VENV,
    agent_unit,
    sending_units,
)

LONGEST = 16 * 1024
"""Bytes of user data that EC2 takes."""


def user_data(startup: StartUp) -> str:
    """The user data of a machine.

    Raises:
        ValueError: When it is longer than EC2 takes.
    """
    document = {
        "write_files": [
            _file(f"{ETC}/environment", environment(startup)),
            _file(PREPARE, script("prepare.sh"), mode="0755"),
            _file("/usr/local/lib/llmops/aws.sh", script("aws.sh")),
            _file(f"/etc/systemd/system/{SERVE}", agent_unit(startup)),
            *_sending(startup),
        ],
        "runcmd": [
            ["systemctl", "daemon-reload"],
            *([_enable(SENDING)] if startup.log_group else ()),
            _enable(SERVE),
        ],
    }
    text = "#cloud-config\n" + yaml.safe_dump(document, sort_keys=False, width=1000)
    if len(text.encode()) > LONGEST:
        raise ValueError(f"the start-up has {len(text.encode())} bytes, and EC2 takes {LONGEST}")
    return text


def _enable(unit: str) -> list[str]:
    return ["systemctl", "enable", "--now", "--no-block", unit]


def _sending(startup: StartUp) -> list[dict[str, str]]:
    """What sends the journal; nothing where nobody asked for it."""
    if not startup.log_group:
        return []
    units = sending_units().items()
    return [
        _file(SEND, script("send.sh"), mode="0755"),
        *(_file(f"/etc/systemd/system/{name}", text) for name, text in units),
    ]


def environment(startup: StartUp) -> str:
    """What scripts and agent are told, as systemd and sh both read it."""
    packages = startup.packages
    values = {
        "LLMOPS_HOME": HOME,
        "LLMOPS_VENV": VENV,
        "LLMOPS_USER": USER,
        "LLMOPS_ROLE": str(startup.role),
        "LLMOPS_STORE": startup.store,
        "LLMOPS_SECRET": startup.secret,
        "LLMOPS_TOKEN_FILE": TOKEN,
        "LLMOPS_PACKAGES": f"{startup.store}/{packages.key}",
        "LLMOPS_WHEEL": packages.wheel,
        "LLMOPS_WHEEL_SHA256": packages.wheel_sha256,
        "LLMOPS_LOCK_SHA256": packages.lock_sha256,
        "LLMOPS_WHEELS": packages.folder,
        "LLMOPS_GPUS": str(startup.gpus),
        "LLMOPS_LOG_GROUP": startup.log_group,
        "AWS_REGION": startup.region,
        "AWS_DEFAULT_REGION": startup.region,
        "HOME": HOME,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def script(name: str) -> str:
    """A script that the package carries."""
    return files("infra.startup").joinpath("scripts", name).read_text(encoding="utf-8")


def _file(path: str, content: str, mode: str = "0644") -> dict[str, str]:
    return {"path": path, "owner": "root:root", "permissions": mode, "content": content}
