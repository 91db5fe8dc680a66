"""The target `agent` as a command sees it: an Observer, and verbs that hand an order over.

Nothing here does a step. What is read comes from the store, and what only the machine can tell is
asked of its agent; so history, keys and the last status are there without one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from llmops.errors import InputError, RefusedError, UnreachableError
from llmops.events import Event, Finished, Flow, Previewed
from llmops.opening import ANY_TIME, Gate
from llmops.planning import Facts, Plan, make_plan
from llmops.releases import Conflict, Figures, Release, Seen
from llmops.spec import Deployment
from llmops.targets import KeyInfo, ServiceStatus
from llmops.waiting import wait
from llmops.workflow import Confirm, Planner
from serving.agent import desk, names, seat, telling
from serving.agent.asking import Asker
from serving.agent.blobs import Blobs
from serving.agent.documents import Kind
from serving.agent.facts import parse_facts
from serving.agent.following import Follower
from serving.agent.keyring import StoreKeys
from serving.agent.nodes import CLUSTER, LEAVING, alive, recorded
from serving.agent.opening import open_blobs
from serving.agent.orders import Orders
from serving.agent.pace import PACE, Pace
from serving.agent.presence import Presence, Watch
from serving.agent.stores import BlobPolicyStore, BlobReleaseStore
from serving.agent.vault import BlobVault
from serving.agent.words import Leaving, Node, Snapshot
from serving.client import Endpoint

T = TypeVar("T")

STATUS = Kind(Snapshot, "a service's status")
SEEN: TypeAdapter[tuple[Seen, ...]] = TypeAdapter(tuple[Seen, ...])
FIGURES: TypeAdapter[dict[int, Figures]] = TypeAdapter(dict[int, Figures])
FOLLOW = 1.0
"""Seconds between two looks at a log that is followed."""


class AgentTarget:
    """A machine behind a store.

    Args:
        home: Where this user's own state lies: the keys that its commands ask with.
        store: Address of the store, `file:///folder` or `s3://bucket/prefix`.
        blobs: The store itself, where it is open already.
        pace: How often what is looked at.
        clock: Unix seconds.
        sleep: How to pass seconds.
    """

    def __init__(
        self,
        home: Path,
        store: str,
        *,
        blobs: Blobs | None = None,
        pace: Pace = PACE,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._home, self._clock, self._sleep = home, clock, sleep
        self.address = store
        self._blobs = open_blobs(store) if blobs is None else blobs
        self.store = BlobReleaseStore(self._blobs)
        self.policies = BlobPolicyStore(self._blobs)
        self.vault = BlobVault(self._blobs)
        self._watch = Watch(self._blobs, clock=clock, sleep=sleep, pace=pace)
        self._asker = Asker(
            self._blobs, self._watch, desk.who(), clock=clock, sleep=sleep, pace=pace
        )
        self._keys = StoreKeys(self._blobs, self._watch, clock, sleep, pace)
        orders = Orders(self._blobs)
        follower = Follower(orders, self._watch, sleep=sleep, pace=pace)
        self._desk = desk.Desk(self, orders, follower, self._watch, self._keys, clock)
        self._versions: dict[str, str] = {}

    # What can be learned

    def presence(self) -> Presence:
        """How the agent is now."""
        return self._watch.look()

    def await_agent(self, seconds: float) -> Flow[None]:
        """Wait until an agent works for the store: for one whose machine has just been made.

        Raises:
            UnreachableError: When none does in that time.
        """
        yield from desk.await_agent(self._watch, seconds, self._sleep)

    def await_silence(self, seconds: float, hint: str) -> Flow[None]:
        """Wait until no agent holds the store: for who is to start another one in the place of one
        that seems to be lost. Without one there is nothing to wait for.

        Raises:
            RefusedError: As soon as it gives a sign of life: two would serve.
            TargetError: When it is not told within that time.
        """
        first = self.presence()

        def look() -> str | None:
            now = self.presence()
            if not now.alive or now.lease is None or first.lease is None:
                return None
            if now.lease.beat != first.lease.beat:
                raise RefusedError(
                    f"{telling.who(now.lease)} works for {self.address}, and cannot be looked at:"
                    " another one beside it would serve, too",
                    hint=hint,
                )
            return f"{telling.who(now.lease)} gives no sign of life: its lease runs out"

        yield from wait("agent", look, seconds, poll=1.0)

    def head(self) -> str:
        """Address of the machine whose Ray the others join, as its agent told last; or nothing."""
        told, _ = CLUSTER.read(self._blobs, names.CLUSTER)
        return told.address.rpartition(":")[0].strip("[]") if told else ""

    def machines(self) -> tuple[Node, ...]:
        """The further machines that give signs of life."""
        return alive(self._blobs, self._clock())

    def recorded(self) -> tuple[Node, ...]:
        """What each further machine has last said of itself, whether it lives or not."""
        return recorded(self._blobs)

    def leaving(self) -> tuple[Leaving | None, str]:
        """Which further machine is to leave, and the version of that; None for none."""
        return LEAVING.read(self._blobs, names.LEAVING)

    def await_machines(self, count: int, seconds: float) -> Flow[None]:
        """Wait until so many further machines give signs of life, and so count in a plan.

        Raises:
            TargetError: When there are fewer after that time.
        """

        def look() -> str | None:
            there = self.machines()
            if len(there) >= count:
                return None
            named = f" ({', '.join(node.address for node in there)})" if there else ""
            return (
                f"{len(there)} of {count} machines give signs of life{named}; one does when it has"
                " booted, its driver shows its GPUs, and the locked packages are installed"
            )

        yield from wait("machines", look, seconds, poll=1.0)

    def versions(self) -> dict[str, str]:
        """Versions of what serves there beside the engine, as the last look at facts told."""
        return self._versions

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Have the agent look up the model's facts, its machine's, and the live releases."""
        about = {"spec": desk.plain(deployment), "offline": offline}
        what = "its machine looks up the model and itself"
        found = yield from self._asker.ask("facts", about, what)
        self._versions = found["versions"]
        return parse_facts(found["facts"])

    def preview(self, plan: Plan) -> Flow[Previewed]:  # noqa: ARG002 - nothing to try
        """Nothing: a machine has no trial run, and the plan says what would change."""
        yield from ()
        return Previewed()

    def apart(self, one: Plan, other: Plan) -> str:  # noqa: ARG002 - a target's signature
        """Nothing: every release there is behind one gateway."""
        return ""

    def watched(self, service: str) -> dict[int, Figures]:
        """What each release has done since they share the traffic as they do now."""
        return FIGURES.validate_python(self._ask("watched", {"service": service}))

    def observe(self, service: str) -> tuple[Seen, ...]:
        """The service's releases as the runtime shows them."""
        return SEEN.validate_python(self._ask("observe", {"service": service}))

    def status(self, service: str) -> ServiceStatus:
        """What the agent tells now; without one, the last that one has told, and since when.

        Raises:
            InputError: When the service was never deployed there.
        """
        self.history(service)
        try:
            found = self._ask("status", {"service": service})
            return TypeAdapter(ServiceStatus).validate_python(found)
        except UnreachableError as error:
            last, _ = STATUS.read(self._blobs, names.status(service))
            if last is None:
                raise
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(last.at))
            note = f"as of {at}: {error.message}"
            return replace(last.status, healthy=False, notes=(note, *last.status.notes))

    def history(self, service: str) -> tuple[Release, ...]:
        """All releases of the service, oldest first.

        Raises:
            InputError: When the service was never deployed there.
        """
        releases = self.store.read(service)[0].releases
        if not releases:
            known = ", ".join(self.store.services()) or "none"
            raise InputError(f"no service '{service}' in {self.address}", hint=f"there: {known}")
        return releases

    def logs(self, service: str, number: int | None, *, follow: bool) -> Iterator[str]:
        """Lines of a release's log; the newest release by default."""
        return self._lines("logs", {"service": service, "number": number}, follow=follow)

    def audit_lines(self, service: str, *, follow: bool) -> Iterator[str]:
        """The gateway's lines on known callers of the service."""
        return self._lines("audit", {"service": service}, follow=follow)

    def _lines(self, kind: str, about: dict[str, Any], *, follow: bool) -> Iterator[str]:
        """Lines by pieces: the agent is asked for what comes after those that are here."""
        after = 0
        while True:
            found = self._ask(kind, {**about, "after": after})
            yield from found["lines"]
            after += len(found["lines"])
            if not found["more"]:
                if not follow:
                    return
                self._sleep(FOLLOW)

    def url(self, service: str) -> str:
        """Base URL of the endpoint, ending in `/v1`."""
        last, _ = STATUS.read(self._blobs, names.status(service))
        return last.status.url if last else self.status(service).url

    def endpoint(self, service: str) -> Endpoint:
        """The endpoint, with a key of this user's own that is made when it is first needed."""
        url = self.url(service)
        return Endpoint(url, seat.key(self._home, self.address, service, self._keys), service)

    def keys(self, service: str) -> tuple[KeyInfo, ...]:
        """The service's API keys, revoked ones too."""
        return self._keys.of(service)

    def _ask(self, kind: str, about: dict[str, Any]) -> Any:
        """An answer of the agent, for who waits without being told why: seconds."""
        return drained(self._asker.ask(kind, about, "its machine is asked"))

    # What changes

    def deploy(
        self,
        deployment: Deployment,
        *,
        confirm: Confirm = lambda _: True,
        unattended: bool = False,
        planner: Planner = make_plan,
        gate: Gate = ANY_TIME,
    ) -> Flow[Finished]:
        """Have the agent make the deployment so; see `llmops.workflow.deploy`."""
        return (yield from self._desk.deploy(deployment, confirm, unattended, planner, gate))

    def rollback(
        self, service: str, number: int | None = None, *, by: str = "", gate: Gate = ANY_TIME
    ) -> Flow[Finished]:
        """Have the agent repeat an earlier release; see `llmops.workflow.rollback`."""
        return (yield from self._desk.rollback(service, number, gate, by or desk.who()))

    def promote(self, service: str, *, by: str = "") -> Flow[Finished]:
        """Have the release on watch get all traffic; see `llmops.workflow.promote`."""
        return (yield from self._desk.promote(service, by or desk.who()))

    def destroy(self, service: str, *, gate: Gate = ANY_TIME) -> Flow[Finished]:
        """Have the agent take the service away; see `llmops.workflow.destroy`."""
        return (yield from self._desk.destroy(service, gate))

    def have_leave(self, name: str, seconds: float, version: str) -> None:
        """Have a further machine leave, its replicas first, and no other, unless that was decided
        otherwise since `version` was read."""
        wanted = Leaving(name, desk.who(), self._clock(), seconds)
        with contextlib.suppress(Conflict):
            LEAVING.write(self._blobs, names.LEAVING, wanted, version)

    def have_stay(self) -> None:
        """Have no machine leave: one that has joins again."""
        self._blobs.remove(names.LEAVING)

    def create_key(
        self,
        service: str,
        name: str,
        *,
        expires_at: float | None = None,
        models: tuple[str, ...] = (),
    ) -> tuple[KeyInfo, str]:
        """Make a key; the gateways know it when this returns."""
        self.history(service)
        return self._keys.create(service, name, expires_at=expires_at, models=models)

    def rotate_key(
        self, service: str, name: str, *, overlap: float, expires_at: float | None = None
    ) -> tuple[KeyInfo, str]:
        """Make a key in place of those of its name; the gateways know it when this returns."""
        self.history(service)
        return self._keys.rotate(service, name, overlap=overlap, expires_at=expires_at)

    def revoke_key(self, service: str, name: str) -> KeyInfo:
        """Revoke a key by name or id; the gateways refuse it when this returns.

        Raises:
            TargetError: When no agent is there to tell them: it is written all the same.
        """
        self.history(service)
        return self._keys.revoke(service, name)


def drained(flow: Generator[Event, None, T]) -> T:
    """What a flow returns, without anybody who listens."""
    while True:
        try:
            next(flow)
        except StopIteration as end:
            result: T = end.value
            return result


__all__ = ["AgentTarget"]
