"""What no scaling section can mean: fields that nothing would act on, and bounds beyond bounds."""

from __future__ import annotations

from collections.abc import Iterator

from llmops.spec.document import Finding
from llmops.spec.models import Deployment, Scaling
from llmops.spec.nodes import Trail

REPLICAS: Trail = ("scaling", "replicas")

FOLLOWING = ("objective", "target_tokens_per_second", "warm", "schedule", "settle")
"""Fields that say how the number of replicas follows the load."""

SLEEPING = ("idle", "hold")
"""Fields about a service that has no replica."""


def find_in_scaling(deployment: Deployment) -> Iterator[Finding]:
    """Everything that is wrong with the scaling section."""
    scaling = deployment.scaling
    if scaling.replicas.low == scaling.replicas.high:
        yield from _unused(scaling, FOLLOWING, "a range in scaling.replicas", "such as 1..4")
    elif scaling.warm >= scaling.replicas.high:
        yield Finding(
            ("scaling", "warm"),
            f"expected less than the highest of scaling.replicas ({scaling.replicas}),"
            f" found {scaling.warm}",
            "the load needs replicas too: lower this, or raise scaling.replicas", (REPLICAS,),
        )  # fmt: skip
    yield from _schedule(scaling)
    yield from _given_at_once(scaling)
    if not _sleeps(scaling):
        yield from _unused(scaling, SLEEPING, "scaling.replicas from 0 on", "such as 0..4")
    elif deployment.target.kind != "local":
        yield from _awake(scaling)


def _unused(
    scaling: Scaling, names: tuple[str, ...], expected: str, such: str
) -> Iterator[Finding]:
    """Fields that are set to something, while nothing would act on them."""
    for name in names:
        if getattr(scaling, name) != Scaling.model_fields[name].default:
            yield Finding(
                ("scaling", name),
                f"expected {expected} with scaling.{name}, found '{scaling.replicas}'",
                f"nothing would act on it: remove it, or write a range {such}", (REPLICAS,),
                key=True,
            )  # fmt: skip


def _schedule(scaling: Scaling) -> Iterator[Finding]:
    for index, entry in enumerate(scaling.schedule):
        if entry.replicas.high > scaling.replicas.high:
            yield Finding(
                ("scaling", "schedule", index, "replicas"),
                f"expected at most {scaling.replicas.high}, the highest of scaling.replicas,"
                f" found '{entry.replicas}'",
                "memory is planned for the highest of scaling.replicas: raise that, or lower this",
                (REPLICAS,),
            )  # fmt: skip


def _given_at_once(scaling: Scaling) -> Iterator[Finding]:
    """A replica that is given less than it aims at would never ask for another."""
    most, aim = scaling.max_in_flight, scaling.target_in_flight
    if most is not None and most < aim:
        yield Finding(
            ("scaling", "max_in_flight"),
            f"expected at least scaling.target_in_flight ({aim}), found {most}",
            "raise this, or lower what scaling aims at", (("scaling", "target_in_flight"),),
        )  # fmt: skip


def _sleeps(scaling: Scaling) -> bool:
    lows = (scaling.replicas.low, *(entry.replicas.low for entry in scaling.schedule))
    return min(lows) == 0


def _awake(scaling: Scaling) -> Iterator[Finding]:
    """A cluster's replica pods are not given up to the last.

    Serve could have none, and Ray's autoscaler would then take the last pod. But what waits for a
    replica would wait for that autoscaler, for a pod, and for a node that may be gone, longer than
    requests can be held; and the pods of head and gateways stay, on nodes that cost as well.
    """
    hint = (
        "begin with 1: what wakes the service would have to wait for a pod and its node, and the"
        " pods of head and gateways would stay; the target local can scale to none"
    )
    if scaling.replicas.low == 0:
        message = f"expected at least 1 replica on a cluster, found '{scaling.replicas}'"
        yield Finding(REPLICAS, message, hint, (("target", "kind"),))
    for index, entry in enumerate(scaling.schedule):
        if entry.replicas.low == 0:
            yield Finding(
                ("scaling", "schedule", index, "replicas"),
                f"expected at least 1 replica on a cluster, found '{entry.replicas}'",
                hint, (("target", "kind"),),
            )  # fmt: skip
