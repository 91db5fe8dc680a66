"""The unit by which a user's own systemd brings back what was live, each time the machine starts.

It starts `llmops runtime start`, which ends when all serves; what serves stays
(`KillMode=process`), and ends with the user's systemd. That one runs without a login only where it
may linger, which is for the user to say: nothing here asks for a right. `unit_text` is pure.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from llmops.errors import InputError, RefusedError
from serving import systemd

BOOTED = Path("/run/systemd/system")
"""Is there where systemd has started the machine (sd_booted(3))."""
NAME = "llmops-runtime"
WITHOUT = "without it, llmops runtime start brings back what was live, and llmops deploy does"

_HARDENED = ("NoNewPrivileges", "RestrictSUIDSGID", "LockPersonality")
"""Of what an agent's unit forbids, what a user's systemd can forbid too: hiding parts of the system
takes a namespace of users there, in which Ray's processes are not the user's own."""
ANSWER_SECONDS = 20.0
"""For systemd to answer."""


@dataclass(frozen=True, slots=True)
class BootUnit:
    """The unit of one home.

    Attributes:
        program: Path of `llmops`.
        home: What `LLMOPS_HOME` is.
        usual: Whether that is this user's usual one.
        folder: Where a user's units lie.
        temporary: Where sockets lie, if that is not the system's own place.
    """

    program: Path
    home: Path
    usual: bool
    folder: Path
    temporary: str = ""

    @property
    def name(self) -> str:
        """Its name: each home has a unit of its own."""
        digest = hashlib.sha256(str(self.home).encode()).hexdigest()[:10]
        return f"{NAME}.service" if self.usual else f"{NAME}-{digest}.service"

    @property
    def file(self) -> Path:
        """Where its text lies."""
        return self.folder / self.name

    @property
    def environment(self) -> Path:
        """A file of variables that it is given, where there is one."""
        return self.home / "runtime.env"

    @property
    def written(self) -> bool:
        """Whether the file says what it should."""
        try:
            return self.file.read_text(encoding="utf-8") == unit_text(self)
        except FileNotFoundError:
            return False


def unit_text(unit: BootUnit) -> str:
    """The unit's text."""
    variables = [("LLMOPS_HOME", unit.home)]
    if unit.temporary:
        variables.append(("TMPDIR", Path(unit.temporary)))
    return systemd.unit(
        Unit={
            "Description": "llmops: the releases that are live on this machine",
            "StartLimitIntervalSec": "3600",
            "StartLimitBurst": "5",
        },
        Service={
            "Type": "oneshot",
            "RemainAfterExit": "yes",
            "Environment": [systemd.quoted(f"{name}={value}") for name, value in variables],
            "EnvironmentFile": f"-{str(unit.environment).replace('%', '%%')}",
            "ExecStart": f"{systemd.quoted(str(unit.program))} runtime start --yes",
            "KillMode": "process",
            "Restart": "on-failure",
            "RestartSec": "60",
            "TimeoutStartSec": "infinity",
            "UMask": "0077",
            **dict.fromkeys(_HARDENED, "yes"),
        },
        Install={"WantedBy": "default.target"},
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a unit.

    Attributes:
        systemd: Whether this user's systemd can be asked.
        enabled: Whether it starts the unit.
        linger: Whether it runs without a login; None where that is not known.
        state: What has become of the unit since the machine was started; empty for nothing.
    """

    systemd: bool
    enabled: bool
    linger: bool | None
    state: str


class Systemd:
    """This user's systemd.

    Args:
        booted: What is there where systemd has started the machine.
    """

    def __init__(self, booted: Path | None = None) -> None:
        self._booted = booted or BOOTED

    def standing(self, unit: BootUnit) -> Standing:
        """How it stands with a unit. Changes nothing."""
        if self.missing():
            return Standing(systemd=False, enabled=False, linger=None, state="")
        shown = self._ask("show", "--property=ActiveState,Result", "--value", unit.name)
        words = shown.stdout.split()
        enabled = self._ask("is-enabled", unit.name).stdout.strip() == "enabled"
        state = " ".join(words) if words and words[0] != "inactive" else ""
        return Standing(systemd=True, enabled=enabled, linger=_linger(), state=state)

    def enable(self, unit: BootUnit) -> None:
        """Write the unit and have it started from now on. Idempotent; starts nothing now.

        Raises:
            RefusedError: When there is no systemd, or it says no.
        """
        self.need()
        unit.folder.mkdir(parents=True, exist_ok=True)
        whole = unit.file.with_suffix(".new")
        whole.write_text(unit_text(unit), encoding="utf-8")
        whole.replace(unit.file)
        self._change("daemon-reload")
        self._change("enable", unit.name)

    def disable(self, unit: BootUnit) -> None:
        """Have it started no more, and take it away. What serves goes on. Idempotent.

        Raises:
            RefusedError: When there is no systemd, or it says no.
        """
        self.need()
        self._change("disable", unit.name)
        unit.file.unlink(missing_ok=True)
        self._change("daemon-reload")

    def need(self) -> None:
        """Go on only where there is one.

        Raises:
            RefusedError: When there is none that can be asked.
        """
        if why := self.missing():
            raise RefusedError(why, hint=WITHOUT)

    def missing(self) -> str:
        """Why this user's systemd cannot be asked; empty when it can."""
        if not self._booted.exists() or shutil.which("systemctl") is None:
            return "this machine was not started by systemd, so nothing starts here by a unit"
        asked = self._ask("show-environment")
        if asked.returncode:
            return f"the systemd of user {getpass.getuser()} does not answer: {_said(asked)}"
        return ""

    def _change(self, *arguments: str) -> None:
        done = self._ask(*arguments)
        if done.returncode:
            raise RefusedError(f"systemctl --user {' '.join(arguments)} failed: {_said(done)}")

    def _ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run("systemctl", "--user", "--no-ask-password", *arguments)


def boot_unit(home: Path, program: Path, *, usual: Path) -> BootUnit:
    """The unit of a home.

    Args:
        home: Its `LLMOPS_HOME`.
        program: Path of `llmops`.
        usual: What the home is where none is named.

    Raises:
        InputError: When the home's name does not fit into a unit.
    """
    if not str(home).isprintable():
        raise InputError(f"no unit can name the home {str(home)!r}")
    config = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    folder = Path(config) / "systemd" / "user"
    return BootUnit(program, home, home == usual, folder, os.environ.get("TMPDIR", ""))


def _linger() -> bool | None:
    if shutil.which("loginctl") is None:
        return None
    shown = _run("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value")
    return {"yes": True, "no": False}.get(shown.stdout.strip())


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {ANSWER_SECONDS:g} s")


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = done.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"exit code {done.returncode}"


__all__ = ["WITHOUT", "BootUnit", "Standing", "Systemd", "boot_unit", "unit_text"]
