"""Every offer of a catalogue weighed for a training: on which machines it fits, and at what price.

A training runs on one machine, so one of each type is planned with, just as this machine would be:
with the workers, the strategy and the memory that the spec asks for. It refuses to guess what a
machine lacks in the catalogue, and changes nothing of the spec: where nothing fits it says which
change would do, on which machine. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from llmops.catalog import Accelerator, Catalogue, Offer
from llmops.errors import InputError, RefusedError
from llmops.finetuning.model import FineTune
from llmops.finetuning.planning.model import TrainingFacts, TrainingPlan, plan_document
from llmops.finetuning.planning.planner import plan_training, planned
from llmops.planning import Gpu, MachineFacts, ModelFacts
from llmops.planning.fleet import Needs, Rejection, capability, cheapest, unpriced
from llmops.units import Bytes

ANY_DISK = 2**62
"""A machine's disk is what one attaches to it: the plan says how much it takes."""

BFLOAT16 = 80
"""CUDA compute capability from which a GPU computes bfloat16 (NVIDIA, CUDA C++ Programming Guide,
"Arithmetic Instructions")."""


@dataclass(frozen=True, slots=True)
class TrainingOption:
    """A type of machine on which the training fits as it is written."""

    offer: Offer
    accelerator: Accelerator
    region: str
    """Where the price holds; empty without one."""
    price: float | None
    """US dollars an hour of one machine; 0 for one's own, None where not sourced."""
    plan: TrainingPlan

    @property
    def idle(self) -> int:
        """GPUs of the machine that no worker has."""
        return self.offer.count - self.plan.workers

    @property
    def why(self) -> str:
        """What it takes, and what is left alone."""
        plan = self.plan
        words = (
            f"{plan.strategy} x {plan.workers}:"
            f" {Bytes(int(plan.per_worker.value)).human()} of"
            f" {Bytes(int(plan.room.value)).human()} for each worker"
        )
        return f"{words}; {self.idle} of {self.offer.count} GPUs idle" if self.idle else words


@dataclass(frozen=True, slots=True)
class NearestOffer:
    """Where nothing fits: a machine, and what of the spec to change for it."""

    offer: Offer
    reason: str
    hint: str
    changes: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TrainingFleet:
    """The answer: options, the cheapest first, and what was rejected."""

    needs: Needs
    options: tuple[TrainingOption, ...]
    rejections: tuple[Rejection, ...]
    nearest: NearestOffer | None
    """None where something fits, or no single machine does with any change that was tried."""


@dataclass(slots=True)
class _Search:
    spec: FineTune
    model: ModelFacts
    catalogue: Catalogue
    needs: Needs
    plans: dict[tuple[object, ...], TrainingPlan | RefusedError] = field(default_factory=dict)
    """What was planned already, by what a plan reads of a machine."""

    def weighed(self) -> Iterator[TrainingOption | Rejection]:
        for offer in self._asked():
            yield self._weigh(offer, self.catalogue.accelerators[offer.accelerator])

    def _asked(self) -> Iterator[Offer]:
        for offer in self.catalogue.offers:
            accelerator = self.catalogue.accelerators[offer.accelerator]
            named = not self.needs.gpus or accelerator.name in self.needs.gpus
            provided = not self.needs.providers or offer.provider in self.needs.providers
            if named and provided and accelerator.kind == "gpu":
                yield offer

    def _weigh(self, offer: Offer, accelerator: Accelerator) -> TrainingOption | Rejection:
        if why := _unable(accelerator):
            return Rejection(offer, why)
        region, price = cheapest(offer, 1, self.needs)
        if price is None and (why := unpriced(offer, self.needs)):
            return Rejection(offer, why)
        budget = self.needs.budget
        if price is not None and budget is not None and price > budget:
            why = f"{price:,.2f} USD/h is above the budget of {budget:,.2f}"
            return Rejection(offer, why)
        found = self._plan(offer, accelerator)
        if isinstance(found, RefusedError):
            return Rejection(offer, found.message)
        if found.precision.value == "bfloat16" and _before_bfloat16(accelerator):
            return Rejection(offer, _no_bfloat16(accelerator))
        return TrainingOption(offer, accelerator, region, price, found)

    def _plan(self, offer: Offer, accelerator: Accelerator) -> TrainingPlan | RefusedError:
        key = (accelerator.name, offer.count, offer.vcpus, offer.memory)
        if key not in self.plans:
            try:
                self.plans[key] = planned(self.spec, self._facts(offer, accelerator))
            except RefusedError as refusal:
                self.plans[key] = refusal
        return self.plans[key]

    def _facts(self, offer: Offer, accelerator: Accelerator) -> TrainingFacts:
        return TrainingFacts(self.model, machine_of(offer, accelerator))

    def nearest(self, rejections: tuple[Rejection, ...]) -> NearestOffer | None:
        """The cheapest machine on which something of the spec can be changed so that it fits."""
        free = replace(self.needs, budget=None)
        offers = [
            (cheapest(one.offer, 1, free)[1], one.offer)
            for one in rejections
            if not _unable(self.catalogue.accelerators[one.offer.accelerator])
        ]
        tried: set[tuple[str, int]] = set()
        for _, offer in sorted(offers, key=lambda one: (one[0] is None, one[0] or 0.0)):
            if (kind := (offer.accelerator, offer.count)) in tried:
                continue
            tried.add(kind)
            accelerator = self.catalogue.accelerators[offer.accelerator]
            try:
                plan_training(self.spec, self._facts(offer, accelerator))
            except RefusedError as refusal:
                if refusal.changes:
                    return NearestOffer(offer, refusal.message, refusal.hint, refusal.changes)
        return None


