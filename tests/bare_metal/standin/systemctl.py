"""Stands in for systemctl on the test's hosts, which have no systemd: one service, no cgroups.

It does what a unit says as far as the tests need it: its environment files, KillMode=process, and
`kill` of everything that the service started, which is known by a variable in its environment. What
it does not do: restart a service that died, run it as another user, harden it, or keep a journal.
So it does not show that systemd would take a unit.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path("/etc/systemd/system")
STATE = Path(os.environ["STANDIN"])
"""Where this host's services are noted."""
MARK = "STANDIN_UNIT"
STOP = 90.0


def main(words: list[str]) -> int:
    """One command."""
    verb, names = words[0], [word for word in words[1:] if not word.startswith("--")]
    now = "--now" in words
    if verb == "list-units":
        print("ssh.service loaded active running the session that asks")
        for name in _known():
            state = "active running" if _running(name) else "inactive dead"
            print(f"{name} loaded {state} a unit of the stand-in")
    elif verb == "list-unit-files":
        print("ssh.service enabled enabled")
        for name in _known():
            print(f"{name} {'enabled' if _enabled(name).exists() else 'disabled'} enabled")
    elif verb != "daemon-reload":
        for name in names:
            _one(verb, name, now=now)
    return 0


def _one(verb: str, name: str, *, now: bool) -> None:
    if verb == "enable":
        _enabled(name).touch()
    if verb == "disable":
        _enabled(name).unlink(missing_ok=True)
    if verb == "kill":
        _kill(name)
    if verb in ("stop", "restart") or (verb == "disable" and now):
        _stop(name)
    if verb in ("start", "restart") or (verb == "enable" and now):
        _start(name)


def _known() -> list[str]:
    return sorted(path.name for path in UNITS.glob("llmops-*.service"))


def _enabled(name: str) -> Path:
    return STATE / f"{name}.enabled"


def _pid(name: str) -> int | None:
    try:
        return int((STATE / f"{name}.pid").read_text())
    except (OSError, ValueError):
        return None


def _running(name: str) -> bool:
    pid = _pid(name)
    return pid is not None and _marked(pid) == name


def _marked(pid: int) -> str:
    try:
        if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return ""
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next(
        (e.decode()[len(MARK) + 1 :] for e in environment if e.startswith(MARK.encode())), ""
    )


def _start(name: str) -> None:
    if _running(name):
        return
    lines = (UNITS / name).read_text().splitlines()
    environment = {"PATH": os.environ["PATH"], MARK: name}
    for path in _values(lines, "EnvironmentFile"):
        file = Path(path.removeprefix("-"))
        if file.exists() or not path.startswith("-"):
            environment |= dict(line.split("=", 1) for line in file.read_text().split("\n") if line)
    command = shlex.split(_values(lines, "ExecStart")[0])
    with (STATE / f"{name}.log").open("ab") as log:
        started = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd="/",
        )  # fmt: skip
    (STATE / f"{name}.pid").write_text(str(started.pid))


def _values(lines: list[str], key: str) -> list[str]:
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def _stop(name: str) -> None:
    pid = _pid(name)
    if pid is None or not _running(name):
        return
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + STOP
    while _running(name):
        if time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def _kill(name: str) -> None:
    """End everything that the service started, as its cgroup would tell."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _marked(int(entry.name)) == name:
            try:
                os.kill(int(entry.name), signal.SIGKILL)
            except ProcessLookupError:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
