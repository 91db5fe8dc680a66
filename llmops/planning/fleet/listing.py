"""Every layout of a model on one type of machine, each with what it comes to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llmops.catalog import Accelerator, Offer
from llmops.planning.fleet.budget import Budget, batches, budget
from llmops.planning.fleet.layouts import Site, layouts
from llmops.planning.fleet.needs import Needs
from llmops.planning.fleet.network import domain
from llmops.planning.fleet.reasons import cannot_run, no_layout, other_batch
from llmops.planning.fleet.search import fits, most_machines, requests
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject


@dataclass(frozen=True, slots=True)
class Weighed:
    """A layout and what it comes to."""

    parallel: Parallel
    machines: int
    legal: bool
    fits: bool
    requests: int
    """Of typical length at once in one replica; 0 when it is not legal."""
    reason: str
    """Why it is not legal or does not fit; empty when it does."""
    told: str
    """What the engine must be told where it fits; empty when it is nothing."""
    budget: Budget | None


def every_layout(
    subject: Subject,
    needs: Needs,
    offer: Offer,
    accelerator: Accelerator,
    machines: int | None = None,
) -> tuple[Weighed, ...]:
    """Those that fit first, then those that are legal, each by how many devices they take.

    Args:
        subject: The model.
        needs: What must fit.
        offer: The type of machine.
        accelerator: What is in it.
        machines: Machines that a replica may use; None: the fewest on which it fits, or one.
    """
    most = most_machines(offer, needs) if machines is None else machines
    tried: list[Weighed] = []
    for number in range(1 if machines is None else machines, most + 1):
        found = list(_weighed(subject, needs, offer, accelerator, number))
        tried = tried or found
        if any(one.fits for one in found):
            tried = found
            break
    return tuple(sorted(tried, key=lambda one: (not one.fits, not one.legal, _size(one))))


def _size(one: Weighed) -> tuple[int, ...]:
    parallel = one.parallel
    return (parallel.devices, parallel.pipeline, parallel.data, parallel.tensor,
            parallel.context, int(parallel.expert))  # fmt: skip


def _weighed(
    subject: Subject, needs: Needs, offer: Offer, accelerator: Accelerator, machines: int
) -> Iterator[Weighed]:
    memory, unable = accelerator.planned(), cannot_run(subject, accelerator)
    for verdict in layouts(subject.cuts, Site(offer.count, machines, domain(offer))):
        if verdict.reason or memory is None:
            why = verdict.reason or f"the memory of {accelerator.name} is not in the catalogue"
            yield Weighed(verdict.parallel, verdict.machines, False, False, 0, why, "", None)
            continue
        parallel = verdict.parallel
        made = _largest(subject, parallel, accelerator, memory, needs)
        room = requests(made, needs) * parallel.data if made.room > 0 else 0
        fit = not unable and fits(made, parallel, needs)
        wanted = -(-needs.in_flight // parallel.data)
        told = "; ".join(other_batch(made, accelerator, needs, wanted)) if fit else ""
        why = "" if fit else unable or no_layout(made, accelerator, needs)
        yield Weighed(parallel, verdict.machines, True, fit, room, why, told, made)


def _largest(
    subject: Subject, parallel: Parallel, accelerator: Accelerator, memory: int, needs: Needs
) -> Budget:
    """With the largest batch that fits, as the search takes it; else with the smallest."""
    found = [
        budget(subject, parallel, accelerator, memory, needs, batch)
        for batch in batches(accelerator, memory, needs, parallel.data)
    ]
    return next((made for made in found if fits(made, parallel, needs)), found[-1])
