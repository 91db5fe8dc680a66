"""The target `aws`: a stack of machines first, then the release, through the stack's own store.

The machines do what the store says (`serving.agent`), so nothing here opens a port to them. An
`AwsTarget` is that agent's target, whose store comes with the stack; what is its own is to plan
with what the cloud offers, to make the stack, and to take it away. Each verb may be killed at any
instant: the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from infra import checking, leaving
from infra.account import Account, Remover
from infra.automation import (
    Outputs,
    StackEngine,
    StackFailed,
    StackReader,
    bring_up,
    open_engine,
)
from infra.empty import NoBlobs
from infra.handing import awake, count_of, hand_on, on_agent, same_llmops
from infra.keeping import Keep
from infra.kept import keep_plan, read_plan
from infra.lookup import facts
from infra.naming import PROJECT, cloud_target
from infra.offering import PHASE, price_of, up_with_offers
from infra.previewing import previewed
from infra.program import program
from infra.progress import told
from infra.rendering import rendered
from infra.replacing import Pool, fewer, roll
from infra.standing import Standing, declared_in, standing
from llmops import workflow
from llmops.errors import InputError, LlmopsError, RefusedError
from llmops.events import Event, Finished, Flow, ObjectChange, Planned, Previewed, Warned
from llmops.opening import ANY_TIME, Gate, admit, closed_to, closed_to_end, until_open
from llmops.planning import Facts, Plan, make_plan
from llmops.policies import PolicyStore, effective
from llmops.spec import AwsTarget as Wanted
from llmops.spec import Deployment
from llmops.workflow import Confirm
from serving.agent import AgentTarget, open_blobs
from serving.local import LocalTarget

Planner = Callable[[Deployment, Facts], Plan]
Engines = Callable[[Callable[[], None]], StackEngine]
"""Gives an engine of this target's stack for a program."""
Agents = Callable[[str], AgentTarget]


