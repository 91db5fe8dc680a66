"""What commands and the agent tell each other, as values. Times are Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from llmops.planning import MachineFacts
from llmops.targets import ServiceStatus

Verb = Literal["deploy", "rollback", "promote", "destroy"]

DOING = {
    "deploy": "deployed",
    "rollback": "rolled back",
    "promote": "promoted",
    "destroy": "destroyed",
}
"""Each verb as it completes "the service is being …"."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of a service, and what was agreed to."""

    service: str
    verb: Verb
    by: str
    """User and host."""
    at: float
    nonce: str
    """Tells this order from any other that says the same."""
    spec: dict[str, Any] = field(default_factory=dict)
    """Of `deploy`: the deployment as plain data, without defaults."""
    identity: str = ""
    """Of `deploy`: that of the plan that was agreed to."""
    facts: str = ""
    """Of `deploy`: digest of the facts that it was made of; empty where nobody looked at it."""
    release: int | None = None
    """Of `rollback`: the release to repeat, always a number: doing it twice then does it once; None
    to go on with taking back the one that was watched."""
    live: int | None = None
    """The release that was live when this was written: whether anything changed is told by it."""
    wait: bool = False
    """Where the maintenance windows are closed: wait until they open."""
    emergency: str = ""
    """Where they are closed: do it now, for this reason."""

    def same(self, other: Order) -> bool:
        """Whether both want the very same."""
        one, two = (self.service, self.verb, self.spec), (other.service, other.verb, other.spec)
        return (*one, self.identity, self.release) == (*two, other.identity, other.release)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as it travels; see `wire`."""

    kind: str
    """Name of its class."""
    message: str
    hint: str = ""
    path: str = ""
    exit_code: int = 1
    serving: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order ended."""

    at: float
    release: int | None = None
    """The release that serves; None after destroy."""
    changed: bool = False
    url: str = ""
    fault: Fault | None = None
    interrupted: bool = False
    """It was taken back, as its command asked."""


@dataclass(frozen=True, slots=True)
class Work:
    """An order that the agent is at."""

    service: str
    number: int
    verb: str
    since: float
    told_at: float
    """When it last said something."""
    text: str = ""
    """What it said."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who the agent is, and that it lives."""

    holder: str
    """Random: another for each start of an agent."""
    host: str
    pid: int
    started: float
    """Seconds from its machine's boot to its process's start: with the pid it names a process."""
    place: str
    """One boot of one kernel and one pid namespace: pids are compared only within one."""
    since: float
    renewed_at: float
    beat: int
    """One more each time."""
    seconds: float
    """How long it holds without being renewed."""
    version: str
    """Of its llmops."""
    formats: tuple[int, ...]
    """Of documents that it reads."""
    work: tuple[Work, ...] = ()
    ended: bool = False
    """It has said goodbye."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the agent has taken over."""

    keys: str = ""
    """Version of `keys.json` that the gateways use."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something to look up on the agent's machine. It changes nothing there."""

    kind: str
    by: str
    at: float
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, as plain data; or why it could not be."""

    found: Any = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A service's status as it was at a moment."""

    at: float
    status: ServiceStatus


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where further machines join the Ray of the agent's machine."""

    address: str
    """Host and port; empty while it does not run."""
    fingerprint: str
    """Of the token, which is not told."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that works for the agent's: what it has, and that it lives."""

    name: str
    address: str
    machine: MachineFacts
    joined: str
    """Address of the head that it has joined; empty for none."""
    renewed_at: float
    beat: int
    seconds: float
    """How long this holds without being renewed."""
    ended: bool = False
    replicas: int | None = None
    """That run on it; None where it does not say."""

    def alive(self, now: float) -> bool:
        """Whether it gives signs of life at `now`, by its own clock."""
        return not self.ended and now - self.renewed_at < self.seconds

    def left(self, since: float) -> bool:
        """Whether nothing of it is in a Ray any more, as it has said since then (Unix seconds)."""
        return self.ended and not self.joined and self.renewed_at >= since


@dataclass(frozen=True, slots=True)
class Leaving:
    """The one machine that is to leave the Ray, its replicas first, and to stay away from it."""

    name: str
    """Of its record."""
    by: str
    """User and host."""
    at: float
    seconds: float
    """How long its replicas may take to be elsewhere."""
