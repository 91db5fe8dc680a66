"""From a spec, or from what a user types, to what a fleet plan is asked. Pure.

It reads values and refuses those that mean nothing; whether anything fits is `search`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmops.catalog import Catalogue, accelerators_called
from llmops.errors import InputError
from llmops.planning.fleet.needs import Needs
from llmops.planning.parallel import Parallel
from llmops.spec import Deployment, Hardware, Parallelism, nearest

MOST_DOLLARS = 1e9
"""An hour of more was not meant."""

MOST_ARGUMENT = 2**31
"""No argument of the engine's that counts something is as large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user types beside a model or a spec; None and empty leave it as it was."""

    context: int | None = None
    in_flight: int | None = None
    tokens: int | None = None
    replicas: int | None = None
    dtype: str | None = None
    gpu: str | None = None
    count: int | None = None
    providers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    spot: bool = False
    budget: str | None = None
    tensor: int | None = None
    pipeline: int | None = None
    data: int | None = None
    experts: bool = False

    @property
    def parallel(self) -> Parallel | None:
        """The layout that is named; sizes that are not are 1."""
        sizes = (self.tensor, self.pipeline, self.data)
        if sizes == (None, None, None):
            return None
        return Parallel(self.tensor or 1, self.pipeline or 1, self.data or 1, self.experts)


def wished(needs: Needs, wish: Wish, catalogue: Catalogue) -> Needs:
    """Needs with what a user wishes in place of what they were.

    Raises:
        InputError: When a name is nobody's, or the budget is no amount.
    """
    parallel = wish.parallel
    return replace(
        needs,
        context=wish.context or needs.context,
        in_flight=wish.in_flight or needs.in_flight,
        typical=wish.tokens or needs.typical,
        replicas=wish.replicas or needs.replicas,
        dtype=wish.dtype or needs.dtype,
        parallel=parallel or needs.parallel,
        experts=(wish.experts or needs.experts) and parallel is None,
        gpus=accelerators(catalogue, wish.gpu) if wish.gpu is not None else needs.gpus,
        count=wish.count or needs.count,
        providers=providers(catalogue, wish.providers) or needs.providers,
        regions=regions(catalogue, wish.regions) or needs.regions,
        spot=wish.spot or needs.spot,
        budget=dollars(wish.budget) if wish.budget is not None else needs.budget,
    )


def only(whole: Catalogue, before: Catalogue) -> Catalogue:
    """A catalogue with the offers alone that a file has added to, or replaced in, another.

    Raises:
        InputError: When there is none.
    """
    known = {offer.name: offer for offer in before.offers}
    added = tuple(offer for offer in whole.offers if known.get(offer.name) != offer)
    if not added:
        raise InputError(
            "expected a catalogue's file with machines in it, found one without",
            hint="docs/reference/catalog.md shows one to start from",
        )
    return Catalogue(whole.accelerators, added)


def needs_of(deployment: Deployment, catalogue: Catalogue) -> Needs:
    """What a spec asks of a service wherever it runs.

    Raises:
        InputError: When it names an accelerator that the catalogue does not have, or an argument
            of the engine's has a value that cannot be planned with.
    """
    args = {name.replace("-", "_"): value for name, value in deployment.engine.args.items()}
    hardware = deployment.hardware if isinstance(deployment.hardware, Hardware) else Hardware()
    if hardware.device == "cpu":
        raise InputError(
            "hardware.device is cpu, and a fleet plan weighs GPUs",
            hint="leave hardware.device out, or plan for this machine: --on here",
            path="hardware.device",
        )
    context = deployment.model.context
    experts = _flag(args, "enable_expert_parallel")
    return Needs(
        context=context if isinstance(context, int) else None,
        in_flight=deployment.scaling.target_in_flight,
        replicas=deployment.scaling.replicas.high,
        dtype=deployment.engine.dtype,
        kv_dtype=_word(args, "kv_cache_dtype", "auto"),
        parallel=_parallel(deployment, experts=experts),
        experts=experts,
        gpus=accelerators(catalogue, hardware.gpu) if hardware.gpu else (),
        count=hardware.count,
        block=_number(args, "block_size"),
        batch_tokens=_number(args, "max_num_batched_tokens"),
        sequences=_number(args, "max_num_seqs"),
        eager=_flag(args, "enforce_eager"),
    )


def _parallel(deployment: Deployment, *, experts: bool) -> Parallel | None:
    asked = deployment.parallelism
    if not isinstance(asked, Parallelism):
        return None
    return Parallel(asked.tensor, asked.pipeline, asked.data, experts)


def accelerators(catalogue: Catalogue, name: str) -> tuple[str, ...]:
    """Names of the accelerators that a name may mean: all of a family's.

    Raises:
        InputError: When there is none; the hint names the nearest.
    """
    try:
        return tuple(one.name for one in accelerators_called(catalogue, name))
    except InputError as error:
        raise InputError(error.message, hint=error.hint, path="hardware.gpu") from error


def dollars(text: str) -> float:
    """US dollars an hour, as a user writes them: `20`, `$20`, `20 USD/h`.

    Raises:
        InputError: When it is no amount above 0.
    """
    found = re.fullmatch(
        r"\$?\s?([0-9]{1,12}(?:\.[0-9]{1,9})?)\s?(?:\$|USD|usd)?\s?(?:/\s?h|an hour)?",
        text.strip(),
        re.ASCII,
    )
    value = float(found[1]) if found else 0.0
    if not 0 < value <= MOST_DOLLARS:
        raise InputError(
            f"expected a budget in US dollars an hour, found '{_shown(text)}'",
            hint="write a number above 0: --budget 20",
        )
    return value


def providers(catalogue: Catalogue, names: Iterable[str]) -> tuple[str, ...]:
    """Names of providers, each of which has an offer.

    Raises:
        InputError: When one has none; the hint names the nearest.
    """
    known = sorted({offer.provider for offer in catalogue.offers})
    return tuple(_one_of("provider", name, known) for name in names)


def regions(catalogue: Catalogue, names: Iterable[str]) -> tuple[str, ...]:
    """Beginnings of names of regions, each of which a price is known for.

    Raises:
        InputError: When one begins nothing; the hint names the nearest.
    """
    known = sorted({price.region for offer in catalogue.offers for price in offer.prices})
    return tuple(
        name
        if name and any(region.startswith(name) for region in known)
        else _one_of("region", name, known)
        for name in names
    )


def _one_of(what: str, name: str, known: list[str]) -> str:
    if name in known:
        return name
    near = nearest(name, known)
    listed = ", ".join(known[:12]) if known else "none"
    raise InputError(
        f"expected a {what} of the catalogue, found '{_shown(name)}'",
        hint=f"did you mean '{near}'?" if near else f"there are: {listed}",
    )


def _number(args: Mapping[str, Any], name: str) -> int | None:
    value = args.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < MOST_ARGUMENT:
        raise _wrong(name, "a whole number above 0", value)
    return value


def _flag(args: Mapping[str, Any], name: str) -> bool:
    value = args.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "true or false", value)
    return bool(value)


def _word(args: Mapping[str, Any], name: str, default: str) -> str:
    value = args.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise _wrong(name, "a word", value)
    return value


def _wrong(name: str, expected: str, found: object) -> InputError:
    return InputError(
        f"engine.args.{name}: expected {expected}, found '{_shown(str(found))}'",
        path=f"engine.args.{name}",
    )


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