class AwsTarget(AgentTarget):
    """One service on machines of its own in one region.

    Args:
        home: Where this user's own state lies.
        region: Where the machines are.
        stack: The stack's name.
        engines: Gives the stack's engine for a program; Pulumi's by default.
        agents: Gives the target of the machines' agent for the address of its store.
        account: Reads the region; with the environment's credentials by default.
        remover: Empties the stack's bucket.
    """

    policies: PolicyStore  # type: ignore[assignment]  # of this machine while there is no stack

    def __init__(
        self,
        home: Path,
        region: str,
        stack: str,
        *,
        engines: Engines | None = None,
        agents: Agents | None = None,
        account: Account | None = None,
        remover: Remover | None = None,
    ) -> None:
        self._engines: Engines = engines or (
            lambda program_: open_engine(PROJECT, stack, program_, home)
        )
        self._agents: Agents = agents or partial(AgentTarget, home)
        self.region, self.stack = region, stack
        self.purge = False
        """Whether `destroy` also takes what holds data; the user must say so."""
        self._previewed = Previewed()
        self._account = account or Account(region)
        self._remover = remover
        self.unseen = ""
        """Why the stack could not be looked at; empty where it was."""
        self._outputs = self._looked()
        store = self._outputs.text("store")
        blobs = open_blobs(store) if store else NoBlobs(stack, self.unseen)
        super().__init__(home, store or blobs.where, blobs=blobs)
        if not store:
            self.policies = LocalTarget(home).policies

    def _looked(self) -> Outputs:
        """What the stack says of itself: nothing where it is not there, or nobody can ask."""
        try:
            return self._reader().outputs()
        except LlmopsError as error:
            self.unseen = error.message
            return Outputs()

    def _reader(self) -> StackReader:
        return self._engines(lambda: None)

    def _engine_of(self, deployment: Deployment, keep: Keep, plan: Plan) -> StackEngine:
        return self._engines(partial(program, deployment, plan, keep=keep))

    # What can be learned

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Look up the model, and what the region offers."""
        self._deployment = deployment
        return (yield from facts(self._home, self._account, deployment, offline=offline))

    def preview(self, plan: Plan) -> Flow[Previewed]:
        """What making the stack would change, as the engine itself says.

        Where that cannot be asked the plan is shown without: to plan needs no `pulumi`.
        """
        stands = yield from self._standing(plan)
        engine = self._engine_of(self._deployment, stands.keep, plan)
        try:
            changes = yield from told(engine.preview(), "preview", trial=True)
        except LlmopsError as error:
            yield Warned(f"what would change in the stack is not shown: {error.message}")
            return Previewed()
        now, then = self._outputs.values.get("usd_per_hour", 0.0), price_of(plan)
        known = isinstance(now, (int, float)) and then is not None
        price = (float(now), then) if known and then is not None else None
        self._previewed = previewed(changes, price, stands)
        return self._previewed

    def _standing(self, plan: Plan) -> Flow[Standing]:
        """What stands now, beside what is planned."""
        target = cloud_target(self._deployment)
        return (yield from standing(self._account, self._outputs, plan, target, self.recorded))

    def render(self, plan: Plan) -> dict[str, object]:
        """What the stack's program is given, and the objects that it declares as the engine's trial
        run has told them for the plan made last; none where that could not be asked."""
        return rendered(self._deployment, plan, self._previewed)

    def url(self, service: str) -> str:
        """The load balancer's, where there is one; else what the agent says."""
        return self._outputs.text("endpoint") or super().url(service)

    def stands(self, service: str) -> bool:  # noqa: ARG002 - a target's signature
        """Whether anything of the service is there: a stack without a release, too."""
        return self._reader().exists()

    # What changes

    def deploy(
        self,
        deployment: Deployment,
        *,
        confirm: Confirm = lambda _: True,
        unattended: bool = False,
        planner: Planner = make_plan,
        gate: Gate = ANY_TIME,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Flow[Finished]:
        """Make the stack, and have its agent make the release.

        Raises:
            InputError: When something that is needed is missing: all of it at once.
            RefusedError: When the plan or the user refuses, or it may not be changed now.
            StackFailed: When the machines could not be made.
        """
        planned, changes = yield from self._planned(deployment, planner)
        same_llmops(self.presence(), changes)
        closed = partial(closed_to, self, deployment, planned)
        admit(closed(clock()), gate)
        if changes:
            target = cast("Wanted", cloud_target(deployment))
            yield from checking.ready(self._home, self._account, planned.plan, target)
        if planned.changed and not confirm(planned):
            raise RefusedError("nothing was changed")
        if closed(clock()) is not None and gate.emergency is None:
            yield from until_open(closed, clock, sleep)
        made = planned.plan
        if changes:
            made = yield from self._made(planned, confirm, unattended=unattended)
        pool = self._pool(made)
        pool.have_stay()
        finished = yield from self._released(deployment, made, gate)
        yield from self._settled(pool, made)
        return finished

    def _planned(
        self, deployment: Deployment, planner: Planner
    ) -> Flow[tuple[Planned, tuple[ObjectChange, ...]]]:
        """The plan, beside the one that the stack was last made of; and what would change."""
        before = read_plan(self._blobs, deployment.name)
        planned: Planned | None = None
        changes: tuple[ObjectChange, ...] = ()
        flow = workflow.plan(self, deployment, planner=planner)
        unseen = True
        for event in flow:
            shown: Event = event
            if isinstance(event, Planned):
                shown = planned = _beside(event, before)
            elif isinstance(event, Previewed):
                unseen = False
                changes = tuple(c for c in event.changes if c.action != "unchanged")
            yield shown
        if planned is None:
            raise TypeError("planning tells its plan")
        if unseen:  # nobody could say what would change: making it says so
            changes = (ObjectChange(self.stack, "update"),)
        return replace(planned, changed=planned.changed or bool(changes)), changes

    def _made(self, planned: Planned, confirm: Confirm, *, unattended: bool) -> Flow[Plan]:
        self._outputs = self._reader().outputs()  # it may be long since they were looked at
        stands = yield from self._standing(planned.plan)
        engine_of = partial(self._engine_of, self._deployment, stands.keep)
        try:
            plan, self._outputs = yield from up_with_offers(
                engine_of, planned, confirm, unattended=unattended, limit=self._limit(),
                refresh=stands.apart,
            )  # fmt: skip
        except StackFailed as error:
            if planned.live is not None and self.presence().alive:
                raise StackFailed(error.stack, error.failures, serving=True) from error
            raise
        self._blobs = open_blobs(self._outputs.text("store"))
        keep_plan(self._blobs, plan)
        return plan

    def _settled(self, pool: Pool, plan: Plan) -> Flow[None]:
        """The machines, now that the release serves: those that are too many ended, and then the
        stack made for as many as are planned; those that are behind replaced, where that is wanted.
        """
        count = count_of(plan)
        if plan.layout.pipeline > 1:  # of a replica on several machines none leaves by itself
            return
        if declared_in(self._outputs) > count:
            yield from fewer(pool, count)
            if pool.look().desired <= count:  # those of another type than planned stay
                yield from self._lowered(plan)
        if cloud_target(self._deployment).roll == "auto":
            yield from roll(pool, count)

    def _lowered(self, plan: Plan) -> Flow[None]:
        keep = Keep(close=bool(self._outputs.text("placement")))
        engine = self._engine_of(self._deployment, keep, plan)
        message = f"{plan.service}: {count_of(plan)} machine(s)"
        try:
            self._outputs = yield from told(bring_up(engine, message), PHASE)
        except StackFailed as error:
            raise StackFailed(error.stack, error.failures, serving=True) from error

    def _pool(self, plan: Plan) -> Pool:
        """The machines of the stack, and their workers."""
        agent = self._agents(self._outputs.text("store"))
        machine = str(plan.machines.machine.value) if plan.machines else ""
        group = self._outputs.text("pool")
        return Pool(self._account, self._removing, agent, group, machine)

    def _removing(self) -> Remover:
        return self._remover or Remover(self.region)

    def _limit(self) -> float | None:
        """US dollars an hour that the spec's and the policies' budgets allow; None for no bound."""
        rules = effective(self.policies.read()[0].current(), self._deployment)
        own = cloud_target(self._deployment).budget.usd_per_hour
        bounds = (own, rules.value("budget.usd_per_hour"))
        return min((float(one) for one in bounds if one is not None), default=None)

    def _released(self, deployment: Deployment, plan: Plan, gate: Gate) -> Flow[Finished]:
        """The release, by the agent of the machines."""
        agent = self._agents(self._outputs.text("store"))
        hand_on(self.policies, agent.policies)
        yield from awake(agent, self._outputs, plan)
        wanted = on_agent(deployment, self._outputs)
        finished = yield from agent.deploy(
            wanted, confirm=lambda _: True, unattended=True, gate=gate
        )
        keep_plan(self._blobs, plan)
        return replace(finished, url=self._outputs.text("endpoint") or finished.url)

    def destroy(self, service: str, *, gate: Gate = ANY_TIME) -> Flow[Finished]:
        """Take the release away, then the stack, then count what is left.

        Raises:
            InputError: When there is no such stack.
        """
        engine = self._engines(lambda: None)
        if not engine.exists():
            raise InputError(f"no stack {self.stack}", hint="llmops cluster sweep lists leftovers")
        if self.store.read(service)[0].releases:
            if self.presence().alive:
                yield from super().destroy(service, gate=gate)
            else:
                admit(closed_to_end(self, self.store.read(service)[0], time.time()), gate)
                yield Warned("no agent answers: the release ends with its machines")
        place = leaving.Place(self.stack, self.region, self._outputs.text("store"))
        account, remover = self._account, self._removing()
        yield from leaving.leave(engine, account, remover, place, purge=self.purge)
        finished = Finished(None, changed=True, url="")
        yield finished
        return finished


def _beside(planned: Planned, before: Plan | None) -> Planned:
    """What was planned, held against the machine plan of the live release."""
    if planned.live is None or before is None:
        return planned
    live = replace(planned.live, plan=before)
    return Planned(planned.plan, live, before.identity != planned.plan.identity)


__all__ = ["AwsTarget"]
