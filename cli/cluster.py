"""`llmops cluster`: nodes of a Kubernetes cluster, services moved off one, and cloud machines."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer

from cli import clouds, cluster_bmc, cluster_check, cluster_hosts, cluster_maintain, fabric
from cli.options import Context, Format, Output, Yes

if TYPE_CHECKING:
    from collections.abc import Callable

    from clusters import ClusterTarget, DrainPlan, Nodes, NodeView

group = typer.Typer(
    help="Nodes of a cluster, drained with no request lost; machines of a cloud and their cost.",
    no_args_is_help=True,
)
group.add_typer(fabric.group, name="fabric")
group.add_typer(cluster_hosts.group, name="hosts")
group.add_typer(cluster_bmc.group, name="bmc")

group.command("sweep")(clouds.sweep)
group.command("cost")(clouds.cost)
group.command(cluster_check.NAME)(cluster_check.command)
group.command(cluster_maintain.NAME)(cluster_maintain.command)

Node = Annotated[str, typer.Argument(help="Name of the node.", metavar="NODE")]


@group.command("nodes")
def nodes(context: Context = None, output: Output = Format.TEXT) -> None:
    """List nodes: whether they take pods, what is free, and what of llmops runs there."""
    from cli.output import print_data, tell

    found, whole = _nodes(context).views()
    if output is not Format.TEXT:
        print_data({"nodes": [asdict(one) for one in found], "all_pods": whole}, output)
        return
    _print_nodes(found)
    if not whole:
        tell("pods of namespaces that you may not look into are not counted")


@group.command("cordon")
def cordon(node: Node, context: Context = None) -> None:
    """Have a node take no new pods; those on it stay."""
    changed = _nodes(context).cordon(node)
    typer.echo(f"{node} is cordoned" if changed else f"{node} was cordoned already")


@group.command("uncordon")
def uncordon(node: Node, context: Context = None) -> None:
    """Have a node take pods again."""
    changed = _nodes(context).uncordon(node)
    typer.echo(f"{node} takes pods again" if changed else f"{node} took pods already")


@group.command("drain")
def drain(
    node: Node,
    yes: Yes = False,
    allow_pending: Annotated[
        bool,
        typer.Option(
            "--allow-pending", help="Go on though pods find no room now: nodes will be added."
        ),
    ] = False,
    context: Context = None,
) -> None:
    """Move what llmops runs on a node to other nodes; nothing goes before its successor serves.

    Refused when there is no room for the successors. A run that was cut off is gone on with by
    running it again. The node stays cordoned.
    """
    from cli.output import ask, may_ask
    from llmops.errors import RefusedError

    may_ask(yes)
    open_target = cache(lambda namespace: _target(context, namespace))
    own = _target(context)
    from clusters import plan_drain, refuse_short

    plan = plan_drain(own.client, own.namespace, open_target, node)
    warned = refuse_short(plan, allow_pending=allow_pending)
    if plan.changed:
        _print_plan(plan, warned)
        if not yes and not ask(f"Drain {node}?"):
            raise RefusedError("nothing was changed")
        _run(own, open_target, plan)
    _print_end(plan)


def _run(own: ClusterTarget, open_target: Callable[[str], ClusterTarget], plan: DrainPlan) -> None:
    from cli.output import Drawer, draw, tell
    from clusters import drain as drained
    from llmops.errors import LlmopsError

    try:
        draw(drained(own.client, own.namespace, open_target, plan), Drawer())
    except (KeyboardInterrupt, LlmopsError):
        tell(
            f"{plan.node} stays cordoned. To go on: llmops cluster drain {plan.node};"
            f" to give it up: llmops cluster uncordon {plan.node}"
        )
        raise


def _print_plan(plan: DrainPlan, warned: tuple[str, ...]) -> None:
    from cli.output import tell

    for step in plan.steps():
        tell(f"  {step}")
    for short in warned:
        tell(f"warning: {short}; it waits for a node")


def _print_end(plan: DrainPlan) -> None:
    from cli.output import tell

    said = "is drained" if plan.changed else "was drained already"
    typer.echo(f"{plan.node} {said}: nothing of llmops is on it, and it is cordoned")
    if plan.others:
        some = ", ".join(plan.others[:5])
        more = f" and {len(plan.others) - 5} more" if len(plan.others) > 5 else ""
        tell(f"other pods are still on it: {some}{more}")
        tell(f"hint: kubectl drain {plan.node} --ignore-daemonsets moves those")
    if plan.unseen:
        tell("there may be more in namespaces that you may not look into")


def _print_nodes(found: tuple[NodeView, ...]) -> None:
    from cli.output import print_table

    heads = ("NODE", "READY", "TAKES PODS", "GPUS", "GPU", "MEMORY FREE", "SERVICES")
    print_table(heads, [_row(node) for node in found])


def _row(node: NodeView) -> tuple[str, ...]:
    services = (
        f"{name}: {', '.join(f'{count} {role}' for role, count in roles.items())}"
        for name, roles in node.pods.items()
    )
    gib = 2**30
    return (
        node.name,
        "yes" if node.ready else "no",
        "yes" if node.schedulable else "cordoned",
        f"{node.gpus_used}/{node.gpus}" if node.gpus else "-",
        node.gpu or "-",
        f"{node.memory_free / gib:.1f} of {node.memory / gib:.1f} GiB",
        "; ".join(services),
    )


def _nodes(context: str | None) -> Nodes:
    target = _target(context)
    from clusters import Nodes

    return Nodes(target.client, target.namespace)


def _target(context: str | None, namespace: str | None = None) -> ClusterTarget:
    from cli.places import home, needs_kubernetes

    with needs_kubernetes():
        from clusters import ClusterTarget

    return ClusterTarget(home(), context, namespace)