def search_offers(
    spec: FineTune, model: ModelFacts, catalogue: Catalogue, needs: Needs
) -> TrainingFleet:
    """Weigh every offer for a training.

    Args:
        spec: What was asked.
        model: What is known of the base.
        catalogue: The machines.
        needs: Of it: which GPUs, providers and regions will do, spot or not, and the budget.

    Raises:
        InputError: When the spec asks for a CPU.
    """
    if spec.hardware.device == "cpu":
        raise InputError(
            "hardware.device is cpu, and the catalogue's GPUs are weighed",
            hint="leave hardware.device out, or plan for this machine: --on here",
            path="hardware.device",
        )
    search = _Search(spec, model, catalogue, needs)
    found = tuple(search.weighed())
    options = sorted((one for one in found if isinstance(one, TrainingOption)), key=_rank)
    rejections = tuple(one for one in found if isinstance(one, Rejection))
    nearest = None if options else search.nearest(rejections)
    return TrainingFleet(needs, tuple(options), rejections, nearest)


def machine_of(offer: Offer, accelerator: Accelerator) -> MachineFacts:
    """An offer's machine, empty, as the plan of a training reads one.

    Cores that the catalogue does not know are taken as one for each GPU.
    """
    size = accelerator.planned() or 0
    return MachineFacts(
        cores=offer.vcpus or offer.count, memory=offer.memory or 0,
        memory_free=offer.memory or 0, disk_free=ANY_DISK,
        gpus=(Gpu(accelerator.name, size, size),) * offer.count, port_owner="",
        endpoint_port=None,
    )  # fmt: skip


def _unable(accelerator: Accelerator) -> str:
    """Why nothing is trained on such a device; empty when it is."""
    if accelerator.vendor != "nvidia":
        return f"{accelerator.name} is no NVIDIA GPU, and this version trains on none other"
    if accelerator.planned() is None:
        return f"the memory of {accelerator.name} is not in the catalogue"
    return ""


def _before_bfloat16(accelerator: Accelerator) -> bool:
    has = capability(accelerator)
    return has is not None and has < BFLOAT16


def _no_bfloat16(accelerator: Accelerator) -> str:
    return (
        f"{accelerator.name} (compute capability {accelerator.capability}) does not compute"
        " bfloat16: training.precision float16 or float32 would do"
    )


def _rank(option: TrainingOption) -> tuple[bool, float, int, str]:
    """What has no price comes last; of equal prices, what leaves fewer GPUs idle first."""
    return (option.price is None, option.price or 0.0, option.idle, option.offer.name)


def fleet_document(fleet: TrainingFleet, *, top: int | None = None) -> dict[str, Any]:
    """The answer as plain data with stable keys: what `llmops plan --on catalog -o json` prints.

    Args:
        fleet: What was found.
        top: Options to show at most; all without.
    """
    nearest, needs = fleet.nearest, fleet.needs
    return {
        "kind": "TrainingFleet",
        "question": {
            "gpus": list(needs.gpus), "providers": list(needs.providers),
            "regions": list(needs.regions), "spot": needs.spot, "budget": needs.budget,
        },
        "options": [_option(one, fleet) for one in fleet.options[:top]],
        "options_found": len(fleet.options),
        "rejected": [_machine(one.offer) | {"reason": one.reason} for one in fleet.rejections],
        "nearest": None if nearest is None else _machine(nearest.offer) | {
            "reason": nearest.reason, "hint": nearest.hint, "changes": dict(nearest.changes),
        },
    }  # fmt: skip


def _option(option: TrainingOption, fleet: TrainingFleet) -> dict[str, Any]:
    price = {"value": option.price, "unit": "USD/h", "reason": price_reason(option, fleet.needs)}
    return _machine(option.offer) | {
        "region": option.region or None, "price": price, "idle": option.idle, "why": option.why,
        "plan": plan_document(option.plan),
    }  # fmt: skip


def _machine(offer: Offer) -> dict[str, Any]:
    return {
        "machine": offer.name, "provider": offer.provider, "accelerator": offer.accelerator,
        "count": offer.count,
    }  # fmt: skip


def price_reason(option: TrainingOption, needs: Needs) -> str:
    """What the price of an option is, and as of which day."""
    if option.price is None:
        return "not in the catalogue"
    if option.offer.provider == "own" and not option.offer.prices:
        return "a machine of your own costs nothing by the hour"
    source = option.offer.sources.get("prices")
    day = f", as of {source.date}" if source is not None else ""
    return f"one machine {'spot' if needs.spot else 'on demand'} in {option.region}{day}"


__all__ = [
    "NearestOffer", "TrainingFleet", "TrainingOption", "fleet_document",
    "machine_of", "price_reason", "search_offers",
]  # fmt: skip
