"""What would change an answer of "nothing fits": found by planning with each change. Pure.

Nothing here is a rule of thumb: a change is named only after a search with it has found an option,
and that option is named with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops.catalog import Catalogue
from llmops.errors import RefusedError
from llmops.planning.fleet.model import FleetOption, FleetPlan, Rejection
from llmops.planning.fleet.needs import Needs
from llmops.planning.fleet.search import search
from llmops.planning.model import ModelFacts
from llmops.planning.subject import Subject
from llmops.units import Bytes

NARROWER: Mapping[str, Mapping[str, Any]] = {
    "8-bit weights (fp8)": {"quant_method": "fp8", "activation_scheme": "dynamic"},
    "4-bit weights (AWQ)": {
        "quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm",
    },
}  # fmt: skip
"""Formats that a model may be quantised to, as a `quantization_config` has them."""

LEAST_CONTEXT = 1024
"""No shorter context is proposed."""

MORE_MACHINES = (2, 4, 8, 16)
"""How many times as many machines of one's own are tried."""

SHARES = (2, 4, 8, 16)
"""By what the number of requests at once is divided, in turn."""


@dataclass(frozen=True, slots=True)
class Change:
    """What would make it fit, and what would be had then."""

    what: str
    option: FleetOption


def nearest_miss(plan: FleetPlan) -> Rejection | None:
    """The cheapest machines that are too dear; else those that are short of the least memory, as a
    share of what the engine may take."""
    dear = [one for one in plan.rejections if one.price is not None]
    if dear:
        return min(dear, key=lambda one: (one.price or 0.0, one.offer.name))
    short = [one for one in plan.rejections if one.closest is not None and one.closest.memory]
    return min(short, key=_shortfall, default=None)


def _shortfall(rejection: Rejection) -> float:
    made = rejection.closest
    if made is None:
        return float("inf")
    return (made.fixed + made.pool.least) / (made.memory - made.reserve)


def changes(
    subject: Subject, needs: Needs, catalogue: Catalogue, facts: ModelFacts
) -> tuple[Change, ...]:
    """Each change that makes it fit by itself, with the cheapest option then.

    Args:
        subject: The model, which fits nowhere.
        needs: What was asked.
        catalogue: What was weighed.
        facts: Where the model's configuration is in, for other formats of it.
    """
    found = []
    for what, other, wanted, offers in _tries(subject, needs, catalogue, facts):
        options = search(other, wanted, offers).options
        if options:
            found.append(Change(what, options[0]))
    return tuple(found)


Try = tuple[str, Subject, Needs, Catalogue]


def _tries(
    subject: Subject, needs: Needs, catalogue: Catalogue, facts: ModelFacts
) -> Iterator[Try]:
    yield from _formats(subject, needs, catalogue, facts)
    if needs.kv_dtype == "auto" and subject.kv_element() > 1:
        what = "a KV cache of fp8 (kv_cache_dtype)"
        yield what, subject, replace(needs, kv_dtype="fp8"), catalogue
    yield from _first(_contexts(subject, needs, catalogue))
    yield from _first(_fewer(subject, needs, catalogue))
    if needs.parallel is not None or needs.count is not None:
        freed = replace(needs, parallel=None, count=None)
        yield "another layout than the one asked for", subject, freed, catalogue
    yield from _first(_machines(subject, needs, catalogue))
    if needs.budget is not None:
        yield "a higher budget", subject, replace(needs, budget=None), catalogue
        if not needs.spot:
            yield "spot machines", subject, replace(needs, spot=True), catalogue
    if needs.regions:
        yield "other regions", subject, replace(needs, regions=()), catalogue
    if needs.providers:
        yield "other providers", subject, replace(needs, providers=()), catalogue
    if needs.gpus:
        yield "another GPU", subject, replace(needs, gpus=()), catalogue


def _formats(
    subject: Subject, needs: Needs, catalogue: Catalogue, facts: ModelFacts
) -> Iterator[Try]:
    if subject.quantisation is not None:
        return
    for what, section in NARROWER.items():
        config = {**facts.config, "quantization_config": dict(section)}
        bare = replace(facts, config=config, parameters=0, weight_bytes=0, dtypes={})
        try:
            other = Subject.of(bare, needs.dtype)
        except RefusedError:  # its shapes do not allow the format
            continue
        size = Bytes(other.weight_bytes).human()
        yield (
            f"{what}: {size} instead of {Bytes(subject.weight_bytes).human()}",
            other,
            needs,
            catalogue,
        )


def _contexts(subject: Subject, needs: Needs, catalogue: Catalogue) -> Iterator[Try]:
    context = 1 << ((needs.context or subject.profile.max_positions) - 1).bit_length()
    while (context := context // 2) >= LEAST_CONTEXT:
        shorter = replace(needs, context=context, typical=min(needs.typical, context))
        too = f", and so requests of {context:,}" if context < needs.typical else ""
        yield f"a context of {context:,}{too}", subject, shorter, catalogue


def _fewer(subject: Subject, needs: Needs, catalogue: Catalogue) -> Iterator[Try]:
    for share in SHARES:
        fewer = needs.in_flight // share
        if fewer:
            what = f"{fewer:,} request{'s' if fewer > 1 else ''} at once instead of"
            yield (
                f"{what} {needs.in_flight:,}", subject, replace(needs, in_flight=fewer), catalogue
            )  # fmt: skip


def _machines(subject: Subject, needs: Needs, catalogue: Catalogue) -> Iterator[Try]:
    """More of one's own; else a replica over more of those that are had by the hour."""
    own = any(offer.machines is not None for offer in catalogue.offers)
    for times in MORE_MACHINES:
        wanted = replace(needs, machines=needs.machines * times)
        if not own:
            yield f"a replica over {wanted.machines} machines", subject, wanted, catalogue
            continue
        offers = tuple(
            replace(offer, machines=offer.machines * times) if offer.machines else offer
            for offer in catalogue.offers
        )
        more = Catalogue(catalogue.accelerators, offers)
        yield f"{times} times as many machines", subject, wanted, more


def _first(tries: Iterator[Try]) -> Iterator[Try]:
    """The first of a series that fits: what comes after it changes more."""
    for one in tries:
        _, subject, needs, catalogue = one
        if search(subject, needs, catalogue).options:
            yield one
            return
