"""This machine as a further node of a Ray whose head is elsewhere.

One raylet for each home. It is detached from who starts it, so that its replicas outlive a worker
that is restarted; it is found again by its record, and what is left of one that died by the token
path in its processes' environment, as with a host.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

import psutil

from llmops.errors import TargetError
from llmops.events import Flow
from llmops.waiting import wait
from serving.lives import life, lives
from serving.runtime import launcher
from serving.runtime.network import Network
from serving.runtime.paths import RuntimePaths

ASK = 60.0
"""Seconds that Ray may take to accept that a machine leaves."""

STOP = 20.0
"""Seconds that a raylet may take to end."""

REPLICA = "ray::ServeReplica:"
"""What Ray calls the process of a replica."""


class Raylet:
    """The raylet of a home.

    Args:
        paths: Of the home.
        network: How this machine takes part.
    """

    def __init__(self, paths: RuntimePaths, network: Network) -> None:
        self._paths, self._network = paths, network
        self._record = paths.sockets / "raylet.json"

    def joined(self) -> str:
        """Address of the head that the raylet has joined; empty while it has not, or none runs."""
        try:
            told = self._paths.joined.read_text()
        except OSError:
            return ""
        return told if told == self.aim() else ""

    def aim(self) -> str:
        """Address of the head that the running raylet joins, or has joined; empty for none."""
        try:
            record = json.loads(self._record.read_text())
            return str(record["head"]) if lives(record["pid"], record["life"]) else ""
        except (OSError, ValueError, KeyError):
            return ""

    def join(self, head: str) -> None:
        """Start a raylet that joins the head at this address; what ran before has been ended.

        Raises:
            TargetError: When the folder for its sockets is somebody else's.
        """
        launcher.private_directory(self._paths.sockets)
        self._paths.joined.unlink(missing_ok=True)
        launcher.write_token(self._paths.token, self._network.token())
        log = self._paths.home / "logs" / "worker.log"
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = [sys.executable, "-m", "serving.runtime.node", str(self._paths.home), head,
                   self._network.address]  # fmt: skip
        environment = launcher.environment(self._paths, dict(os.environ), self._network)
        with log.open("ab") as output:
            os.fchmod(output.fileno(), 0o600)
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True, env=environment, cwd="/",
            )  # fmt: skip
        record = {"pid": process.pid, "life": life(process.pid), "head": head}
        whole = self._record.with_suffix(".new")
        whole.write_text(json.dumps(record))
        whole.replace(self._record)

    def drain(self, seconds: float) -> Flow[None]:
        """Have the replicas here go elsewhere: others are started first, then these end once their
        requests are answered. The raylet goes on; `leave` ends it.

        Raises:
            TargetError: When Ray does not do it, or replicas are still here after that time.
        """
        head = self.joined()
        if not head or not self.replicas():
            return
        environment = launcher.environment(self._paths, dict(os.environ), self._network)
        command = [sys.executable, "-m", "serving.runtime.draining", head,
                   self._paths.node.read_text()]  # fmt: skip
        try:
            asked = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment,
                cwd="/", timeout=ASK, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise TargetError(f"Ray does not answer within {ASK:g} s at {head}") from error
        if asked.returncode != 0:
            said = asked.stderr.strip().splitlines() or ["no reason was told"]
            raise TargetError(f"Ray does not drain this machine: {said[-1]}")

        def look() -> str | None:
            left = len(self.replicas())
            return f"{left} replica(s) here still serve" if left else None

        yield from wait("drain", look, seconds, poll=0.5)

    def replicas(self) -> tuple[str, ...]:
        """Titles of the replicas that run here."""
        found = []
        for process in launcher.family(self._paths):
            with contextlib.suppress(psutil.Error):
                title = " ".join(process.cmdline()) or process.name()
                if title.startswith(REPLICA):
                    found.append(title)
        return tuple(found)

    def leave(self) -> None:
        """End the raylet and everything that it started. Idempotent."""
        family = launcher.family(self._paths)
        for process in family:
            try:
                process.terminate()
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(family, timeout=STOP)
        for process in left:
            process.kill()
        self._record.unlink(missing_ok=True)


__all__ = ["Raylet"]
