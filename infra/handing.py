"""What a stack's own agent is handed: the policies that hold, machines that are up, the deployment.

Before there is a stack, what was applied on this machine holds: a first deploy is not past every
rule. The stack begins with the same ones; from then on its own shelf holds, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from infra.automation import Outputs
from infra.naming import cloud_target
from llmops import __version__
from llmops.errors import RefusedError, TargetError
from llmops.events import Flow, ObjectChange
from llmops.planning import Plan
from llmops.policies import PolicyStore
from llmops.spec import AgentTarget as OnAgent
from llmops.spec import Deployment, MadeOn
from serving.agent import AgentTarget, Presence

FIRST_SIGN = 1200.0
"""Seconds until a machine's agent answers: it boots, installs the locked packages, and starts."""


def hand_on(here: PolicyStore, there: PolicyStore) -> None:
    """Put what holds here on the shelf there, if that one was never written."""
    shelf, _ = here.read()
    _, version = there.read()
    if not version and shelf.entries:
        there.write(shelf, version)


def same_llmops(presence: Presence, changes: Iterable[ObjectChange]) -> None:
    """Refuse what the head's agent would refuse later, when the machines are changed already.

    A head that is made anew gets this version; one that stays, or has ended, is not asked.

    Raises:
        RefusedError: When it runs another version of llmops.
    """
    anew = any(one.name.startswith("Instance/") and one.action == "replace" for one in changes)
    lease = presence.lease
    if lease is None or not presence.alive or anew or lease.version == __version__:
        return
    raise RefusedError(
        f"the head runs llmops {lease.version}, and this is {__version__}: machines of this version"
        " would not work with it",
        hint=f"use llmops {lease.version}; or llmops destroy, then deploy: the service is down"
        " meanwhile, and the bucket stays",
    )


def count_of(plan: Plan) -> int:
    """How many machines with GPUs a plan for a cloud has."""
    if plan.machines is None:
        raise TypeError("a plan for this target has machines")
    return int(plan.machines.count.value)


def awake(agent: AgentTarget, outputs: Outputs, plan: Plan) -> Flow[None]:
    """Wait until the head's agent works, then until every machine of the plan says that it is
    there: what the agent plans with is what has done so.

    Raises:
        TargetError: When either does not in time; what was made stays, and the next deploy waits
            for it again.
    """
    count = count_of(plan)
    try:
        yield from agent.await_agent(FIRST_SIGN)
        yield from agent.await_machines(count, FIRST_SIGN)
    except TargetError as error:
        live = agent.store.read(plan.service)[0].live
        raise TargetError(
            error.message,
            hint=f"see why: aws ssm start-session --target {outputs.text('head')}, there journalctl"
            " -u llmops-agent; deploy again to go on waiting",
            serving=live is not None and agent.presence().alive,
        ) from error


def on_agent(deployment: Deployment, outputs: Outputs) -> Deployment:
    """The deployment as the machines' own agent makes it.

    Its gateway listens on the head's private address alone, behind a firewall that lets in the load
    balancer, which speaks TLS, or nobody.
    """
    made = cloud_target(deployment)
    target = OnAgent(
        kind="agent",
        store=outputs.text("store"),
        host=outputs.text("address"),
        port=int(outputs.text("port")),
        allow_plaintext=True,
        reach=made.reach,
        made_on=MadeOn.model_validate({"kind": made.kind, "region": made.region}),
    )
    return deployment.model_copy(update={"target": target})


__all__ = ["awake", "count_of", "hand_on", "on_agent", "same_llmops"]
