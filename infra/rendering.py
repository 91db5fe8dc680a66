"""What a stack is made of, as data: what its program is given, and what it declares. Pure.

No secret is among it, because a program is given none.
"""

from __future__ import annotations

from dataclasses import asdict

from infra.naming import PROJECT, stack_name
from infra.previewing import MACHINE
from infra.tags import tags_of
from llmops.events import Previewed
from llmops.planning import Plan
from llmops.spec import Deployment


def rendered(deployment: Deployment, plan: Plan, previewed: Previewed) -> dict[str, object]:
    """The document of a stack.

    Args:
        deployment: What was asked for, as policies set it.
        plan: What was planned for it.
        previewed: What a trial run told of it; empty where there was none.
    """
    machines = plan.machines
    return {
        "project": PROJECT,
        "stack": stack_name(deployment),
        "target": deployment.target.model_dump(mode="json"),
        "tags": tags_of(deployment, plan),
        "machines": None if machines is None else asdict(machines),
        "objects": [
            {"name": one.name, "action": one.action}
            for one in previewed.changes
            if not one.name.startswith(f"{MACHINE}/")
        ],
    }


__all__ = ["rendered"]
