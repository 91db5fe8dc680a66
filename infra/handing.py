"""What a stack's own agent is handed: the policies that hold, machines that are up, the deployment.

Before there is a stack, what was applied on this machine holds: a first deploy is not past every
rule. The stack begins with the same ones; from then on its own shelf holds, and is left alone.
"""

from __future__ import annotations

from infra.automation import Outputs
from infra.naming import cloud_target
from llmops.errors import TargetError
from llmops.events import Flow
from llmops.planning import Plan
from llmops.policies import PolicyStore
from llmops.spec import AgentTarget as OnAgent
from llmops.spec import Deployment, MadeOn
from serving.agent import AgentTarget

FIRST_SIGN = 1200.0
"""Seconds until a machine's agent answers: it boots, installs the locked packages, and starts."""


def hand_on(here: PolicyStore, there: PolicyStore) -> None:
    """Put what holds here on the shelf there, if that one was never written."""
    shelf, _ = here.read()
    _, version = there.read()
    if not version and shelf.entries:
        there.write(shelf, version)


def awake(agent: AgentTarget, outputs: Outputs, plan: Plan) -> Flow[None]:
    """Wait until the head's agent works, then until every machine of the plan says that it is
    there: what the agent plans with is what has done so.

    Raises:
        TargetError: When either does not in time; what was made stays, and the next deploy waits
            for it again.
    """
    machines = plan.machines
    if machines is None:
        raise TypeError("a plan for this target has machines")
    try:
        yield from agent.await_agent(FIRST_SIGN)
        yield from agent.await_machines(int(machines.count.value), FIRST_SIGN)
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


__all__ = ["awake", "hand_on", "on_agent"]
