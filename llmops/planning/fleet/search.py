"""Every offer of the catalogue weighed for a model: which machine and layout, at what price. Pure.

For each type of machine the fewest machines that meet the needs are taken, on them the simplest
layout that does (`_effort`), and of such layouts the one on the fewest devices. Options are ranked
by what an hour of all replicas costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from llmops.catalog import Accelerator, Catalogue, Offer
from llmops.planning.fleet.budget import Budget, batches, budget
from llmops.planning.fleet.layouts import Site, judge, legal
from llmops.planning.fleet.model import FleetOption, FleetPlan, Rejection
from llmops.planning.fleet.needs import Needs
from llmops.planning.fleet.network import domain, joined
from llmops.planning.fleet.reasons import (
    cannot_run,
    clamped,
    no_layout,
    notes,
    other_batch,
    runs_as,
    unpriced,
    why_first,
)
from llmops.planning.memory import BatchDefaults
from llmops.planning.parallel import Parallel
from llmops.planning.subject import Subject

_Key = tuple[str, int, Parallel, BatchDefaults]
"""What a budget depends on: accelerator, its memory, layout and batch."""


@dataclass(slots=True)
class _Search:
    subject: Subject
    needs: Needs
    catalogue: Catalogue
    legal: dict[Site, tuple[Parallel, ...]] = field(default_factory=dict)
    """Legal layouts of a site, the simplest first."""
    budgets: dict[_Key, Budget] = field(default_factory=dict)

    def offers(self) -> Iterator[FleetOption | Rejection]:
        for offer in self.catalogue.offers:
            if self.needs.providers and offer.provider not in self.needs.providers:
                continue
            accelerator = self.catalogue.accelerators[offer.accelerator]
            if not self._asked(accelerator):
                continue
            yield self._weigh(offer, accelerator)

    def _asked(self, accelerator: Accelerator) -> bool:
        if not self.needs.gpus:
            return accelerator.kind == "gpu"
        return accelerator.name in self.needs.gpus

    def _weigh(self, offer: Offer, accelerator: Accelerator) -> FleetOption | Rejection:
        memory = accelerator.planned()
        if accelerator.kind == "cpu":
            return Rejection(offer, f"{accelerator.name} is a processor: with a spec, llmops plan"
                             " on such a machine plans for it")  # fmt: skip
        if why := cannot_run(self.subject, accelerator):
            return Rejection(offer, why)
        if memory is None:
            return Rejection(offer, f"the memory of {accelerator.name} is not in the catalogue")
        sites = [
            Site(offer.count, machines, domain(offer))
            for machines in range(1, most_machines(offer, self.needs) + 1)
        ]
        for site in sites:
            fitting = self._fitting(accelerator, memory, site)
            taken = next(fitting, None)
            if taken is None:
                continue
            if self.needs.replicas > 1:  # a layout on fewer devices may put more on a machine
                found = (taken, *fitting)
                taken = min(found, key=lambda one: self._machines(offer, one[0]))
            return self._option(offer, accelerator, *taken)
        known = (parallel for site in sites for parallel in self._legal(site))
        lightest = min(known, key=self.subject.weights, default=None)
        closest = None
        if lightest is not None:
            smallest = batches(accelerator, memory, self.needs, lightest.data)[-1]
            closest = self._budget(accelerator, memory, lightest, smallest)
        return Rejection(offer, self._why_none(offer, accelerator, closest), closest)

    def _fitting(
        self, accelerator: Accelerator, memory: int, site: Site
    ) -> Iterator[tuple[Parallel, Budget]]:
        """The layouts of a site that hold what is asked, the simplest first."""
        usable = memory * self.needs.utilisation
        for parallel in self._legal(site):
            if self.subject.weights(parallel) >= usable:
                continue
            for batch in batches(accelerator, memory, self.needs, parallel.data):
                made = self._budget(accelerator, memory, parallel, batch)
                if fits(made, parallel, self.needs):
                    yield parallel, made
                    break

    def _machines(self, offer: Offer, parallel: Parallel) -> int:
        """Machines for all replicas."""
        replicas, per_machine = self.needs.replicas, offer.count // parallel.devices
        if per_machine:
            return -(-replicas // per_machine)
        return replicas * -(-parallel.devices // offer.count)

    def _why_none(self, offer: Offer, accelerator: Accelerator, closest: Budget | None) -> str:
        asked, most = self.needs.parallel, most_machines(offer, self.needs)
        if asked is not None and closest is None:
            site = Site(offer.count, most, domain(offer))
            return judge(self.subject.cuts, asked, site).reason
        why = no_layout(closest, accelerator, self.needs)
        alone = joined(offer) == 1
        return f"{why}; and no fast network is known to join such machines" if alone else why

    def _legal(self, site: Site) -> tuple[Parallel, ...]:
        if site not in self.legal:
            self.legal[site] = self._sorted(site)
        return self.legal[site]

    def _sorted(self, site: Site) -> tuple[Parallel, ...]:
        """Legal layouts that use all machines of the site, the simplest first."""
        cuts, asked = self.subject.cuts, self.needs.parallel
        if asked is None:
            found = [parallel for parallel in legal(cuts, site) if self.needs.takes(parallel)]
            return tuple(sorted(found, key=_effort))
        verdict = judge(cuts, asked, site)
        right = not verdict.reason and verdict.machines == site.machines
        return (asked,) if right and self.needs.takes(asked) else ()

    def _budget(
        self,
        accelerator: Accelerator,
        memory: int,
        parallel: Parallel,
        batch: BatchDefaults,
    ) -> Budget:
        key = (accelerator.name, memory, parallel, batch)
        if key not in self.budgets:
            made = budget(self.subject, parallel, accelerator, memory, self.needs, batch)
            self.budgets[key] = made
        return self.budgets[key]

    def _option(
        self, offer: Offer, accelerator: Accelerator, parallel: Parallel, made: Budget
    ) -> FleetOption | Rejection:
        replicas, machines = self.needs.replicas, self._machines(offer, parallel)
        if offer.machines is not None and machines > offer.machines:
            return Rejection(offer, f"{replicas} replicas need {machines} machines, and there are"
                             f" {offer.machines}")  # fmt: skip
        region, price = cheapest(offer, machines, self.needs)
        if price is None and (why := unpriced(offer, self.needs)):
            return Rejection(offer, why)
        if price is not None and self.needs.budget is not None and price > self.needs.budget:
            why = f"{price:,.2f} USD/h is above the budget of {self.needs.budget:,.2f}"
            return Rejection(offer, why, price=price)
        return FleetOption(
            offer=offer,
            accelerator=accelerator,
            parallel=parallel,
            machines=machines,
            per_machine=offer.count // parallel.devices,
            dtype=runs_as(self.subject, accelerator),
            budget=made,
            requests=requests(made, self.needs) * parallel.data,
            region=region,
            price=price,
            idle=machines * offer.count - replicas * parallel.devices,
            notes=(
                *notes(self.subject, offer, accelerator, parallel, self.needs),
                *other_batch(made, accelerator, self.needs,
                             -(-self.needs.in_flight // parallel.data)),
                *clamped(made, self.needs),
            ),
        )  # fmt: skip


def search(subject: Subject, needs: Needs, catalogue: Catalogue) -> FleetPlan:
    """Weigh every offer; options are ranked, the cheapest first, those without a price last."""
    found = list(_Search(subject, needs, catalogue).offers())
    options = sorted((o for o in found if isinstance(o, FleetOption)), key=_rank)
    rejections = tuple(r for r in found if isinstance(r, Rejection))
    dear = any(one.price is not None for one in rejections)
    return FleetPlan(needs, tuple(options), rejections, why_first(options, needs, dear=dear))


def most_machines(offer: Offer, needs: Needs) -> int:
    """Machines that a replica may be spread over: as many as there are for each of them, and one
    without a rack or a network that is known to be fast."""
    most = min(needs.machines, joined(offer) or needs.machines)
    if offer.machines is None:
        return most
    return max(1, min(most, offer.machines // needs.replicas))


def fits(made: Budget, parallel: Parallel, needs: Needs) -> bool:
    """Whether a device's budget holds what is asked of it."""
    wanted = -(-needs.in_flight // parallel.data)
    return made.pool.least <= made.room and requests(made, needs) >= wanted


def requests(made: Budget, needs: Needs) -> int:
    """Requests of typical length that the KV cache of one data rank holds at once."""
    if not made.pool.bytes_per_block:
        return needs.in_flight
    return made.pool.requests(made.room, min(needs.typical, made.context))


def cheapest(offer: Offer, machines: int, needs: Needs) -> tuple[str, float | None]:
    """The cheapest region, and what the machines cost there by the hour."""
    if offer.provider == "own" and not offer.prices:
        return "", 0.0
    priced = []
    for price in offer.prices:
        if needs.regions and not price.region.startswith(needs.regions):
            continue
        hourly = price.spot if needs.spot else price.on_demand
        if hourly is not None:
            priced.append((round(hourly * machines, 6), price.region))
    if not priced:
        return "", None
    least, region = min(priced)
    return region, least


def _effort(parallel: Parallel) -> tuple[int, ...]:
    """How involved a layout is to run: stages, data ranks, shared caches, dealt experts; then how
    many devices it takes, since one machine's idle devices can run another replica."""
    return (
        parallel.pipeline,
        parallel.data,
        parallel.context,
        int(parallel.expert),
        parallel.devices,
    )


def _rank(option: FleetOption) -> tuple[bool, bool, float, int, int, str]:
    """What this version's engine packages cannot run comes last, then what has no price."""
    devices = option.machines * option.offer.count
    unknown, foreign = option.price is None, option.accelerator.vendor != "nvidia"
    return (foreign, unknown, option.price or 0.0, devices, -option.requests, option.offer.name)
