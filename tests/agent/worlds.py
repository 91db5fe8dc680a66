"""A store in memory that kills its writer, and a machine that exists only here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmops.errors import LlmopsError
from llmops.releases import Conflict, History, State
from llmops.spec import Deployment
from serving.agent.blobs import NEW, Blob, StoreUnreachable, checked
from serving.agent.desk import plain
from serving.agent.machine.carrying import Carrier
from serving.agent.orders import Orders, Ref, nonce
from serving.agent.pace import Pace
from serving.agent.stores import BlobReleaseStore
from serving.agent.words import Order, Outcome
from tests.releases import simulated
from tests.releases.plans import SERVICE, make_facts, plan_of
from tests.releases.simulated import Killed, SimulatedTarget

QUICK = Pace(beat=0.05, lease=5.0, missing=0.4, lost=1.0, look=0.02, sweep=0.5, piece=0.0)
"""For agents and commands of tests: nothing here costs money."""


@dataclass
class MemoryBlobs:
    """Implements `Blobs`. At write number `kill`, its writer dies: before it, or right after."""

    held: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    writes: int = 0
    kill: int = 0
    after: bool = False
    away: frozenset[int] = frozenset()
    """Numbers of the writes that the store is away for."""
    where: str = "memory"

    def get(self, name: str) -> Blob | None:
        found = self.held.get(checked(name))
        return Blob(*found) if found else None

    def put(self, name: str, data: bytes, version: str) -> str:
        checked(name)
        self._strike(dead=not self.after)
        if (self.held[name][1] if name in self.held else NEW) != version:
            raise Conflict(name)
        self.held[name] = (data, f"v{self.writes}")
        self._strike(dead=self.after, count=False)
        return self.held[name][1]

    def names(self, prefix: str, after: str = "") -> Iterator[str]:
        assert prefix.endswith("/")
        held = list(self.held)  # at once: agents write in threads of their own
        yield from sorted(n for n in held if n.startswith(prefix) and n > after)

    def remove(self, name: str) -> None:
        self._strike(dead=not self.after)
        self.held.pop(name, None)
        self._strike(dead=self.after, count=False)

    def _strike(self, *, dead: bool, count: bool = True) -> None:
        self.writes += count
        if count and self.writes in self.away:
            raise StoreUnreachable("the store is away")
        if dead and self.writes == self.kill:
            raise Killed


class JudgedStore(BlobReleaseStore):
    """The release store, which refuses an edit that no writer may make."""

    def write(self, history: History, version: str) -> str:
        simulated._check_edit(self.read(history.service)[0], history)
        return super().write(history, version)


class World:
    """One store, one machine, and agents that come and go."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.machine = SimulatedTarget(store=JudgedStore(self.blobs))  # type: ignore[arg-type]
        self.orders = Orders(self.blobs)
        self.stopping = False

    def agent(self) -> Carrier:
        """Another agent: it knows nothing but what the store says."""
        return Carrier(
            Orders(self.blobs),
            self.machine,
            stopping=lambda: self.stopping,
            planner=plan_of,
            clock=lambda: self.machine.now,
            elapsed=lambda: self.machine.now,
            sleep=self.machine.sleep,
            pace=QUICK,
        )

    def want(self, deployment: Deployment, *, facts: str = "facts") -> Ref:
        """Order a deploy, as a command does that was shown this plan."""
        plan = plan_of(deployment, make_facts(facts or "facts"))
        return self.order("deploy", spec=plain(deployment), identity=plan.identity, facts=facts)

    def order(self, verb: Any, **more: Any) -> Ref:
        live = self.history.live
        return self.orders.place(
            Order(
                SERVICE, verb, "anna@laptop", self.machine.now, nonce(),
                live=live.number if live else None, **more,
            )
        )  # fmt: skip

    def work(self, ref: Ref) -> Outcome:
        """Have the order carried out by agents, one after another, until it has ended."""
        for _ in range(50):
            try:
                self.agent().carry_out(ref)
            except Killed:
                self.blobs.kill = 0
                continue
            outcome = self.orders.outcome(ref)
            assert outcome is not None
            return outcome
        raise AssertionError("the order never ended")

    @property
    def history(self) -> History:
        return self.machine.store.read(SERVICE)[0]

    @property
    def live(self) -> str:
        """Identity of the live release; empty for none."""
        return self.history.live.plan.identity if self.history.live else ""

    def settled(self) -> bool:
        """Whether only the live release is on the machine, with all traffic."""
        live = self.history.live
        shares = {n: s for n, s in self.machine.shares.items() if s}
        if live is None:
            return not self.machine.apps
        return set(self.machine.apps) == {live.number} and shares == {live.number: 100}

    def staging(self) -> int:
        return sum(release.state is State.STAGING for release in self.history.releases)


def error_of(call: Any, *arguments: Any, **more: Any) -> LlmopsError:
    """The error that a call ends in."""
    try:
        call(*arguments, **more)
    except LlmopsError as error:
        return error
    raise AssertionError("it did not fail")


def folder(path: Path) -> str:
    """The address of a store in a folder."""
    return f"file://{path}"
