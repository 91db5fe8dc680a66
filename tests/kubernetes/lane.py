"""A namespace in which one service lives through its whole life, again and again.

The commands are the product's own flows in this process, each with a fresh target, as a new run of
the program has; a run that was killed is one whose client died.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clusters.client import Client
from clusters.kubeconfig import find
from clusters.target import ClusterTarget
from llmops import workflow
from llmops.errors import TargetError
from llmops.events import Flow
from llmops.spec import read
from tests.kubernetes.desk import IMAGE, Desk
from tests.kubernetes.mortal import Killed, MortalClient

SERVICE = "chat"
OTHER_IMAGE = IMAGE.replace("ab" * 32, "cd" * 32)
COMMANDS = ("deploy", "within", "across", "rollback", "failing", "destroy")
"""A life in order: a first deploy, an update in the same pods, one with other pods, a rollback, an
update that does not start, the end."""
FAILING = (5, 6)
"""Numbers that the update that does not start may have: a run that was killed after it recorded
the failure leaves one, and the next run tries a new one."""


@dataclass
class Lane:
    """One service in one namespace."""

    desk: Desk
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client.of(find(None, self.desk.environment))

    @property
    def namespace(self) -> str:
        return self.desk.namespace

    def target(self, client: Any = None) -> ClusterTarget:
        """A target as a new run of the program has it."""
        made = ClusterTarget(self.desk.home, None, self.namespace)
        made.client = client or self.client
        return made

    def run(self, command: str, client: MortalClient) -> bool:
        """Run a command to its end; False when it was killed on the way.

        The update that does not start must fail, and leave the last good release serving.
        """
        try:
            _to_end(self._flow(command, self.target(client)))
        except Killed:
            return False
        except TargetError as error:
            if command != "failing" or not error.serving:
                raise
            return True
        assert command != "failing", "the update that does not start did"
        return True

    def forget(self) -> None:
        """Take the record away too, so that the next deploy is a first one."""
        self.client.delete("ConfigMap", f"{SERVICE}-releases", self.namespace)
        self.client.delete("Lease", f"{SERVICE}-llmops", self.namespace)
        for event in self.client.list("Event", self.namespace):
            self.client.delete("Event", event["metadata"]["name"], self.namespace)

    def _flow(self, command: str, target: ClusterTarget) -> Flow[Any]:
        if command == "destroy":
            return workflow.destroy(target, SERVICE)
        if command == "rollback":
            return workflow.rollback(target, SERVICE, 2)
        return workflow.deploy(target, read([self._spec(command)]).deployment)

    def _spec(self, command: str) -> Path:
        changes: dict[str, dict[str, Any]] = {
            "deploy": {},
            "within": {"security": {"requests_per_minute": 99}},
            "across": {"image": OTHER_IMAGE},
            "failing": {"security": {"requests_per_minute": 77}},
        }
        patient = {"start_deadline": "10min"}  # a busy machine is no reason
        return self.desk.spec(SERVICE, maintenance=patient, **changes[command])


def _to_end(flow: Iterator[object]) -> None:
    for _ in flow:
        pass
