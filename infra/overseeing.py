"""What llmops has running in a cloud account, over all services: what is left over, and the cost.

Looking is apart from taking away: `find` and `costs_in` change nothing. A stack whose update is in
flight, or was cut off, is left alone: what it has made is not all recorded yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.account import (
    Account,
    Check,
    Cost,
    Leftover,
    Price,
    Remover,
    Thing,
    account_checks,
    costs,
    leftovers,
)
from infra.automation import Backend, open_backend
from infra.checking import program
from infra.naming import PROJECT
from infra.tags import PROJECT_TAG, STACK_TAG
from llmops.catalog import Catalogue, load_catalogue

PROVIDER = "aws"


@dataclass(frozen=True, slots=True)
class Found:
    """What no stack holds in a region."""

    region: str
    backend: str
    leftovers: tuple[Leftover, ...]
    unsettled: tuple[str, ...]
    """Stacks that were left alone: an update of theirs has not ended."""


def checks_in(home: Path, region: str, account: Account | None = None) -> tuple[Check, ...]:
    """What `llmops doctor` looks at of a cloud: the program, the credentials, the region."""
    return (*program(home), *account_checks(account or Account(region), None))


def find(
    home: Path,
    region: str,
    stack: str | None = None,
    *,
    account: Account | None = None,
    backend: Backend | None = None,
) -> Found:
    """Look for what carries our tags and belongs to no stack of the backend.

    Args:
        home: Where this user's own state lies.
        region: Where to look.
        stack: Only what is tagged with this stack.
        account: Reads the region.
        backend: Knows the stacks.

    Raises:
        InputError: When the backend or the account cannot be asked: then nothing is left over for
            certain.
    """
    backend = backend or open_backend(PROJECT, home)
    states = {name: backend.state(name) for name in backend.stacks()}
    unsettled = tuple(name for name, state in states.items() if state.pending)
    wanted = {PROJECT_TAG: PROJECT} | ({STACK_TAG: stack} if stack else {})
    things = (account or Account(region)).all_tagged(wanted)
    settled = tuple(one for one in things if one.tags.get(STACK_TAG) not in unsettled)
    held = {name: state.ids for name, state in states.items()}
    where = backend.url()
    return Found(region, where, leftovers(settled, held, where, _prices(home, region)), unsettled)


def take_away(found: Found, remover: Remover | None = None) -> Iterator[tuple[Thing, str]]:
    """Remove what was found; yields each thing and why it stays, empty when it goes."""
    things = tuple(one.priced.thing for one in found.leftovers)
    yield from (remover or Remover(found.region)).remove(things)


def costs_in(home: Path, region: str, account: Account | None = None) -> tuple[Cost, ...]:
    """What the running machines of each release cost in a region, the dearest first."""
    machines = (account or Account(region)).machines({PROJECT_TAG: PROJECT})
    return costs(machines, _prices(home, region))


def _prices(home: Path, region: str) -> Price:
    own = home / "catalog.yaml"
    prices = _by_machine(load_catalogue([own] if own.exists() else []), region)
    return lambda machine, market: prices.get((machine, market))


def _by_machine(catalogue: Catalogue, region: str) -> Mapping[tuple[str, str], float]:
    """US dollars an hour by machine and market. Spot that nobody has sourced is counted at most:
    EC2 never bills more than the on-demand price for it."""
    found: dict[tuple[str, str], float] = {}
    for offer in catalogue.offers:
        price = next((one for one in offer.prices if one.region == region), None)
        if offer.provider == PROVIDER and price is not None and price.on_demand is not None:
            found[offer.instance, "on_demand"] = price.on_demand
            found[offer.instance, "spot"] = price.spot or price.on_demand
    return found


__all__ = ["Found", "checks_in", "costs_in", "find", "take_away"]
