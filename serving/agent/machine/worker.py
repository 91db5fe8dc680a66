"""A machine that joins the Ray of the store's agent, and does no more than that.

It finds the head by the store, joins it, and joins the next one when the head was started anew. It
says what it has, so that plans count it in, and leaves while the store names it as the one that is
to: its replicas go elsewhere first. No port is opened for any of that.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import socket
import threading
import time
from pathlib import Path

import psutil

from llmops.errors import LlmopsError, RefusedError, TargetError
from llmops.events import Flow
from llmops.releases import Conflict
from serving.agent import names
from serving.agent.blobs import Blobs
from serving.agent.machine.joining import CLUSTER, Joining
from serving.agent.nodes import LEAVING, NODE
from serving.agent.pace import PACE, Pace
from serving.agent.words import Cluster, Leaving, Node
from serving.local import machine_facts
from serving.runtime.paths import RuntimePaths
from serving.runtime.raylet import Raylet

log = logging.getLogger("llmops.agent")

NO_PORT = 1
"""A port that nobody asks for: a worker has no endpoint."""


class Worker:
    """Works for the agent of a store.

    Args:
        home: This machine's state.
        blobs: The store.
        joining: How this machine takes part.
        pace: How often what is looked at and written.
    """

    def __init__(self, home: Path, blobs: Blobs, joining: Joining, *, pace: Pace = PACE) -> None:
        self._home, self._blobs, self._pace = home, blobs, pace
        self._network = joining.network
        self._raylet = Raylet(RuntimePaths(home), joining.network)
        plain = re.sub(r"[^A-Za-z0-9-]+", "-", f"{socket.gethostname()}-{self._network.address}")
        self._name = plain.strip("-")[:100]
        self._stop = threading.Event()
        self._beat = 0
        self._said = ""

    def stop(self) -> None:
        """End; the raylet goes on, so that its replicas do."""
        self._stop.set()

    def leave(self, seconds: float) -> Flow[None]:
        """Take this machine out of the Ray, its replicas first: no request is lost.

        Another worker of this home must not run then: it would join again.

        Args:
            seconds: How long its replicas may take to be elsewhere.

        Raises:
            TargetError: When they are not; then nothing here has ended.
        """
        yield from self._raylet.drain(seconds)
        self._raylet.leave()
        self._renew("", ended=True)

    def begin(self) -> Flow[None]:
        """Nothing to wait for: a worker needs no lease."""
        yield from ()

    def run(self, *, once: bool = False) -> None:
        """Stay joined until told to end; with `once`, until it has joined."""
        beaten, told = -math.inf, None
        while not self.stopping():
            try:
                due = time.monotonic() - beaten >= self._pace.beat
                if due and self._obeyed():
                    continue
                joined = self._looked()
                if due or joined != told:
                    self._renew(joined)
                    beaten, told = time.monotonic(), joined
                if once and joined:
                    return
            except LlmopsError as error:
                self._say(error.message)
            self._stop.wait(self._pace.look)
        with contextlib.suppress(LlmopsError):  # what it has said holds for seconds only
            self._renew(self._raylet.joined(), ended=True)

    def stopping(self) -> bool:
        """Whether it is to end."""
        return self._stop.is_set()

    def _obeyed(self) -> bool:
        """Leave, where this machine is to, and stay away until it no longer is; whether it was."""
        tried: Leaving | None = None
        while not self.stopping() and (asked := self._asked()) is not None:
            if asked != tried:
                tried = asked
                self._left(asked)
            self._renew_leaving()
            self._stop.wait(self._pace.beat)
        return tried is not None

    def _asked(self) -> Leaving | None:
        """What asks this machine to leave. What was asked before it started was about another one
        of its name and address."""
        asked, _ = LEAVING.read(self._blobs, names.LEAVING)
        mine = asked is not None and asked.name == self._name and asked.at >= psutil.boot_time()
        return asked if mine else None

    def _left(self, asked: Leaving) -> None:
        """Leave, and say meanwhile that this machine lives; where replicas stay, so does it."""
        self._say(f"leaves, as {asked.by} asked: its replicas go elsewhere first")
        beaten = time.monotonic()
        try:
            for _ in self._raylet.drain(asked.seconds):
                if self.stopping():
                    return
                if time.monotonic() - beaten >= self._pace.beat:
                    self._renew_leaving()
                    beaten = time.monotonic()
            self._raylet.leave()
            self._say("has left")
        except TargetError as error:
            self._say(error.message)

    def _looked(self) -> str:
        """Look where the head is, and be there; the address that is joined by now, or nothing."""
        cluster, _ = CLUSTER.read(self._blobs, names.CLUSTER)
        aim = self._raylet.aim()
        if cluster is None or not cluster.address:
            if aim:
                self._say("the head has ended")
                self._raylet.leave()
            self._say("waits for the agent's machine to start a Ray: a deploy does")
            return ""
        self._check(cluster)
        if aim != cluster.address:
            self._raylet.leave()
            self._say(f"joins {cluster.address}")
            self._raylet.join(cluster.address)
        return self._raylet.joined()

    def _check(self, cluster: Cluster) -> None:
        if cluster.fingerprint != self._network.fingerprint():
            raise RefusedError(
                f"the token of {self._network.token_file} is not the one of the agent's machine",
                hint="put the same file on both",
            )

    def _renew(self, joined: str, *, ended: bool = False) -> None:
        """Say what this machine has, and that it lives."""
        facts = machine_facts(NO_PORT, disk_at=self._home, endpoint_port=None)
        self._beat += 1
        node = Node(
            self._name, self._network.address, facts, joined, time.time(), self._beat,
            self._pace.lease, ended=ended, replicas=len(self._raylet.replicas()),
        )  # fmt: skip
        _, version = NODE.read(self._blobs, names.node(self._name))
        try:
            NODE.write(self._blobs, names.node(self._name), node, version)
        except Conflict:
            self._say(f"another worker calls itself {self._name}")

    def _renew_leaving(self) -> None:
        """Say that this machine lives for as long as a raylet of it does, and then that it left."""
        self._renew(self._raylet.joined(), ended=not self._raylet.aim())

    def _say(self, text: str) -> None:
        """Log something once, until something else is said."""
        if text != self._said:
            self._said = text
            log.info("%s", text)


__all__ = ["Worker"]
