"""Models and catalogues for tests of fleet plans: published models, and made-up machines."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from llmops.catalog import Accelerator, Catalogue, Link, Offer, Price, Source, load_catalogue
from llmops.planning import ModelFacts
from llmops.planning.fleet import Needs, Subject, only
from llmops.planning.parallel import Parallel

CASES = Path(__file__).parents[2] / "cases"
RACKS = CASES / "fleet" / "racks"
GIB = 2**30

SOURCE = Source("made-up", "made up for a test", "https://example.com", date(2026, 1, 1))


@cache
def config(name: str) -> dict[str, Any]:
    """A published configuration."""
    path = CASES / "architectures" / f"{name}.yaml"
    found: dict[str, Any] = yaml.safe_load(path.read_text())["config"]
    return found


def facts(config: dict[str, Any]) -> ModelFacts:
    """What is known of a model from its configuration alone."""
    return ModelFacts("here", "", config, 0, 0, {}, 0, chat_template=True, converted=False)


@cache
def subject(name: str) -> Subject:
    """A published model; plans remember what they worked out of it."""
    return Subject.of(facts(config(name)))


def needs(document: dict[str, Any]) -> Needs:
    """Needs as a case has them."""
    given = dict(document)
    if "parallel" in given:
        given["parallel"] = Parallel(**given["parallel"])
    for name in ("gpus", "providers", "regions"):
        if name in given:
            given[name] = tuple(given[name])
    return Needs(**given)


@cache
def catalogue(on: str) -> Catalogue:
    """The shipped catalogue, or the machines of a rack's file alone."""
    if on == "catalog":
        return load_catalogue()
    return only(load_catalogue([RACKS / f"{on}.yaml"]), load_catalogue())


def device(name: str, gib: float, *, domain: int = 8) -> Accelerator:
    """A made-up GPU of compute capability 9.0."""
    memory = int(gib * GIB)
    link = Link("nvlink", 9e11, domain) if domain > 1 else None
    return Accelerator(name, "nvidia", "gpu", (), memory, memory, 1e12, {}, link, None, "9.0",
                       2024, {"usable": SOURCE})  # fmt: skip


def machine(
    accelerator: str, count: int, price: float | None, *, name: str = "", fast: bool = False
) -> Offer:
    """A made-up type of machine, had by the hour."""
    prices = (Price("here-1", price, None),) if price is not None else ()
    return Offer(
        provider="test", instance=name or f"{count}x{accelerator}", accelerator=accelerator,
        count=count, vcpus=8, memory=GIB, network=4e11 if fast else None,
        fabric="infiniband" if fast else "", gpudirect=None, prices=prices,
        sources={"prices": SOURCE},
    )  # fmt: skip


def shop(accelerators: list[Accelerator], offers: list[Offer]) -> Catalogue:
    """A catalogue of them."""
    return Catalogue({one.name: one for one in accelerators}, tuple(offers))


def larger(catalogue: Catalogue, times: float) -> Catalogue:
    """The same machines with more memory on each device."""
    grown = {
        name: replace(one, memory=None if one.memory is None else int(one.memory * times),
                      usable=None if one.usable is None else int(one.usable * times))
        for name, one in catalogue.accelerators.items()
    }  # fmt: skip
    return Catalogue(grown, catalogue.offers)
